"""Bounds on what precedes the body of an answer: the number of interim answers (103 and the like), and bytes of heads.

aiohttp reads interim answers without a limit and without backpressure: 50 MiB received took 400 MiB in 16 s. Beyond
the bounds here the connection is aborted, and the request counts as unanswered. Received data is parsed in slices, so
that a bound is checked every few KiB even if much data arrives at once.

Bytes after a complete answer cannot belong to the next request, which was not sent yet. So the connection is aborted,
and the next request opens another one.

Importing aiohttp is slow, so transport.py imports this module in a thread.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aiohttp import ClientPayloadError, TCPConnector
from aiohttp.client_proto import ResponseHandler

if TYPE_CHECKING:
    from aiohttp.http import RawResponseMessage
    from aiohttp.streams import StreamReader

_ANSWERS: Final = 16
"""Answers per request, interim ones included: in practice one or two of 100, 102 and 103, then the final one."""
_HEAD_BYTES: Final = 65_536
_SLICE: Final = 4_096
"""Bytes parsed at a time: at most 200 interim answers, which take 2 ms."""
_FINAL: Final = 200
"""The lowest final status; 101 is never requested."""


class EndlessHeadError(ClientPayloadError):
    """An answer exceeded the bounds before its body began."""


class BoundedConnector(TCPConnector):
    """State: aiohttp's; its connections are made by `BoundedHandler`."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - aiohttp's own
        super().__init__(**options)
        self._factory = partial(BoundedHandler, loop=self._loop)  # type: ignore[assignment]  # a subclass


class BoundedHandler(ResponseHandler):
    """State: aiohttp's; the answers and bytes received before the body of the awaited answer."""

    _answers = 0
    _bytes = 0
    _is_final = False

    def set_response_params(self, **params: Any) -> None:  # noqa: ANN401 - aiohttp's own
        """Reset the counters for the next answer."""
        self._answers, self._bytes, self._is_final = 0, 0, False
        super().set_response_params(**params)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Count an answer, interim or final, when its head is complete."""
        self._answers += 1
        self._is_final = self._is_final or data[0].code >= _FINAL
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        """Parse received bytes within the bounds; bytes after a complete answer abort the connection."""
        if self._is_final and self._payload is not None and self._payload.is_eof() and self.transport is not None:
            self.force_close()
            self.transport.abort()
            return
        for start in range(0, len(data) or 1, _SLICE):
            piece = data[start : start + _SLICE]
            super().data_received(piece)
            self._bytes += 0 if self._is_final else len(piece)
            if self._answers > _ANSWERS or self._bytes > _HEAD_BYTES:
                self._refuse()
            if self.transport is None or self.exception() is not None:
                return

    def _refuse(self) -> None:
        transport = self.transport
        if transport is not None:
            self.set_exception(EndlessHeadError(f"over {_ANSWERS} answers or {_HEAD_BYTES} bytes before a body"))
            transport.abort()
