"""`statsd-relay reload`: signals the running relay to load its file, or the installed program."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import click

from relay.cli.effective import load_file
from relay.cli.options import json_option, relay_options
from relay.cli.output import say
from relay.cli.running import NoRelay, find_relay, say_source
from relay.errors import unreachable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from relay.cli.admin_client import Address


@click.command()
@relay_options
@click.option("--upgrade", is_flag=True, help="Also replace the worker with the installed program, without a loss.")
@json_option()
def reload(admin: Sequence[Address] | None, path: Path | None, *, upgrade: bool, as_json: bool) -> None:
    """Check the configuration, and let the running relay load it; its log says what changes, and when."""
    found = find_relay(admin, path)
    if isinstance(found, NoRelay):
        raise found.error()
    say_source(found, as_json=as_json)
    load_file(path)
    pid = signal_relay(found.index.pid, signal.SIGUSR2 if upgrade else signal.SIGHUP)
    if as_json:
        say(json.dumps({"pid": pid, "upgrade": upgrade, "source": found.as_json()}))
        return
    say(f"{'replacing the worker of' if upgrade else 'reloading'} process {pid}: see its log")


def signal_relay(pid: int, number: signal.Signals) -> int:
    """Signal a relay; return its pid.

    Raises:
        RelayError: RLY101, its process is not known, or belongs to another user.
    """
    if not pid:
        fix = "send SIGHUP (SIGUSR2 to replace) to its process, as its user or as root"
        raise unreachable("the process of the relay is not known to this user", fix)
    try:
        os.kill(pid, number)
    except OSError as error:
        fix = "run it as the relay's user or as root"
        raise unreachable(f"cannot signal process {pid}: {error.strerror}", fix) from error
    return pid
