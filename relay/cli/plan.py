"""`run` as a preflight check: reads the configuration, answers the supervisor with a plan, and ends.

It has the options of `run` without importing the libraries of `run`. A thorough check, made before a running worker is
replaced, imports every module and opens every file that a worker opens before it reads the state.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from relay.cli.shared.options import config_option
from relay.daemon.lifecycle.plan import RunOptions, check_files, check_program, check_state, load_for_run, make_plan
from relay.delivery.state.directory import home_directory, state_directory
from relay.listener.socket_activation import append_text, receive_configuration
from relay.supervisor.protocol import PLAN, THOROUGH

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence
    from pathlib import Path


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of `run` to a command."""
    config = config_option("Configuration file (TOML); every key is optional.")
    dry_run = click.option(
        "--dry-run", is_flag=True, help="Print requests instead of sending them; needs no credentials."
    )
    take_over = click.option(
        "--take-over",
        is_flag=True,
        help="Take over the UDP addresses of the old daemon, without losing a packet. Stop the old daemon afterwards.",
    )
    as_json = click.option("--json", "as_json", is_flag=True, help='Log in JSON: [log] format = "json" for this run.')
    return config(dry_run(take_over(as_json(command))))


class Asked:
    """State: the parameters of a preflight check, and its result.

    Args:
        text: content of the configuration file, used instead of the file on disk.
        is_thorough: try everything that a worker needs before it reads the state.
    """

    def __init__(self, *, text: str | None = None, is_thorough: bool = False) -> None:
        self.text = text
        self.is_thorough = is_thorough
        self.answer = ""
        """The plan as JSON."""


def answer(arguments: Sequence[str], environ: MutableMapping[str, str]) -> None:
    """Answer the parent that started this process as a preflight check (supervisor/preflight.py).

    Args:
        arguments: the arguments of `run`.
        environ: the checked environment, which names the descriptor of the answer.
    """
    descriptor = int(environ.pop(PLAN))
    asked = Asked(text=receive_configuration(environ), is_thorough=environ.pop(THOROUGH, "") != "")
    plan.main(list(arguments), "statsd-relay run", standalone_mode=False, obj=asked)
    append_text(descriptor, asked.answer)


@click.command("run", context_settings={"help_option_names": ["-h", "--help"]})
@run_options
@click.pass_obj
def plan(asked: Asked, path: Path | None, *, dry_run: bool, take_over: bool, as_json: bool) -> None:
    """Receive, aggregate and deliver until SIGTERM."""
    options = RunOptions(dry_run=dry_run, take_over=take_over, as_json=as_json)
    loaded = load_for_run(path, options, text=asked.text)
    config = loaded.config
    if asked.is_thorough:
        check_program(loaded)
    elif config.cloud.provider != "stdout":
        check_files(loaded)
    if take_over:
        check_state(state_directory(config.spool, os.environ, home_directory()))
    asked.answer = make_plan(loaded, take_over=take_over).to_json()
