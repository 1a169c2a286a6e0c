"""What comes before the body of an answer, bounded: interim answers (103 and the like) and the head itself.

aiohttp reads interim answers without end and without holding the peer back: 50 MiB became 400 in 16 s. Here at most so
many answers and bytes come before a body; beyond, the connection is cut and the request has no answer. Data is parsed
in slices, so that a bound is seen soon after it is passed, whatever arrives at once. What comes after an answer is no
answer to the next request, which is not sent yet: the connection is cut, and the next request gets another one.
Imported with aiohttp, which takes long: transport.py does so in a thread.
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
"""Of a request: 100, 102 and 103 come once or twice in practice, and exactly one after them."""
_HEAD_BYTES: Final = 65_536
_SLICE: Final = 4_096
"""Bytes parsed at a time: at most 200 interim answers, which take 2 ms."""
_FINAL: Final = 200
"""The least status that ends an exchange; 101 is none that was asked for."""


class EndlessHeadError(ClientPayloadError):
    """There was more before the body than any server sends."""


class BoundedConnector(TCPConnector):
    """State: aiohttp's; its connections are bounded."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - aiohttp's own
        super().__init__(**options)
        self._factory = partial(BoundedHandler, loop=self._loop)  # type: ignore[assignment]  # a subclass


class BoundedHandler(ResponseHandler):
    """State: aiohttp's, and of the answer that is awaited how much came before its body."""

    _answers = 0
    _bytes = 0
    _is_final = False

    def set_response_params(self, **params: Any) -> None:  # noqa: ANN401 - aiohttp's own
        """Begin to wait for another answer."""
        self._answers, self._bytes, self._is_final = 0, 0, False
        super().set_response_params(**params)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Count an answer whose head is complete."""
        self._answers += 1
        self._is_final = self._is_final or data[0].code >= _FINAL
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        """Parse what arrives, within the bounds; nothing is expected once the answer is complete."""
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
