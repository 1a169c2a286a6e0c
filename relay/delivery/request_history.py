"""The newest requests as they were sent, with what the cloud answered, for people who ask what became of a metric.

The bodies stay compressed, as the spool has them, so that an entry costs a reference and no work. Bounded in bytes by
`[admin] history`; the oldest entries make room. A request is added once, when each of its points is accepted, refused
or dropped. A watcher sees each request as it is added. Not known here: requests that wait.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_ENTRY_BYTES: Final = 400
"""Memory of an entry beside its body."""

Outcome = Literal["accepted", "refused", "dropped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SentRequest:
    """A request of which every point has an outcome."""

    window: int
    at: float
    """Wall time of the outcome."""
    body: bytes
    """Compressed with zlib."""
    outcome: Outcome
    """Of the points that `refused` does not name."""
    request_id: str = ""
    """The cloud's id of the last answer that accepted points; for a refused request, of the last refusal."""
    detail: str = ""
    """The cloud's words, or the relay's, if the whole request was refused or dropped."""
    refused: Mapping[int, str]
    """Position of a refused point in the body -> the cloud's words."""


class PointBody(msgspec.Struct):
    """A point in the body of a request."""

    metric: str
    namespace: str = ""
    dimensions: dict[str, str] = {}
    values: dict[str, float] = {}


class _Body(msgspec.Struct):
    metricDataList: list[PointBody]  # noqa: N815 - the API's name


_BODIES: Final = msgspec.json.Decoder(_Body)


def read_points(body: bytes) -> list[PointBody]:
    """Return the points of an inflated body, in their order."""
    return _BODIES.decode(body).metricDataList


class RequestHistory:
    """State: the requests, oldest first, and their bytes; the watchers.

    Args:
        limit: bytes; 0 keeps nothing.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._requests: deque[SentRequest] = deque()
        self.bytes = 0
        self.watchers: list[Callable[[SentRequest], None]] = []
        """Called with each request that is added; they must not raise."""

    def __len__(self) -> int:
        """Return the number of requests."""
        return len(self._requests)

    def __iter__(self) -> Iterator[SentRequest]:
        """Iterate over the requests that are there now, newest first; requests may be added meanwhile."""
        return iter([*reversed(self._requests)])

    def add(self, request: SentRequest) -> None:
        """Add a request that has an outcome now; one that is larger than the limit is not kept."""
        for watch in self.watchers:
            watch(request)
        self._requests.append(request)
        self.bytes += _size(request)
        while self.bytes > self._limit:
            self.bytes -= _size(self._requests.popleft())


def _size(request: SentRequest) -> int:
    words = sum(map(len, request.refused.values()))
    return len(request.body) + len(request.detail) + words + _ENTRY_BYTES
