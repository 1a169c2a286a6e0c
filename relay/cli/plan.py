"""`run` as a trial: read the configuration, say what the supervisor must know of it, end.

It has the options of `run`, whose libraries it does not import. Where the program is to take the place of a worker that
works, every module is imported, and whatever a worker opens before it reads the state is opened.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from relay import anonymous_file
from relay.cli.options import config_option
from relay.daemon.lifecycle.plan import load_for_run, make_plan, try_files, try_program, try_state
from relay.delivery.state.directory import home_directory, state_directory
from relay.listener.socket_activation import take_text
from relay.supervisor.plan import PLAN, THOROUGH

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence
    from pathlib import Path


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
