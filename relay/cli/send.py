"""`statsd-relay send`: sends lines to a StatsD port by hand."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from typing import Any

import click

from relay.cli.shared.options import json_option
from relay.cli.shared.output import has_terminal, say
from relay.cli.shared.sender import find_address, to_option
from relay.errors import ExitCode, Problem, RelayError
from relay.hotpath.explain import EXPLANATIONS, find_error, show


@click.command()
@click.argument("lines", nargs=-1, metavar="[LINE]...")
@to_option
@click.option("--unchecked", is_flag=True, help="Also send lines that the relay would reject.")
@json_option()
def send(lines: tuple[str, ...], to: str, *, unchecked: bool, as_json: bool) -> None:
    """Send each LINE as a datagram; without LINE, each line of standard input.

    A LINE with line feeds is one datagram with several lines. If the relay would reject a line, nothing is sent, and
    every such line is shown.
    """
    family, address = find_address(to)
    datagrams = [line.encode("utf-8", "surrogateescape") for line in lines or _read_lines() if line]
    source = "argument" if lines else "stdin"
    numbered = [(number, line) for number, one in enumerate(datagrams, 1) for line in one.split(b"\n") if line]
    found = [] if unchecked else [find_problem(line, source, number) for number, line in numbered]
    bad = [problem for problem in found if problem]
    if bad:
        raise RelayError(*bad, exit_code=ExitCode.USAGE)
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        for number, datagram in enumerate(datagrams, 1):
            if refused := _send(sock, address, datagram):
                what = f"{source} {number} ({len(datagram)} bytes)"
                raise RelayError(_unsent(what, to, refused), exit_code=ExitCode.UNREACHABLE)
    say(json.dumps({"to": to, "sent": len(datagrams)}) if as_json else f"{len(datagrams)} sent to {to}")


def _read_lines() -> list[str]:
    """Return the lines of standard input; on a terminal, say first that they are awaited."""
    if has_terminal():
        say("type lines such as web.hits:1|c, then Ctrl-D to send them", err=True)
    return [line.removesuffix("\r") for line in sys.stdin.read().split("\n")]


def _send(sock: socket.socket, address: Any, datagram: bytes) -> int:  # noqa: ANN401 - an address of any family
    """Send a datagram; return 0 or the error number, which includes a closed port of this machine (ECONNREFUSED)."""
    try:
        sock.connect(address)
        sock.send(datagram)
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    except OSError as error:
        return error.errno or errno.EIO


def _unsent(what: str, to: str, reason: int) -> Problem:
    fix = {
        errno.EMSGSIZE: "a datagram holds at most 65,507 bytes",
        errno.ECONNREFUSED: "no process listens there: start the relay, or name its address with --to",
    }
    message = f"cannot send {what} to {to}: {os.strerror(reason)}"
    return Problem(code="RLY101", message=message, fix=fix.get(reason, "check --to"))


def find_problem(line: bytes, source: str, number: int) -> Problem | None:
    """Return why and where a relay would reject the line; None if the line is accepted."""
    error = find_error(line)
    if error is None:
        return None
    text, column = show(line, error.at)
    return Problem(
        code="RLY301",
        message=f"{error.reason}: {EXPLANATIONS[error.reason]}",
        fix="NAME:VALUE|TYPE, TYPE one of c g ms h d s; or --unchecked",
        source=source,
        line=number,
        column=column + 1,
        text=text,
    )
