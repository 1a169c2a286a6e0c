"""Shared by the commands that send (`load`, `replay`, `send`): resolves and opens `--to`, and reports the result."""

from __future__ import annotations

import errno
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from relay.cli.shared.interrupt import Interrupt
from relay.cli.shared.output import say
from relay.config.addresses import parse_endpoint
from relay.errors import unreachable
from relay.tools.traffic.player import Player
from relay.wording import as_size, plural

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNIX: Final = "unix:"
_PATIENCE: Final = 0.25
"""Timeout in seconds of a send to a full Unix socket; the player then checks for signals and tries again."""


def find_address(to: str) -> tuple[socket.AddressFamily, Any]:
    """Look up `HOST:PORT`, where HOST is a name or an address, or use `unix:PATH` as it is.

    Raises:
        click.BadParameter: the text is no address.
        RelayError: RLY101, the host cannot be looked up.
    """
    if to.startswith(_UNIX):
        return socket.AF_UNIX, to.removeprefix(_UNIX)
    try:
        host, port = parse_endpoint(to)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICSERV)
    except ValueError as error:
        raise click.BadParameter(f"{error}, or unix:PATH", param_hint="--to") from error
    except OSError as error:
        raise unreachable(f"cannot look up the host of {to}: {error.strerror}", "check the name in --to") from error
    family, _, _, _, address = found[0]
    return family, address


to_option = click.option(
    "--to", default="127.0.0.1:8125", show_default=True, metavar="HOST:PORT", help="Target: HOST:PORT or unix:PATH."
)


@contextmanager
def playing(to: str) -> Iterator[Player]:
    """Open a player that sends to `to`; SIGINT and SIGTERM interrupt it.

    Raises:
        click.BadParameter: the text is no address.
        RelayError: the host cannot be looked up, a Unix socket is missing or not permitted, or the network cannot be
            reached.
    """
    family, address = find_address(to)
    with socket.socket(family, socket.SOCK_DGRAM) as sock, Interrupt() as interrupt:
        if family == socket.AF_UNIX:
            sock.settimeout(_PATIENCE)
        try:
            sock.connect(address)
        except OSError as error:
            raise unreachable(f"cannot send to {to}: {error.strerror or error}", _fix(to)) from error
        player = Player(sock.send, interrupt)
        yield player
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED:
            player.is_refused = True


def figures(player: Player, to: str) -> dict[str, Any]:
    """Return the fields common to the summaries of `--json`."""
    return {
        "to": to,
        "datagrams": player.datagrams,
        "lines": player.lines,
        "bytes": player.bytes,
        "seconds": round(player.seconds, 3),
        "late_seconds": round(player.late, 6),
        "errors": dict(player.errors),
        "interrupted": player.is_interrupted,
    }


def sentence(player: Player, to: str) -> str:
    """Return the first line of a summary: what was sent."""
    return (
        f"{plural(player.datagrams, 'datagram')}, {plural(player.lines, 'line')} to {to} in {player.seconds:.1f} s,"
        f" {as_size(player.bytes)}, late by {player.late * 1000:.1f} ms at worst"
    )


def finish(player: Player, to: str) -> None:
    """Print what was not sent; end with the exit code of an early end.

    Raises:
        RelayError: RLY101, no process listens on the target.
        click.Abort: a signal interrupted the player.
    """
    for words, count in player.errors.items():
        say(f"{plural(count, 'datagram')} not sent: {words}", err=True)
    if player.is_refused:
        raise unreachable(f"no process listens on {to}: sending stopped, and the last datagrams are lost", _fix(to))
    if player.is_interrupted:
        raise click.Abort


def _fix(to: str) -> str:
    return f"start the receiver on {to}, or name another target with --to"
