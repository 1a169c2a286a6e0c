"""`GET /api/v1/windows`: windows as they close, with their points, as a stream of JSON objects, one a line.

The first line has `version`, `seconds` and the id of the `open` window. Each further line is a window: `start`,
`seconds`, and `points` as they are sent. A last line has `end`, the reason why no more come. A line is written in
pieces, so that 50,000 points do not block the event loop. A client that needs over 30 s for a piece is disconnected.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from relay import __version__
from relay.admin.http.endpoint import ApiError, Endpoint, NoParameters
from relay.admin.subscribers import SUBSCRIBERS_MOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from relay.admin.subscribers import PublishedWindow, Subscriber, WindowSubscribers

_PIECE: Final = 500
"""Points written at a time: about 100 KiB."""
_STALL: Final = 30.0
"""Seconds for a client to read a piece."""


def window_endpoints(windows: WindowSubscribers, open_id: Callable[[], int]) -> list[Endpoint[Any]]:
    """Return `GET /api/v1/windows`; `open_id` returns the id of the open window."""

    async def stream(request: web.Request, _: NoParameters) -> web.StreamResponse:
        since = open_id()
        subscriber = windows.subscribe(since)
        if subscriber is None:
            raise ApiError(503, f"{SUBSCRIBERS_MOST} clients read this stream already", fix="end one of them")
        response = web.StreamResponse(headers={"content-type": "application/x-ndjson"})
        try:
            await response.prepare(request)
            await response.write(_line(version=__version__, seconds=windows.seconds, open=since))
            await _write_windows(response, subscriber)
        except (TimeoutError, ConnectionError):
            if request.transport:
                request.transport.abort()
        finally:
            windows.unsubscribe(subscriber)
        return response

    return [
        Endpoint(
            path="/api/v1/windows",
            summary="Windows as they close, with their points as they are sent: a stream of JSON objects, one a line.",
            handle=stream,
            parameters=NoParameters,
            stream="application/x-ndjson",
            fails_with=[503],
        )
    ]


async def _write_windows(response: web.StreamResponse, subscriber: Subscriber) -> None:
    """Write the subscriber's windows until the subscription ends.

    Raises:
        TimeoutError: the client did not read a piece in time.
    """
    while window := await subscriber.next_window():
        for piece in _pieces(window):
            async with asyncio.timeout(_STALL):
                await response.write(piece)
            await asyncio.sleep(0)  # a write to a fast reader returns without yielding to the event loop
    async with asyncio.timeout(_STALL):
        await response.write(_line(end=subscriber.end))


def _pieces(window: PublishedWindow) -> Iterator[bytes]:
    """Yield the bytes of a window's line."""
    yield b'{"start":%d,"seconds":%d,"points":[' % (window.start, window.seconds)
    for first in range(0, len(window.points), _PIECE):
        yield (b"," if first else b"") + b",".join(window.points[first : first + _PIECE])
    yield b"]}\n"


def _line(**fields: object) -> bytes:
    return json.dumps(fields).encode() + b"\n"
