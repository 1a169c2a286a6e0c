"""Closed windows on their way to the spool: encoded, packed and stored one after the other, in the order they ended.

They are no part of the hot path any more, and the next window is open meanwhile, whatever this takes. All of it is cut
in slices, so that the event loop never stalls over 20 ms. Not known here: names, edges, clocks that step.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from relay.clock import paced
from relay.window.protocols import WindowReport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping

    from relay.clock import Clock
    from relay.ledger import Ledger
    from relay.model import Batch, ClosedWindow, Point
    from relay.window.protocols import Encoding, HotPath, Spool

T = TypeVar("T")


class Left(NamedTuple):
    """A window that has left its hot path."""

    window: ClosedWindow
    hotpath: HotPath
    encode: Callable[[ClosedWindow], Encoding]
    """By the rules that it was received under."""
    swapped_at: float
    """On the monotonic clock, like the next one."""
    ended_at: float


class Storing:
    """State: the windows that are not stored yet, oldest first.

    Args:
        pack: makes batches of points.
        state: returns what is stored with a window beside gauges, in parts made lazily.
        between: lets others run between two slices.
    """

    def __init__(  # noqa: PLR0913 - what joins a closed window with the spool; closer.py is the only caller
        self,
        *,
        pack: Callable[[Iterable[Point], int], Iterator[Batch]],
        spool: Spool,
        ledger: Ledger,
        clock: Clock,
        state: Callable[[], Mapping[str, Iterable[bytes]]],
        on_closed: Callable[[WindowReport], None],
        between: Callable[[], Awaitable[None]],
    ) -> None:
        self._pack = pack
        self._spool = spool
        self._ledger = ledger
        self._clock = clock
        self._state = state
        self._on_closed = on_closed
        self._between = between
        self._left: deque[Left] = deque()

    def __repr__(self) -> str:
        """Report how many."""
        return f"<Storing {len(self)} windows>"

    def __len__(self) -> int:
        """How many are not stored yet."""
        return len(self._left)

    @property
    def ids(self) -> list[int]:
        """Their ids."""
        return [left.window.start for left in self._left]

    def add(self, left: Left) -> None:
        """Take over a window; its samples are closing from now on."""
        self._ledger.samples_closing += left.window.samples
        self._left.append(left)

    async def store_oldest(self) -> None:
        """Encode, pack, store the oldest one."""
        left = self._left[0]
        window, encoding = left.window, left.encode(left.window)
        async for _ in self._paced(encoding.prepare()):
            pass
        batches = [batch async for batch in self._paced(self._pack(encoding, window.start))]
        parts = {"gauges": left.hotpath.export_gauges(), **self._state()}
        state = {key: b"".join([part async for part in self._paced(made)]) for key, made in parts.items()}
        samples = window.samples - encoding.samples_dropped
        await self._spool.store(window.start, batches, state, samples=samples)
        self._left.popleft()
        self._account(window, encoding)
        now = self._clock.monotonic()
        self._ledger.close_seconds, self._ledger.close_late = now - left.swapped_at, now - left.ended_at
        self._on_closed(
            WindowReport(
                start=window.start,
                samples=window.samples,
                points=sum(batch.points for batch in batches),
                requests=len(batches),
                seconds=self._ledger.close_seconds,
                late=self._ledger.close_late,
                over_quota=(encoding.requests_needed, int(encoding.requests_allowed)) if encoding.over_quota else None,
            )
        )

    def _account(self, window: ClosedWindow, encoding: Encoding) -> None:
        """Move the window's samples from open to closed, in one step."""
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
            ledger.examples["clamped"] = {"metric": encoding.clamped_metric}

    def _paced(self, items: Iterable[T]) -> AsyncIterator[T]:
        return paced(self._clock, items, between=self._between)
