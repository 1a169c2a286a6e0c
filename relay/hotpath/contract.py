"""The contract of the two hot paths: `HotPath`, its settings, and the memory bounds derived from them.

python/hotpath.py and native/ implement it; what holds for both is decided here. Does not know: sockets, windows on
disk, the configuration file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypedDict, Unpack

from relay import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from relay.hotpath.partial import PartialContents
    from relay.hotpath.tap import TapCounts, TapFilter, TappedLine
    from relay.model import (
        ClosedWindow,
        Identity,
        Kind,
        NoSeries,
        RejectedLine,
        Resolution,
        Row,
        Senders,
        Series,
        Tally,
        TopSender,
    )


class HotPathSettings(TypedDict):
    """Settings of a hot path; both implementations take them as keywords."""

    series_limit: int
    series_per_metric: int
    memory: int
    """Bound of the memory for series and identities, in bytes."""
    window_seconds: int
    max_age: float
    """Seconds; older samples are dropped."""
    idle_gauge_ttl: float
    """Seconds for which an idle gauge repeats its value; 0: never, infinity: always."""
    exact_samples: int
    """Samples of a timer kept exactly before it uses bins: 4 times a power of two, at most 32,768."""
    gauge_deltas: bool
    """A signed number of a gauge is a delta; False: it is the value."""
    separators: str
    """Characters that may begin an inline tag; the metric's name ends at the first one."""
    catch_all: Callable[[Kind], Series]
    """Returns the catch-all series of a class, which takes samples that find no other place."""


def delta_signs(settings: HotPathSettings) -> bytes:
    """Return the signs that make a gauge's number a delta."""
    return b"+-" if settings["gauge_deltas"] else b""


class IdentityLimits(TypedDict):
    """Bounds of the cache of identities in number and bytes, and the characters that may begin an inline tag."""

    limit: int
    memory: int
    separators: bytes


def identity_limits(settings: HotPathSettings) -> IdentityLimits:
    """Return the bounds of the cache of identities."""
    return {
        "limit": settings["series_limit"] * limits.IDENTITIES_PER_SERIES,
        "memory": int(settings["memory"] * limits.IDENTITIES_SHARE),
        "separators": settings["separators"].encode(),
    }


def pending_limits(settings: HotPathSettings) -> dict[str, int]:
    """Return the bounds of the identities that wait for their names in a window."""
    return {
        "limit": settings["series_limit"],
        "memory": int(settings["memory"] * limits.PENDING_SHARE),
        "exact_samples": settings["exact_samples"],
    }


def table_limits(settings: HotPathSettings) -> dict[str, int]:
    """Return the bounds of a window's table."""
    return {
        "series_limit": settings["series_limit"],
        "series_per_metric": settings["series_per_metric"],
        "memory": int(settings["memory"] * limits.TABLES_SHARE),
        "exact_samples": settings["exact_samples"],
    }


class Reader(Protocol):
    """One socket's reader: `run` is the body of a thread and ends once its stop descriptor is readable."""

    @property
    def datagrams(self) -> int:
        """Datagrams received so far."""
        ...

    def run(self) -> None:
        """Read until the stop descriptor is readable; the GIL is not held."""


class HotPath(Protocol):
    """The contract of both implementations. PythonHotPath (python/hotpath.py) documents every method."""

    name: str
    """`native` or `python`."""

    def feed(self, datagram: bytes, now: float, peer: tuple[str, int] | None = None, listener: int = 0) -> None: ...  # noqa: D102
    def reject(  # noqa: D102
        self, line: bytes, reason: str, now: float, peer: tuple[str, int] | None = None, listener: int = 0
    ) -> None: ...
    def drain(self, fd: int, now: float, listener: int = 0) -> int: ...  # noqa: D102
    def reader(self, fd: int, stop_fd: int, delay: float, listener: int = 0) -> Reader | None: ...  # noqa: D102
    def tee(self, fds: Sequence[int]) -> None: ...  # noqa: D102
    def tee_counts(self) -> list[tuple[int, int]]: ...  # noqa: D102
    def unresolved(self, limit: int) -> list[Identity]: ...  # noqa: D102
    def top_senders(self) -> list[TopSender]: ...  # noqa: D102
    def dropped_by_rule(self) -> dict[int, int]: ...  # noqa: D102
    def resolve(self, answers: Sequence[tuple[Identity, Resolution | NoSeries]]) -> None: ...  # noqa: D102
    def open_window(self, start: int) -> None: ...  # noqa: D102
    def close_window(self, next_start: int, *, folds: bool = False, renames: bool = False) -> None: ...  # noqa: D102
    def abandon_names(self) -> bool: ...  # noqa: D102
    def settled(self) -> bool: ...  # noqa: D102
    def closed_window(self) -> ClosedWindow: ...  # noqa: D102
    def export(self, *, changed: bool = False) -> Iterator[tuple[int, bytes]]: ...  # noqa: D102
    def export_gauges(self) -> Iterator[bytes]: ...  # noqa: D102
    def merge(self, exported: bytes) -> int: ...  # noqa: D102
    def recover(self, checkpoint: bytes) -> PartialContents: ...  # noqa: D102
    def snapshot(self) -> Iterator[list[Row]]: ...  # noqa: D102
    def gauges(self) -> Iterator[list[tuple[Series, float]]]: ...  # noqa: D102
    def list_series(self, first: int, count: int) -> list[Series]: ...  # noqa: D102
    def delete(self, series: Iterable[Series]) -> list[Series]: ...  # noqa: D102
    def configure(self, **settings: Unpack[HotPathSettings]) -> None: ...  # noqa: D102
    def rejects(self) -> list[RejectedLine]: ...  # noqa: D102
    def senders(self) -> Senders: ...  # noqa: D102
    def open_tap(self, wanted: TapFilter) -> int | None: ...  # noqa: D102
    def close_tap(self, number: int) -> None: ...  # noqa: D102
    def tapped(self, number: int) -> tuple[list[TappedLine], TapCounts]: ...  # noqa: D102
    def overflows(self, identity: Identity) -> bool: ...  # noqa: D102
    def allow(self, cidrs: Iterable[str]) -> None: ...  # noqa: D102
    def admits(self, peer: tuple[str, int] | None) -> bool: ...  # noqa: D102
    def tally(self) -> Tally: ...  # noqa: D102
