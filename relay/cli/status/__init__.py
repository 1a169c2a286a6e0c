"""`statsd-relay status`: what is wrong with the running relay, what to do, and the figures of the data path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from relay.admin.answers.status import StatusAnswer
from relay.cli.running.admin_client import fetch
from relay.cli.running.find import need_relay, say_source
from relay.cli.shared.options import LENGTH, json_option, relay_options
from relay.cli.shared.output import say
from relay.cli.status.link import print_link
from relay.cli.status.nagios import UNKNOWN, nagios_line
from relay.cli.status.text import status_lines
from relay.cli.status.wait import wait_for_delivery
from relay.errors import RelayError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from relay.cli.running.admin_client import Address
    from relay.cli.running.find import RunningRelay

PATH = "/api/v1/status"


@click.command()
@relay_options
@click.option("--check", is_flag=True, help="One line for Nagios; exit 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.")
@click.option(
    "--wait",
    "within",
    type=LENGTH,
    metavar="TIME",
    help="Wait until a window that closes from now on is delivered: 90s.",
)
@click.option("--link", is_flag=True, help="Print a link that opens the page with full access: once, within 5 min.")
@json_option("Print the answer of the API.")
def status(
    admin: Sequence[Address] | None,
    path: Path | None,
    *,
    check: bool,
    within: float | None,
    link: bool,
    as_json: bool,
) -> None:
    """Print what is wrong with the running relay, what to do, and how much it receives, sends and keeps.

    The last column is the command that says more. `!` marks the rows that a finding is about.
    """
    if sum((check, bool(within), link)) > 1:
        raise click.UsageError("--check, --wait and --link exclude one another")
    if link:
        print_link(admin, path, as_json=as_json)
        return
    if within:
        raise SystemExit(wait_for_delivery(admin, path, within=within, as_json=as_json))
    if check:
        raise SystemExit(_check(admin, path, as_json=as_json))
    relay = need_relay(admin, path)
    answer = fetch(relay.reached(), PATH, StatusAnswer)
    say_source(relay, as_json=as_json)
    if as_json:
        say_json(answer, relay)
        return
    for line in status_lines(answer):
        say(line)


def _check(admin: Sequence[Address] | None, path: Path | None, *, as_json: bool) -> int:
    """Print the line for Nagios; return the exit code."""
    try:
        relay = need_relay(admin, path)
        answer = fetch(relay.reached(), PATH, StatusAnswer)
    except RelayError as error:
        say(f"STATSD-RELAY UNKNOWN - {error.brief()}".replace("|", "/"))
        return UNKNOWN
    code, line = nagios_line(answer)
    if as_json:
        say_json(answer, relay)
    else:
        say(line)
    return code


def say_json(answer: StatusAnswer, relay: RunningRelay) -> None:
    """Print the answer of the API, with its source."""
    built = {**msgspec.to_builtins(answer), "source": relay.as_json()}
    say(msgspec.json.format(msgspec.json.encode(built)).decode())
