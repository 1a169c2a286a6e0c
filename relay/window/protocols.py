"""The neighbours of the closer as Protocols, and the values that they exchange.

hotpath, naming, jdcloud and delivery implement them without importing this folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from relay.ledger import MetricCounts
    from relay.model import Batch, ClosedWindow, Identity, NoSeries, Point, Resolution


class HotPath(Protocol):
    """The part of the hot path that the closer uses."""

    def open_window(self, start: int) -> None:
        """Set the id of the open window."""

    def unresolved(self, limit: int) -> list[Identity]:
        """Return unnamed identities, those of the closing window first."""
        ...

    def resolve(self, answers: Sequence[tuple[Identity, Resolution | NoSeries]]) -> None:
        """Apply naming's answers."""

    def close_window(self, next_start: int, *, folds: bool = False, renames: bool = False) -> None:
        """Replace the table of the open window with an empty one.

        Args:
            next_start: id of the new window.
            folds: the new window has catch-all series only.
            renames: naming is asked again for every identity.
        """

    def abandon_names(self) -> bool:
        """Put some unnamed identities of the closing window into catch-all series; return whether it is settled."""
        ...

    def settled(self) -> bool:
        """Return whether the closing window has no unnamed identity."""
        ...

    def closed_window(self) -> ClosedWindow:
        """Return the closing window. Call it once, when the window is settled."""
        ...

    def export_gauges(self) -> Iterator[bytes]:
        """Yield the current gauge values as frames of a checkpoint."""
        ...


class Namer(Protocol):
    """The part of naming that the closer uses."""

    def resolve(self, identity: Identity) -> Resolution | NoSeries:
        """Return the series of an identity, or the reason why it has none."""
        ...

    @property
    def host(self) -> str:
        """Value of the `host` dimension for series without a `host` tag of their own."""
        ...

    def export_classes(self) -> Iterator[bytes]:
        """Yield the owner class of every bare name, in parts."""
        ...


class Encoding(Protocol):
    """The points of one window, iterable once; the counters are final after the iteration."""

    samples_dropped: int
    points_collided: int
    points_shed: int
    values_clamped: int
    clamped_metric: str
    metrics: MetricCounts
    known: AbstractSet[int] | None
    keys: set[int]
    series_new: int
    requests_needed: int
    requests_allowed: float

    @property
    def over_quota(self) -> bool:
        """Whether the window exceeds its share of the quota, so that percentiles are dropped; known after `prepare`."""
        ...

    def prepare(self) -> Iterator[None]:
        """Read the names of all series, one step each; must end before the iteration."""
        ...

    def __iter__(self) -> Iterator[Point]:
        """Encode the points lazily."""
        ...


class Spool(Protocol):
    """The part of the spool that the closer uses."""

    @property
    def committed(self) -> Collection[int]:
        """Ids of the stored windows."""
        ...

    async def store(self, window: int, batches: Sequence[Batch], state: Mapping[str, bytes], *, samples: int) -> None:
        """Commit one window; `samples` is the number of samples in its requests."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowReport:
    """The figures of a closed window, for the log."""

    start: int
    samples: int
    series: int
    points: int
    requests: int
    seconds: float
    """Duration from the swap until the window was stored."""
    late: float
    """Seconds from the window's end until it was stored."""
    metrics: MetricCounts
    """Its series and samples, by metric."""
    new_series: int
    """Series that the window before had not; 0 for the first window of a process."""
    over_quota: tuple[int, int] | None = None
    """(requests needed with percentiles, requests allowed), if the percentiles were dropped; else None."""


class Pipeline(NamedTuple):
    """How the identities of a window are named, and how its points are encoded."""

    namer: Namer
    encode: Callable[[ClosedWindow], Encoding]
