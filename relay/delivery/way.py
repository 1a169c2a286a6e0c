"""What sending needs from its neighbours: the API side of a request, and the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relay.model import Batch, Reply, Verdict


class Cloud(Protocol):
    """The API side of a request."""

    url: str

    def renew(self) -> bool:
        """Read the credentials again, which may block on a disk; return whether they changed."""
        ...

    def request_headers(self, body: bytes, *, now: float) -> dict[str, str]:
        """Headers of one attempt."""
        ...

    def classify(self, reply: Reply, batch: Batch, *, now: float) -> Verdict:
        """What an answer means."""
        ...

    def points(self, batch: Batch) -> Sequence[bytes]:
        """The points of a batch, byte for byte."""
        ...

    def part(self, batch: Batch, indexes: Sequence[int]) -> Batch:
        """A batch of some points of another, byte for byte."""
        ...


class Transport(Protocol):
    """The way out."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send one request; a TransportError says that there was no complete answer."""
        ...

    async def close(self) -> None:
        """Release connections."""
