"""`statsd-relay send`: lines to a StatsD port, for trying things out."""

from __future__ import annotations

import socket
import sys

import click

from relay.config.rules import parse_address
from relay.errors import ExitCode, Problem, RelayError
from relay.hotpath.line import is_event, parse


@click.command()
@click.argument("lines", nargs=-1, metavar="LINE...")
@click.option("--to", default="127.0.0.1:8125", show_default=True, metavar="HOST:PORT", help="Where to.")
@click.option("--unchecked", is_flag=True, help="Send lines that would be rejected, too.")
def send(lines: tuple[str, ...], to: str, *, unchecked: bool) -> None:
    """Send each LINE as a datagram; without a LINE, those of standard input. A bad line is named and not sent."""
    try:
        host, port = parse_address(to.replace("localhost", "127.0.0.1"))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--to") from error
    datagrams = [line.encode("utf-8", "surrogateescape") for line in lines or sys.stdin.read().splitlines() if line]
    bad = [] if unchecked else [problem for problem in map(find_problem, datagrams) if problem]
    if bad:
        raise RelayError(*bad, exit_code=ExitCode.USAGE)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for datagram in datagrams:
            sock.sendto(datagram, (host, port))
    click.echo(f"{len(datagrams)} sent to {to}")


def find_problem(line: bytes) -> Problem | None:
    """Return why a relay would reject the line; None if it would not."""
    if is_event(line):
        return None
    reason = parse(line)
    if not isinstance(reason, str):
        return None
    text = line.decode("utf-8", "replace")
    return Problem(
        code="RLY301",
        message=f"{reason}: {text[:200]}",
        fix="NAME:VALUE|TYPE, TYPE one of c g ms h d s; or --unchecked",
    )
