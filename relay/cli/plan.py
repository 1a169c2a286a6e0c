"""`run` as a trial: read the configuration, say what the supervisor must know of it, end.

It has the options of `run`, whose libraries it does not import. Where the program is to take the place of a worker that
works, every module is imported, and whatever a worker opens before it reads the state is opened.
"""

from __future__ import annotations

import os
from importlib import import_module
from pkgutil import walk_packages
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

import relay
from relay import anonymous_file
from relay.assembly import ingest_settings, wanted_sockets
from relay.cli.options import config_option
from relay.config.credentials import find_credentials
from relay.config.loading import load
from relay.config.locate import home_directory, state_directory
from relay.config.running import find_running
from relay.delivery.state_directory import StateDirectory
from relay.errors import ExitCode, Problem, RelayError
from relay.listener.handover import take_text
from relay.supervisor.log import wants_text
from relay.supervisor.plan import PLAN, THOROUGH, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence
    from pathlib import Path

    from relay.config.loading import Loaded

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


class RunOptions(NamedTuple):
    """Those of `run`, beside the file."""

    dry_run: bool = False
    take_over: bool = False


def load_for_run(path: Path | None, *, dry_run: bool, text: str | None = None) -> Loaded:
    """Load the configuration as `run` does; `text` is used instead of what is in the file.

    Raises:
        ConfigError: every problem.
    """
    # Without the state directory: requests that wait there belong to the real cloud.
    overrides = {"cloud.provider": "stdout", "spool.path": "none"} if dry_run else None
    return load(path, os.environ, overrides=overrides, text=text)


class Asked:
    """State: what a trial is asked, and its answer.

    Args:
        text: of the configuration file, instead of what is on disk.
        is_thorough: try all that a worker needs before it reads the state.
    """

    def __init__(self, *, text: str | None = None, is_thorough: bool = False) -> None:
        self.text = text
        self.is_thorough = is_thorough
        self.answer = ""
        """The plan as JSON."""

    def __repr__(self) -> str:
        """Report the question, and never the text."""
        return f"<Asked{' thorough' if self.is_thorough else ''}>"


def answer(arguments: Sequence[str], environ: MutableMapping[str, str]) -> None:
    """Answer who started this process as a trial (supervisor/trial.py), by its checked environment."""
    descriptor = int(environ.pop(PLAN))
    asked = Asked(text=take_text(environ), is_thorough=environ.pop(THOROUGH, "") != "")
    plan.main(list(arguments), "statsd-relay run", standalone_mode=False, obj=asked)
    anonymous_file.append(descriptor, asked.answer)


@click.command("run", context_settings={"help_option_names": ["-h", "--help"]})
@run_options
@click.pass_obj
def plan(asked: Asked, path: Path | None, *, dry_run: bool, take_over: bool) -> None:
    """Receive, aggregate and deliver until SIGTERM."""
    loaded = load_for_run(path, dry_run=dry_run, text=asked.text)
    config = loaded.config
    if asked.is_thorough:
        try_program(loaded)
    elif config.cloud.provider != "stdout":
        try_files(loaded)
    if take_over:
        try_state(state_directory(config.spool, os.environ, home_directory()))
    asked.answer = make_plan(loaded, take_over=take_over).to_json()


def try_program(loaded: Loaded) -> None:
    """Find what would end a worker at its start: a module of this release, credentials, certificates.

    Raises:
        RelayError: RLY502, a module cannot be imported; RLY103, RLY110.
    """
    for module in walk_packages(relay.__path__, "relay."):
        try:
            import_module(module.name)
        except Exception as error:
            message = f"{module.name} cannot be imported: {type(error).__name__}: {error}"
            problem = Problem(code="RLY502", message=message, fix="install the release again, then upgrade")
            raise RelayError(problem, exit_code=ExitCode.INTERNAL) from error
    from relay.cli.run import prepare  # noqa: PLC0415 - a first start must not pay for it

    prepare(loaded)


def try_files(loaded: Loaded) -> None:
    """Find what a worker would do without, since one that comes later has to: credentials, certificates, a file.

    Raises:
        ConfigError: RLY103, RLY110.
    """
    if loaded.config.cloud.ca_file or loaded.config.cloud.provider == "file":
        from relay.cli.run import prepare  # noqa: PLC0415 - a start without a file of certificates must not pay for it

        prepare(loaded)
    else:
        find_credentials(loaded.config.cloud, os.environ, home_directory())


def try_state(state: Path | None) -> None:
    """Find what would end the worker at its start, before a daemon that works loses packets to it.

    Raises:
        RelayError: RLY101, RLY104, RLY105, the state directory cannot be used.
    """
    is_ours = state is not None and find_running(state) == os.getppid()  # a replacement: the worker before holds it
    if state is not None and not is_ours:
        StateDirectory.open(state).close()


def make_plan(loaded: Loaded, *, take_over: bool) -> Plan:
    """Return what the supervisor must know.

    Raises:
        RelayError: RLY900, the native hot path was asked for and is not installed.
    """
    config = loaded.config
    return Plan(
        wanted=wanted_sockets(config, take_over=take_over),
        steady=min(STEADY, config.window.seconds / 6),
        state=str(state_directory(config.spool, os.environ, home_directory()) or ""),
        is_text=wants_text(config.log.format),
        level=config.log.level,
        ingest=ingest_settings(config).to_json(),
        text=loaded.text,
    )
