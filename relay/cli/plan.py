"""`run` as the supervisor's child sees it: read the configuration, say what the supervisor must know of it, end.

It has the options of `run`, whose libraries it does not import.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import click

from relay.assembly import ingest_settings, wanted_sockets
from relay.cli.options import config_option
from relay.config.credentials import find_credentials
from relay.config.loading import load
from relay.config.locate import home_directory, state_directory
from relay.config.running import find_running
from relay.delivery.state_directory import StateDirectory
from relay.supervisor.log import wants_text
from relay.supervisor.process import Plan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from relay.config.loading import Loaded
    from relay.config.schema import Config

STEADY: Final = 10.0
"""Seconds after which a worker has proved itself: a sixth of a window, so that tests with short ones need not wait."""


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of `run`."""
    config = config_option("TOML file; every key is optional.")
    dry_run = click.option(
        "--dry-run", is_flag=True, help="Print requests instead of sending them; needs no credentials."
    )
    take_over = click.option(
        "--take-over",
        is_flag=True,
        help="Take UDP addresses over from the daemon that has them, without losing a packet; stop it afterwards.",
    )
    return config(dry_run(take_over(command)))


def load_for_run(path: Path | None, *, dry_run: bool, text: str | None = None) -> Loaded:
    """Load the configuration as `run` does; `text` is used instead of what is in the file.

    Raises:
        ConfigError: every problem.
    """
    # Without the state directory: requests that wait there belong to the real cloud.
    overrides = {"cloud.provider": "stdout", "spool.path": "none"} if dry_run else None
    return load(path, os.environ, overrides=overrides, text=text)


@click.command("run", context_settings={"help_option_names": ["-h", "--help"]})
@run_options
@click.pass_obj
def plan(found: list[str], path: Path | None, *, dry_run: bool, take_over: bool) -> None:
    """Receive, aggregate and deliver until SIGTERM."""
    config = load_for_run(path, dry_run=dry_run).config
    if config.cloud.provider == "jdcloud":
        find_credentials(config.cloud, os.environ, home_directory())
    if take_over:
        try_state(state_directory(config.spool, os.environ, home_directory()))
    found.append(make_plan(config, take_over=take_over))


def try_state(state: Path | None) -> None:
    """Find what would end the worker at its start, before a daemon that works loses packets to it.

    Raises:
        RelayError: RLY101, RLY104, RLY105, the state directory cannot be used.
    """
    is_ours = state is not None and find_running(state) == os.getppid()  # a replacement: the worker before holds it
    if state is not None and not is_ours:
        StateDirectory.open(state).close()


def make_plan(config: Config, *, take_over: bool) -> str:
    """Return the supervisor's plan as JSON.

    Raises:
        RelayError: RLY900, the native hot path was asked for and is not installed.
    """
    return Plan(
        wanted=wanted_sockets(config, take_over=take_over),
        steady=min(STEADY, config.window.seconds / 6),
        state=str(state_directory(config.spool, os.environ, home_directory()) or ""),
        is_text=wants_text(config.log.format),
        level=config.log.level,
        ingest=ingest_settings(config).to_json(),
    ).to_json()
