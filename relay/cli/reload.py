"""`statsd-relay reload`: checks the configuration, then signals the running relay to load it."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

import click

from relay.cli.check import credential_problems
from relay.cli.options import config_option, json_option
from relay.cli.output import say
from relay.config.loading import load
from relay.delivery.state.directory import holder, home_directory, state_directory
from relay.errors import unreachable

if TYPE_CHECKING:
    from pathlib import Path

    from relay.config.schema import Config

_FIX: Final = "nothing to do if the environment of the relay has them; otherwise the log of the relay reports it"


@click.command()
@config_option()
@click.option("--upgrade", is_flag=True, help="Also replace the worker with the installed program, without a loss.")
@json_option()
def reload(path: Path | None, *, upgrade: bool, as_json: bool) -> None:
    """Check the configuration, and let the running relay load it; its log says what changes, and when."""
    loaded = load(path, os.environ)
    # This shell need not have the environment of the relay, which may have the credentials.
    credentials = credential_problems(loaded.config.cloud)
    found = [replace(problem, fix=_FIX) if problem.code == "RLY110" else problem for problem in credentials]
    warnings = [*loaded.warnings, *found]
    for problem in warnings if not as_json else ():
        say(str(problem), err=True)
    pid = signal_relay(loaded.config, signal.SIGUSR2 if upgrade else signal.SIGHUP)
    if as_json:
        say(json.dumps({"pid": pid, "upgrade": upgrade, "warnings": [asdict(problem) for problem in warnings]}))
        return
    say(f"{'replacing the worker of' if upgrade else 'reloading'} process {pid}: see its log")


def signal_relay(config: Config, number: signal.Signals) -> int:
    """Signal the relay that serves the state directory; return its pid.

    Raises:
        RelayError: RLY101, no relay runs with the state directory, or it belongs to another user.
    """
    state = state_directory(config.spool, os.environ, home_directory())
    running = holder(state) if state else None
    if running is None or running.main is None:
        message = f"no relay of this user runs with the state directory {state or '(none)'}"
        fix = "name the file it was started with: -c FILE; or send SIGHUP (SIGUSR2 to replace) to its process"
        raise unreachable(message, fix)
    try:
        os.kill(running.main, number)
    except OSError as error:
        raise unreachable(f"cannot signal process {running.main}: {error.strerror}") from error
    return running.main
