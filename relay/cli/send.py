"""`statsd-relay send`: lines to a StatsD port, for trying things out."""

from __future__ import annotations

import socket
import sys

import click

from relay.cli.sending import find_address
from relay.errors import ExitCode, Problem, RelayError
from relay.hotpath.explain import WORDS, find_fault, show


@click.command()
@click.argument("lines", nargs=-1, metavar="LINE...")
@click.option("--to", default="127.0.0.1:8125", show_default=True, metavar="HOST:PORT", help="Where to; or unix:PATH.")
@click.option("--unchecked", is_flag=True, help="Send lines that would be rejected, too.")
def send(lines: tuple[str, ...], to: str, *, unchecked: bool) -> None:
    """Send each LINE as a datagram; without a LINE, those of standard input. A bad line is named and not sent."""
    family, address = find_address(to)
    datagrams = [line.encode("utf-8", "surrogateescape") for line in lines or sys.stdin.read().splitlines() if line]
    source = "argument" if lines else "stdin"
    found = [] if unchecked else [find_problem(line, source, number) for number, line in enumerate(datagrams, 1)]
    bad = [problem for problem in found if problem]
    if bad:
        raise RelayError(*bad, exit_code=ExitCode.USAGE)
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        for number, datagram in enumerate(datagrams, 1):
            try:
                sock.sendto(datagram, address)
            except OSError as error:
                message = f"cannot send {source} {number} ({len(datagram)} bytes) to {to}: {error.strerror}"
                problem = Problem(
                    code="RLY101", message=message, fix="a datagram holds at most 65,507 bytes; check --to"
                )
                raise RelayError(problem, exit_code=ExitCode.UNREACHABLE) from error
    click.echo(f"{len(datagrams)} sent to {to}")


def find_problem(line: bytes, source: str, number: int) -> Problem | None:
    """Return why and where a relay would reject the line; None if it would not."""
    fault = find_fault(line)
    if fault is None:
        return None
    text, column = show(line, fault.at)
    return Problem(
        code="RLY301",
        message=f"{fault.reason}: {WORDS[fault.reason]}",
        fix="NAME:VALUE|TYPE, TYPE one of c g ms h d s; or --unchecked",
        source=source,
        line=number,
        column=column + 1,
        text=text,
    )
