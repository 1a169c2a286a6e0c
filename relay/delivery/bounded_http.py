"""Limits what a server may send before a response body: the number of 1xx responses and the bytes of headers.

aiohttp reads interim (1xx) responses without a limit and without backpressure: 50 MiB received took 400 MiB in 16 s.
Beyond the bounds here the connection is aborted, and the request counts as unanswered. Received data is parsed in
slices, so that the bounds are checked every few KiB even if much data arrives at once.

Bytes after a complete response cannot be the next response, since the next request is not sent yet. The connection is
aborted, and the next request opens a new one.

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

_RESPONSES_MAX: Final = 16
"""Responses per request, interim ones included. In practice one or two of 100, 102 and 103 precede the final one."""
_HEADER_BYTES_MAX: Final = 65_536
_SLICE: Final = 4_096
"""Bytes parsed before the bounds are checked. 4 KiB hold at most 200 interim responses, parsed in 2 ms."""
_FINAL_STATUS_MIN: Final = 200
"""Lowest status of a final response. 101 is final, too, but is never requested."""


class HeadTooLargeError(ClientPayloadError):
    """The server sent too many responses, or too many bytes of headers, before a response body."""


class BoundedConnector(TCPConnector):
    """A TCPConnector whose connections use BoundedHandler as their protocol. State: aiohttp's."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - aiohttp's own
        super().__init__(**options)
        self._factory = partial(BoundedHandler, loop=self._loop)  # type: ignore[assignment]  # a subclass


class BoundedHandler(ResponseHandler):
    """State: aiohttp's, and the number of responses and of bytes received before the body of the awaited response."""

    _responses = 0
    _bytes = 0
    _is_final = False

    def set_response_params(self, **params: Any) -> None:  # noqa: ANN401 - aiohttp's own
        """Reset the counters for the next response."""
        self._responses, self._bytes, self._is_final = 0, 0, False
        super().set_response_params(**params)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Count a response, interim or final, when its headers are complete."""
        self._responses += 1
        self._is_final = self._is_final or data[0].code >= _FINAL_STATUS_MIN
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        """Parse received bytes within the bounds; bytes after a complete response abort the connection."""
        if self._is_final and self._payload is not None and self._payload.is_eof() and self.transport is not None:
            self.force_close()
            self.transport.abort()
            return
        for start in range(0, len(data) or 1, _SLICE):
            piece = data[start : start + _SLICE]
            super().data_received(piece)
            self._bytes += 0 if self._is_final else len(piece)
            if self._responses > _RESPONSES_MAX or self._bytes > _HEADER_BYTES_MAX:
                self._abort()
            if self.transport is None or self.exception() is not None:
                return

    def _abort(self) -> None:
        transport = self.transport
        if transport is not None:
            self.set_exception(
                HeadTooLargeError(f"over {_RESPONSES_MAX} responses or {_HEADER_BYTES_MAX} bytes before a body")
            )
            transport.abort()
