"""What the closer needs from its neighbours, and what it tells them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from relay.model import Batch, ClosedWindow, Identity, NoSeries, Point, Resolution


class HotPath(Protocol):
    """What the closer needs from the hot path."""

    def open_window(self, start: int) -> None:
        """Set the id of the open window."""

    def unresolved(self, limit: int) -> list[Identity]:
        """Identities without an answer from naming; those of the closing window first."""
        ...

    def resolve(self, answers: Sequence[tuple[Identity, Resolution | NoSeries]]) -> None:
        """Give the answers."""

    def close_window(self, next_start: int, *, folds: bool = False, renames: bool = False) -> None:
        """Swap tables; the window that opens has no series of its own (`folds`), or asks for names anew (`renames`)."""

    def abandon_names(self) -> bool:
        """Give up some of the names that the closing window waits for; say whether it is settled."""
        ...

    def settled(self) -> bool:
        """Say whether every identity of the closing window has its answer."""
        ...

    def closed_window(self) -> ClosedWindow:
        """Hand out the table that was swapped away, fully named."""
        ...

    def export_gauges(self) -> Iterator[bytes]:
        """Current gauge values as frames of a partial."""
        ...


class Namer(Protocol):
    """What the closer needs from naming."""

    def resolve(self, identity: Identity) -> Resolution | NoSeries:
        """Answer for one identity."""
        ...

    @property
    def host(self) -> str:
        """Whose series they are."""
        ...

    def export_classes(self) -> Iterator[bytes]:
        """Which class owns which bare name, in parts."""
        ...


class Encoding(Protocol):
    """Points of one window, iterable once; the counters are final when it is exhausted."""

    samples_dropped: int
    points_collided: int
    points_shed: int
    values_clamped: int
    clamped_metric: str
    requests_needed: int
    requests_allowed: float

    @property
    def over_quota(self) -> bool:
        """Whether the window needs so much of the quota that its percentiles are shed; known after `prepare`."""
        ...

    def prepare(self) -> Iterator[None]:
        """Look at every name first, a step each."""
        ...

    def __iter__(self) -> Iterator[Point]:
        """Encode."""
        ...


class Spool(Protocol):
    """What the closer needs from the spool."""

    @property
    def committed(self) -> Collection[int]:
        """Ids of the windows that were stored, kept for max_age."""
        ...

    async def store(self, window: int, batches: Sequence[Batch], state: Mapping[str, bytes], *, samples: int) -> None:
        """Commit one window in one transaction; so many samples are in its requests."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowReport:
    """What the log line about a closed window says."""

    start: int
    samples: int
    points: int
    requests: int
    seconds: float
    """Spent on the close."""
    late: float
    """Seconds from the window's end until it was stored."""
    over_quota: tuple[int, int] | None = None
    """Requests that the window needed with its percentiles, which were shed, and how many were allowed."""


class Pipeline(NamedTuple):
    """What a window's series are called and how its points look."""

    namer: Namer
    encode: Callable[[ClosedWindow], Encoding]
