"""The closer: the only periodic task of the data path.

It ticks ten times a second: it lets naming answer the identities that are new, and when the open window is over it
swaps the tables at once, then names, encodes, packs and stores in slices so that the event loop never stalls over
20 ms. It knows neither HTTP nor SQL: its neighbours are Protocols, handed in by app.py (neighbours.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from relay import limits
from relay.pacing import paced
from relay.window.ids import first_open_id, floor_id, is_over, is_plausible, moved_id
from relay.window.neighbours import Closed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator

    from relay.clock import Clock
    from relay.model import Batch, ClosedWindow, Identity, Point, Resolution, Sink
    from relay.telemetry import Ledger
    from relay.window.neighbours import Encoding, HotPath, Namer, Rules, Spool

T = TypeVar("T")

TICK = 0.1
"""Seconds between two looks at the clock and at the queue of unresolved identities."""
NAMES_PER_SLICE = 200
"""Identities named before others may run: about 2 ms, or 5 where many regexes look at each."""
NAMING_SLICES = 20
"""Of one tick."""


class Closer:
    """State: the id of the open window; `resume` is the one a checkpoint belongs to."""

    def __init__(  # noqa: PLR0913 - the closer joins six neighbours; app.py is the only caller
        self,
        *,
        seconds: int,
        hotpath: HotPath,
        namer: Namer,
        encode: Callable[[ClosedWindow], Encoding],
        pack: Callable[[Iterable[Point], int], Iterator[Batch]],
        spool: Spool,
        ledger: Ledger,
        clock: Clock,
        on_closed: Callable[[Closed], None],
        on_moved: Callable[[int, int], Awaitable[None]] | None = None,
        resume: int | None = None,
        recorded: bool = True,
    ) -> None:
        self._seconds = seconds
        self._hotpath = hotpath
        self._namer = namer
        self._encode = encode
        self._pack = pack
        self._spool = spool
        self._ledger = ledger
        self._clock = clock
        self._on_closed = on_closed
        self._on_moved = on_moved
        self._stopping = False
        self._is_running = False
        """Until it runs, what was open before a restart is being restored, and names must wait."""
        self._is_behind = False
        """More identities wait than one tick names."""
        self._at_edge: Callable[[], Rules] | None = None
        self._recorded = recorded
        self._began = clock.monotonic()
        self.active_at = self._began
        """When it last made progress, on the monotonic clock."""
        self.open_id = self._first_id() if resume is None else resume
        hotpath.open_window(self.open_id)

    def __repr__(self) -> str:
        """Report the open window."""
        return f"<Closer open {self.open_id}>"

    async def run(self) -> None:
        """Tick until `stop`. Never cancel it: a window that was swapped away must be stored."""
        self._is_running = True
        while not self._stopping:
            await self._clock.sleep(self._until_next_tick())
            await self.tick()

    def at_edge(self, change: Callable[[], Rules]) -> None:
        """Call `change` when the next window begins, and go on by what it returns.

        The window that closes is encoded as it was received. A second call before that replaces the first.
        """
        self._at_edge = change

    def stop(self) -> None:
        """Let `run` return after its current tick."""
        self._stopping = True

    def _until_next_tick(self) -> float:
        """Wake at the window's end rather than up to a tick later, and at once while identities wait for names."""
        return 0.0 if self._is_behind else min(TICK, max(0.001, self.open_id + self._seconds - self._clock.wall()))

    async def tick(self) -> None:
        """Name what is new; follow the clock; close the window if it is over."""
        self.active_at = self._clock.monotonic()
        self._is_behind = await self._name(slices=NAMING_SLICES)
        wall = self._clock.wall()
        moved = moved_id(self.open_id, wall, self._seconds, self._spool.committed, unknown=self._unknown(wall))
        if moved != self.open_id:
            await self._move(moved)
        if is_over(self.open_id, wall, self._seconds):
            await self.close()

    def _first_id(self) -> int:
        wall = self._clock.wall()
        return first_open_id(wall, self._seconds, self._spool.committed, unknown=self._unknown(wall))

    def _unknown(self, wall: float) -> int:
        """Return the id up to which an earlier process may have closed windows: that of this start, by today's clock.

        By the clock of the start, one that was a year ahead would keep the window open for a year.
        """
        return -1 if self._recorded else floor_id(wall - (self._clock.monotonic() - self._began), self._seconds)

    async def _move(self, to: int) -> None:
        """Give the open window another id: its checkpoint first, so that no series is ever under both."""
        if self._on_moved:
            await self._on_moved(self.open_id, to)
        self.open_id = to
        self._hotpath.open_window(to)

    async def name_all(self) -> None:
        """Answer every identity that waits, once the sockets are closed: a partial holds only what is named."""
        while self._hotpath.unresolved(1):
            await self._name(slices=1)

    async def close_early(self) -> bool:
        """Close the open window before its end, at stop; a window that lies in the future stays open.

        Returns:
            Whether it was closed. If not, its partial must stay on disk: ids never run ahead of the clock.
        """
        wall = self._clock.wall()
        if not is_plausible(wall) or self.open_id > floor_id(wall, self._seconds):
            return False
        await self.close()
        return True

    async def close(self) -> None:
        """Swap, name, encode, pack, store; only the swap is not paced."""
        began = self._clock.monotonic()
        self.open_id = self._next_id()
        self._hotpath.close_window(self.open_id)
        encode, change, self._at_edge = self._encode, self._at_edge, None
        if change:
            self._namer, self._encode = change()
        await self._name_closing()
        await self._commit(self._hotpath, self._hotpath.closed_window(), encode, began=began)

    async def close_recovered(self, side: HotPath) -> None:
        """Close a window that is over since before this start; `side` holds it alone and waits for no name."""
        side.close_window(self.open_id)
        await self._commit(side, side.closed_window(), self._encode, began=self._clock.monotonic())

    async def _commit(
        self, hotpath: HotPath, window: ClosedWindow, encode: Callable[[ClosedWindow], Encoding], *, began: float
    ) -> None:
        """Encode, pack, store; the samples are closing from the first step on."""
        self._ledger.samples_closing += window.samples
        encoding = encode(window)
        async for _ in self._paced(encoding.prepare()):
            pass
        batches = [batch async for batch in self._paced(self._pack(encoding, window.start))]
        gauges = b"".join([frame async for frame in self._paced(hotpath.export_gauges())])
        await self._spool.store(window.start, batches, {"gauges": gauges, "classes": self._namer.export_classes()})
        self._account(window, encoding)
        self._ledger.close_seconds = self._clock.monotonic() - began
        self._on_closed(
            Closed(
                start=window.start,
                samples=window.samples,
                points=sum(batch.points for batch in batches),
                requests=len(batches),
                seconds=self._ledger.close_seconds,
                over_quota=(encoding.requests_needed, int(encoding.requests_allowed)) if encoding.over_quota else None,
            )
        )

    async def discard(self) -> None:
        """Drop the open window at stop: it is not to be sent yet, and there is no disk to keep it."""
        self._hotpath.close_window(self.open_id)
        await self._name_closing()
        window = self._hotpath.closed_window()
        self._ledger.samples_dropped["stop_without_state"] += window.samples

    def _next_id(self) -> int:
        """Skip what is committed and, after a step forward, the windows nobody saw."""
        after = self.open_id + self._seconds
        return first_open_id(max(float(after), self._clock.wall()), self._seconds, self._spool.committed)

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

    async def _name(self, *, slices: int) -> bool:
        """Answer up to `slices` x 200 unresolved identities: a flood of new ones must not keep the closer here.

        Returns:
            Whether there may be more.
        """
        for _ in range(slices):
            identities = self._hotpath.unresolved(NAMES_PER_SLICE)
            if not identities:
                return False
            self._hotpath.resolve(self._answers(identities))
            await self._clock.sleep(0)
        return True

    def _answers(self, identities: Iterable[Identity]) -> list[tuple[Identity, Resolution | Sink]]:
        """Name identities for the time of a slice; the others are asked for again."""
        slice_ends = self._clock.monotonic() + limits.CLOSE_SLICE
        answers = []
        for identity in identities:
            answers.append((identity, self._namer.resolve(identity)))
            if self._clock.monotonic() >= slice_ends:
                break
        return answers

    async def _name_closing(self) -> None:
        """Answer what the closing window needs; it takes no new identities, so this ends."""
        while not self._hotpath.settled():
            await self._name(slices=1)
            await self._clock.sleep(0)

    def _paced(self, items: Iterable[T]) -> AsyncIterator[T]:
        return paced(self._clock, items, between=self._progress)

    async def _progress(self) -> None:
        """Let others run; what is new meanwhile gets its names."""
        if self._is_running:
            await self._name(slices=1)
        await self._clock.sleep(0)
        self.active_at = self._clock.monotonic()
