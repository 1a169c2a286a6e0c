"""`statsd-relay reload`: check the configuration, then tell the running relay to take it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli.check import credential_problems
from relay.cli.options import config_option
from relay.config.loading import load
from relay.config.locate import state_directory
from relay.config.running import find_running
from relay.errors import ExitCode, Problem, RelayError

if TYPE_CHECKING:
    from relay.config.schema import Config


@click.command()
@config_option()
@click.option("--upgrade", is_flag=True, help="Replace the worker too, by the program as it is now; nothing is lost.")
def reload(path: Path | None, *, upgrade: bool) -> None:
    """Check the configuration and let the running relay take it; its log says what has changed, and when."""
    loaded = load(path, os.environ)
    for problem in loaded.warnings:
        click.echo(str(problem), err=True)
    config = loaded.config
    if config.cloud.provider == "jdcloud":
        find_credentials(config.cloud, os.environ, Path.home())
    pid = signal_relay(config, signal.SIGUSR2 if upgrade else signal.SIGHUP)
    click.echo(f"{'replacing the worker of' if upgrade else 'reloading'} process {pid}: see its log")


def signal_relay(config: Config, number: signal.Signals) -> int:
    """Signal the relay that serves the state directory; return its pid.

    Raises:
        RelayError: nobody does, or it belongs to another user.
    """
    state = state_directory(config.spool, os.environ, Path.home())
    pid = find_running(state) if state else None
    if pid is None:
        message = f"no relay of this user runs with the state directory {state or '(none)'}"
        fix = "name the file it was started with: -c FILE; or send SIGHUP (SIGUSR2 to replace) to its process"
        raise RelayError(Problem(code="RLY101", message=message, fix=fix), exit_code=ExitCode.UNREACHABLE)
    try:
        os.kill(pid, number)
    except OSError as error:
        problem = Problem(code="RLY101", message=f"cannot signal process {pid}: {error.strerror}")
        raise RelayError(problem, exit_code=ExitCode.UNREACHABLE) from error
    return pid
