"""The newest requests as they were sent, with what the cloud answered, for people who ask what became of a metric.

The bodies stay compressed, as the spool has them, so that an entry costs a reference and no work. Bounded in bytes by
`[admin] history`; the oldest entries make room. A request is added once, when each of its points is accepted, refused
or dropped. Not known here: requests that wait, and the names in a body.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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


class RequestHistory:
    """State: the requests, oldest first, and their bytes.

    Args:
        limit: bytes; 0 keeps nothing.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._requests: deque[SentRequest] = deque()
        self.bytes = 0

    def __len__(self) -> int:
        """Return the number of requests."""
        return len(self._requests)

    def __iter__(self) -> Iterator[SentRequest]:
        """Iterate over the requests that are there now, newest first; requests may be added meanwhile."""
        return iter([*reversed(self._requests)])

    def add(self, request: SentRequest) -> None:
        """Add a request that has an outcome now; one that is larger than the limit is not kept."""
        self._requests.append(request)
        self.bytes += _size(request)
        while self.bytes > self._limit:
            self.bytes -= _size(self._requests.popleft())


def _size(request: SentRequest) -> int:
    words = sum(map(len, request.refused.values()))
    return len(request.body) + len(request.detail) + words + _ENTRY_BYTES
