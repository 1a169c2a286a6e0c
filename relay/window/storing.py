"""Encodes, packs and stores closed windows, one after the other, in the order they ended.

The windows have left the hot path: the next window is open meanwhile. The work is cut in slices, so that the event loop
never stalls over 20 ms. Invariant (I5): the samples of a window move from closing to closed and dropped in one step.

Does not know: naming, the ends of windows, steps of the clock.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from relay.clock import paced
from relay.window.protocols import WindowReport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from relay.context import Context
    from relay.model import Batch, ClosedWindow, Point
    from relay.window.protocols import Encoding, HotPath, Spool

T = TypeVar("T")


class ClosingWindow(NamedTuple):
    """A closed window that has left its hot path and is not stored yet."""

    window: ClosedWindow
    hotpath: HotPath
    encode: Callable[[ClosedWindow], Encoding]
    """Encoder with the settings that the window was received under."""
    swapped_at: float
    """Monotonic time of the swap."""
    ended_at: float
    """Monotonic time of the window's end."""


class ClosingWindows:
    """State: the windows that are not stored yet, oldest first, and the keys of the one stored last.

    Args:
        pack: groups the points of a window into batches; it may add points.
        state: returns the state stored with a window beside the gauges, as lazy parts.
        between: awaited between two slices, so that other tasks run.
    """

    def __init__(
        self,
        *,
        pack: Callable[[Iterable[Point], ClosedWindow], Iterator[Batch]],
        spool: Spool,
        context: Context,
        state: Callable[[], Mapping[str, Iterable[bytes]]],
        on_closed: Callable[[WindowReport], None],
        between: Callable[[], Awaitable[None]],
    ) -> None:
        self._pack = pack
        self._spool = spool
        self._ledger, self._clock = context.ledger, context.clock
        self._state = state
        self._on_closed = on_closed
        self._between = between
        self._windows: deque[ClosingWindow] = deque()
        self._keys: AbstractSet[int] | None = None
        """Hashes of the keys of the window stored last."""

    def __len__(self) -> int:
        """Return the number of windows not stored yet."""
        return len(self._windows)

    @property
    def ids(self) -> list[int]:
        """Ids of the windows not stored yet."""
        return [closing.window.start for closing in self._windows]

    def add(self, closing: ClosingWindow) -> None:
        """Add a window; the ledger counts its samples as closing from now on."""
        self._ledger.samples_closing += closing.window.samples
        self._windows.append(closing)

    async def store_oldest(self) -> None:
        """Encode, pack and store the oldest window."""
        closing = self._windows[0]
        window, encoding = closing.window, closing.encode(closing.window)
        encoding.known = self._keys
        async for _ in self._paced(encoding.prepare()):
            pass
        batches = [batch async for batch in self._paced(self._pack(encoding, window))]
        parts = {"gauges": closing.hotpath.export_gauges(), **self._state()}
        state = {key: b"".join([part async for part in self._paced(made)]) for key, made in parts.items()}
        samples = window.samples - encoding.samples_dropped
        await self._spool.store(window.start, batches, state, samples=samples)
        self._windows.popleft()
        self._keys = encoding.keys
        self._account(window, encoding)
        now = self._clock.monotonic()
        self._ledger.close_seconds, self._ledger.close_late = now - closing.swapped_at, now - closing.ended_at
        self._on_closed(
            WindowReport(
                start=window.start,
                samples=window.samples,
                series=len(window.series),
                new_series=encoding.series_new,
                points=sum(batch.points for batch in batches),
                requests=len(batches),
                seconds=self._ledger.close_seconds,
                late=self._ledger.close_late,
                metrics=encoding.metrics,
                over_quota=(encoding.requests_needed, int(encoding.requests_allowed)) if encoding.over_quota else None,
            )
        )

    def _account(self, window: ClosedWindow, encoding: Encoding) -> None:
        """Move the window's samples from closing to closed and dropped, without an await (I5)."""
        ledger = self._ledger
        ledger.windows_closed += 1
        ledger.samples_closing -= window.samples
        ledger.samples_closed += window.samples - encoding.samples_dropped
        if encoding.samples_dropped:
            ledger.samples_dropped["name_collision"] += encoding.samples_dropped
        if encoding.points_collided:
            ledger.points_created += encoding.points_collided
            ledger.points_dropped["name_collision"] += encoding.points_collided
        if encoding.points_shed:
            ledger.points_created += encoding.points_shed
            ledger.points_dropped["percentile_quota"] += encoding.points_shed
        if encoding.values_clamped:
            ledger.values_clamped += encoding.values_clamped
            ledger.add_example("clamped", {"metric": encoding.clamped_metric})

    def _paced(self, items: Iterable[T]) -> AsyncIterator[T]:
        return paced(self._clock, items, between=self._between)
