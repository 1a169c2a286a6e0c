"""`GET /api/v1/tap`: lines as they come with what becomes of each, or points as they are sent; a stream of events.

A reader that accepts nothing for ten seconds, or whose machine is gone, is disconnected: its tap ends. The events are
JSON objects, one a line, or server-sent events if the request asks for `text/event-stream`.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from aiohttp import web

from relay.admin.answers.tap import TapEvent, TapNothing, TapStart, TapTotals
from relay.admin.http.endpoint import ApiError, Endpoint
from relay.admin.http.guard import GUARD
from relay.admin.taps import TapRequest, Taps
from relay.limits import TAP_TEXT, TAPS_MOST
from relay.wording import as_utc

if TYPE_CHECKING:
    from relay.admin.protocols import Relay
    from relay.admin.taps import Tap

_POLL: Final = 0.1
"""Seconds between two looks at a tap."""
_STALL: Final = 10.0
"""Seconds for a reader to accept what was written."""
_TOTALS: Final = 1.0
"""Seconds between two events with the totals; they also find a reader that is gone."""
_QUIET: Final = 10.0
"""Seconds without a match after which is told what came instead."""
_LAST_READS: Final = 12
"""Reads at the end: more than what waits, unless the reader is slow."""
_BUFFER: Final = 65_536
"""Bytes of the send buffer: what a slow reader has not taken should wait in the tap, where it is counted."""
_EVENT_STREAM: Final = "text/event-stream"

Text = Annotated[str, msgspec.Meta(max_length=TAP_TEXT)]


class TapQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is shown."""

    glob: Text = ""
    """Of received names (of `sent`: of names as sent); `*` matches dots, too. Empty: every name."""
    of: Literal["all", "rejected", "dropped", "sent"] = "all"
    tag: Text = ""
    """key=value."""
    sender: Text = msgspec.field(name="from", default="")
    """Address or network (CIDR) of the sender."""
    rate: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 20
    """Lines a second that are shown; the others are counted."""
    seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 86_400
    """After which the stream ends."""


def tap_endpoints(relay: Relay) -> list[Endpoint[Any]]:
    """Return `GET /api/v1/tap`."""
    taps = Taps(relay)

    async def stream(request: web.Request, query: TapQuery) -> web.StreamResponse:
        tap = _open(taps, query)
        try:
            request.app[GUARD].log("tap began", request, glob=query.glob, of=query.of)
            writer = _Writer(request)
            await writer.begin()
            with suppress(TimeoutError, ConnectionError):
                await _Session(relay, taps, tap, query).run(writer)
                return writer.response
            writer.abort()
            return writer.response
        finally:
            taps.close(tap)

    return [
        Endpoint(
            path="/api/v1/tap",
            summary="Lines as they come, with what becomes of each, or points as they are sent: a stream of events.",
            handle=stream,
            parameters=TapQuery,
            stream="application/x-ndjson",
            fails_with=[503],
        )
    ]


def _open(taps: Taps, query: TapQuery) -> Tap:
    try:
        wanted = TapRequest(of=query.of, glob=query.glob, tag=query.tag, sender=query.sender, rate=query.rate)
        tap = taps.open(wanted)
    except ValueError as error:
        raise ApiError(400, str(error)) from error
    if tap is None:
        raise ApiError(503, f"{TAPS_MOST} taps are open, which is the most", fix="end one of them")
    return tap


class _Writer:
    """State: the response, and whether its reader wants server-sent events."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._is_sse = _EVENT_STREAM in request.headers.get("Accept", "")
        kind = _EVENT_STREAM if self._is_sse else "application/x-ndjson"
        self.response = web.StreamResponse(headers={"content-type": kind, "cache-control": "no-store"})

    async def begin(self) -> None:
        """Send the head; let the system end a connection to a machine that is gone."""
        sock = self._request.transport.get_extra_info("socket") if self._request.transport else None
        if sock is not None:
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(_STALL * 1000))
        await self.response.prepare(self._request)

    async def write(self, event: TapEvent) -> None:
        """Write an event.

        Raises:
            TimeoutError: the reader does not accept it.
        """
        text = msgspec.json.encode(event)
        kind = type(event).__struct_config__.tag
        written = b"event: %b\ndata: %b\n\n" % (str(kind).encode(), text) if self._is_sse else text + b"\n"
        async with asyncio.timeout(_STALL):
            await self.response.write(written)

    def abort(self) -> None:
        """Close the connection without sending what waits."""
        if self._request.transport:
            self._request.transport.abort()


class _Session:
    """State: the times at which a tap began, wrote and matched."""

    def __init__(self, relay: Relay, taps: Taps, tap: Tap, query: TapQuery) -> None:
        self._relay, self._taps, self._tap, self._query = relay, taps, tap, query
        self._clock = relay.context.clock
        self._began = self._told = self._matched = self._clock.monotonic()
        self._is_told = False

    async def run(self, writer: _Writer) -> None:
        """Write events until the time is up or the relay stops.

        Raises:
            TimeoutError: the reader does not accept them.
        """
        query = self._query
        await writer.write(
            TapStart(
                at=as_utc(self._clock.wall()),
                host=self._relay.namer.host,
                of=query.of,
                glob=query.glob,
                rate=query.rate,
            )
        )
        while self._clock.monotonic() - self._began < query.seconds and not self._relay.is_stopping:
            await self._write_some(writer)
            await self._clock.sleep(_POLL)
        for _ in range(_LAST_READS):
            await self._write_some(writer, is_last=True)
        await writer.write(self._totals(is_last=True))

    async def _write_some(self, writer: _Writer, *, is_last: bool = False) -> None:
        events: list[TapEvent] = [*self._tap.read(is_last=is_last)]
        now = self._clock.monotonic()
        if events:
            self._matched, self._is_told = now, False
        elif now - self._matched >= _QUIET and not self._is_told:
            self._is_told = True
            events = [TapNothing(received=self._tap.counts.received, near=await self._taps.near(self._query.glob))]
        if now - self._told >= _TOTALS and not is_last:
            self._told = now
            events.append(self._totals())
        for event in events:
            await writer.write(event)

    def _totals(self, *, is_last: bool = False) -> TapTotals:
        """Return the totals; at the end, what still waits for the reader is lost."""
        counts = self._tap.counts
        return TapTotals(
            is_last=is_last,
            seconds=round(self._clock.monotonic() - self._began, 3),
            received=counts.received,
            matched=counts.matched,
            shown=counts.shown,
            hidden=counts.hidden,
            lost=counts.matched - counts.shown - counts.hidden if is_last else counts.lost,
            unjudged=counts.unjudged,
        )
