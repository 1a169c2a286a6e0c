"""`statsd-relay tap`: shows lines as they come with what becomes of each, or points as they are sent."""

from __future__ import annotations

import http.client
import sys
from contextlib import closing
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import click
import msgspec

from relay.admin.answers.tap import TapEvent, TapLine, TapNothing, TapPoint, TapStart, TapTotals
from relay.cli.running.admin_client import refusal
from relay.cli.running.find import need_relay, say_source
from relay.cli.series.columns import WIDTH_MOST, cut, output_width
from relay.cli.series.one import statistics
from relay.cli.shared.interrupt import Interrupt
from relay.cli.shared.options import LENGTH, Parsed, json_option, relay_options, whole
from relay.cli.shared.output import say
from relay.config.addresses import join_address
from relay.errors import reason_of, unreachable
from relay.limits import TAP_TEXT
from relay.wording import number, plural, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from relay.cli.running.admin_client import Address

_TIMEOUT: Final = 10.0
"""Seconds without any event after which the relay is gone; it sends one each second."""
_LINE: Final = 28
_LINE_NARROW: Final = 22
"""Width of the column of lines, and on a terminal of less than 100 columns; a longer line is cut to the room left."""
_ID: Final = 4
"""Characters of the cloud's request id."""
_FIX: Final = "start the relay; or name its admin port with --admin HOST:PORT"
_LOST: Final = "the relay has ended, or answers no more"
_EVENTS: Final = msgspec.json.Decoder(TapEvent)
_UNCUT: Final = 100_000
"""Width of rows that go to a file or a pipe."""


def _parse_glob(text: str) -> str:
    if len(text.encode("utf-8", "surrogateescape")) > TAP_TEXT:
        raise ValueError(f"must have at most {TAP_TEXT} bytes")
    return text


def _parse_tag(text: str) -> str:
    if "=" not in text or text.startswith("="):
        raise ValueError("must be KEY=VALUE")
    return _parse_glob(text)


def _parse_network(text: str) -> str:
    try:
        return str(ip_network(text, strict=False))
    except ValueError as error:
        raise ValueError("must be an address such as 10.1.4.7, or a network such as 10.1.0.0/16") from error


_GLOB: Final = Parsed("glob", _parse_glob)
_TAG: Final = Parsed("key=value", _parse_tag)
_NETWORK: Final = Parsed("network", _parse_network)


@click.command()
@click.argument("glob", type=_GLOB, default="")
@click.option("--rejected", "of", flag_value="rejected", help="Lines that are rejected only.")
@click.option("--dropped", "of", flag_value="dropped", help="Lines whose samples are dropped only, by a rule say.")
@click.option("--sent", "of", flag_value="sent", help="Points as they are sent, with the answer of the cloud.")
@click.option("--tag", type=_TAG, metavar="KEY=VALUE", help="Lines with this tag.")
@click.option("--from", "sender", type=_NETWORK, metavar="IP|CIDR", help="Lines of this sender, or network.")
@click.option(
    "--rate", type=whole(1, 1000), default=20, metavar="N", help="Lines shown a second; the others are counted: 20."
)
@click.option("--for", "seconds", type=LENGTH, default=None, help="End after this time; default: at Ctrl-C.")
@click.option("--raw", "as_raw", is_flag=True, help="Print the lines alone, as received.")
@relay_options
@json_option("Print the events of the API as they come, one a line.")
def tap(
    glob: str,
    admin: Sequence[Address] | None,
    path: Path | None,
    *,
    seconds: float | None,
    as_raw: bool,
    as_json: bool,
    **wanted: Any,  # noqa: ANN401 - the options that go to the relay by their names
) -> None:
    """Show lines as they come, and what becomes of each: its series, or why it is rejected or dropped.

    A GLOB such as "web.*" selects received names; * matches dots, too. With --sent it selects names as sent.
    """
    if as_raw and wanted["of"] == "sent":
        raise click.BadParameter("points are not received: --raw has no meaning for them", param_hint="--sent")
    if wanted["sender"] and wanted["of"] == "sent":
        raise click.BadParameter("a point that is sent has no sender", param_hint="--from")
    relay = need_relay(admin, path)
    say_source(relay, as_json=as_json or as_raw)
    query = {"glob": glob, "of": wanted["of"] or "all", "tag": wanted["tag"] or "", "from": wanted["sender"] or ""}
    query |= {"rate": wanted["rate"]} | ({"seconds": min(seconds, 86_400)} if seconds else {})
    screen = None if as_json else Screen(glob, rate=wanted["rate"], as_raw=as_raw)
    with Interrupt() as interrupt:
        try:
            for text in _events(relay.reached(), query, interrupt):
                screen.show(text) if screen else say(text.decode().rstrip())
        finally:
            if screen:
                screen.finish()


def _events(address: Address, query: dict[str, Any], interrupt: Interrupt) -> Iterator[bytes]:
    """Yield the events of the relay until the last one; after a signal, until the next totals, within a second.

    Raises:
        RelayError: RLY101, no relay answers, it refuses, or it goes away.
    """
    host, port = address
    with closing(http.client.HTTPConnection(host, port, timeout=_TIMEOUT)) as connection:
        try:
            connection.request("GET", f"/api/v1/tap?{urlencode(query, errors='surrogateescape')}")
            answer = connection.getresponse()
            if answer.status != 200:
                raise refusal(address, answer.status, answer.read(10_000).decode("utf-8", "replace"))
            while text := answer.readline():
                yield text
                if isinstance(event := _EVENTS.decode(text), TapTotals) and (event.is_last or interrupt.is_interrupted):
                    return
        except msgspec.MsgspecError as error:
            raise unreachable(f"{join_address(host, port)} is not a relay of this release: {error}", _FIX) from error
        except (OSError, http.client.HTTPException) as error:
            reason = reason_of(error) if isinstance(error, OSError) else "the answer is cut off"
            raise unreachable(f"{_LOST}: {reason}", _FIX) from error
    raise unreachable(_LOST, _FIX)


class Screen:
    """State: the lines shown, and the newest totals of the relay."""

    def __init__(self, glob: str, *, rate: int, as_raw: bool) -> None:
        self._glob = printable(glob)
        self._rate = rate
        self._as_raw = as_raw
        self._width = output_width() if sys.stdout.isatty() else _UNCUT
        self._sender = 0
        self._shown = 0
        self._is_sent = False
        self._totals: TapTotals | None = None

    def show(self, text: bytes) -> None:
        """Print an event."""
        event = _EVENTS.decode(text)
        match event:
            case TapTotals():
                self._totals = event
            case TapStart():
                self._is_sent = event.of == "sent"
                say(self._start(event), err=True)
            case TapNothing():
                say(self._nothing(event), err=True)
            case TapLine() | TapPoint():
                self._shown += 1
                say(self._row(event))

    def _start(self, event: TapStart) -> str:
        what = "as sent from" if event.of == "sent" else f"{'' if event.of == 'all' else f'{event.of}, '}as received on"
        unit = "points" if event.of == "sent" else "lines"
        return f"tapping {self._glob or '*'} {what} {event.host}, at most {self._rate} {unit}/s; Ctrl-C ends"

    def _nothing(self, event: TapNothing) -> str:
        matches = f"matches {self._glob}" if self._glob else "matches"
        near = f" Near: {', '.join(map(printable, event.near))}" if event.near else ""
        came = plural(event.received, "point" if self._is_sent else "line")
        return f"{came} {'were sent' if self._is_sent else 'came'}, none {matches}.{near}         explain NAME"

    def _row(self, event: TapLine | TapPoint) -> str:
        if isinstance(event, TapLine) and self._as_raw:
            return printable(event.line)
        when = _clock(event.at)
        if isinstance(event, TapPoint):
            row = f"{when}  sent      {_series(event)}  {statistics(None, event.values)}  {_answer(event)}"
            return cut(row, self._width)
        self._sender = max(self._sender, len(event.sender))
        return cut(self._line(f"{when}  {printable(event.sender):<{self._sender}}  ", event), self._width)

    def _line(self, start: str, event: TapLine) -> str:
        """Return the row of a line; a long line is cut, a short one not padded, so that what becomes of it shows."""
        verdict = _verdict(event)
        column = _LINE if self._width >= WIDTH_MOST else _LINE_NARROW
        left = self._width - len(start) - len(verdict) - 2
        line = cut(printable(event.line), max(column, left))
        return f"{start}{line:<{min(column, max(0, left))}}  {verdict}"

    def finish(self) -> None:
        """Print the account of all that matched."""
        totals = self._totals
        if totals is None:
            return
        matched = self._shown + totals.hidden + totals.lost
        came = number(max(totals.received, matched))
        rest = f"{number(totals.hidden)} not shown (--rate), {number(totals.lost)} lost by the tap"
        if totals.unjudged:
            rest += f"; {plural(totals.unjudged, 'line')} of new names not judged"
        unit = plural(matched, "point" if self._is_sent else "line")
        text = f"{unit} matched of {came} in {totals.seconds:.0f} s: {number(self._shown)} shown, {rest}"
        say(text, err=True)


def _clock(at: datetime) -> str:
    return at.astimezone().strftime("%H:%M:%S.%f")[:-3]


def _series(event: TapLine | TapPoint) -> str:
    shown = {"overflow": "true"} if event.dimensions.get("overflow") == "true" else event.dimensions
    dimensions = " ".join(f"{key}={value}" for key, value in sorted(shown.items()))
    return printable(f"{event.namespace}/{event.metric}  {dimensions}")


def _verdict(event: TapLine) -> str:
    if event.verdict == "rejected":
        return printable(f"REJECTED {event.reason}: {event.explanation}")
    if event.verdict == "dropped":
        pattern = f' "{event.pattern}"' if event.reason == "rule" else ""
        return printable(f"DROPPED  {event.explanation}{pattern}")
    if event.verdict == "event":
        return "an event or a service check: it makes no metric"
    return f"{event.type}  {_series(event)}{f'  {event.code}' if event.code else ''}"


def _answer(event: TapPoint) -> str:
    if event.outcome == "accepted":
        return f"accepted {event.request_id[:_ID]}.." if event.request_id else "accepted"
    return printable(f'{event.outcome} "{event.detail}"')
