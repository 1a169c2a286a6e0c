"""The closer: ends the open window and begins the next.

It has two tasks. `run` ticks ten times a second. A tick names new identities; if the open window has ended, the tick
replaces its table with an empty one. `run_storing` names the remaining identities of closed windows, and encodes and
stores the windows in their order. It works in slices, so that the event loop never stalls over 20 ms. The open window
closes at its end even while earlier windows are being stored. If identities of a closed window are still unnamed when
the next window ends, their samples go to the catch-all series of their class.

Invariants: a window id closes at most once (I2); a close in progress never keeps the open window open past its end.
Does not know: HTTP, SQL. Its neighbours are Protocols (protocols.py), passed in by app.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from relay.clock import SLICE
from relay.window.ids import first_open_id, floor_id, is_over, is_plausible, moved_id
from relay.window.storing import ClosingWindow, ClosingWindows

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Container, Iterable, Iterator

    from relay.context import Context
    from relay.model import Batch, ClosedWindow, Identity, Point
    from relay.window.protocols import Encoding, HotPath, Pipeline, Spool, WindowReport

TICK = 0.1
"""Interval between two checks of the clock and of the queue for naming, in seconds."""
_SOON = 0.001
"""Pause before the next check of what is due, in seconds."""
_CLOSING_MAX = 4
"""While this many windows wait to be stored, a new window has catch-all series only, which bounds memory. A write to
the disk gives up after 2 s, so the bound is reached only if encoding takes longer than a window lasts."""
NAMES_PER_SLICE = 200
"""Identities named before other tasks may run: about 2 ms, or 5 ms with many regexes."""
NAMING_SLICES = 20
"""Maximum number of naming slices in one tick."""
NAMING_SECONDS = 1.0
"""Time limit of `name_waiting` in seconds. It suffices for the full queues (limits.py, NAMING_WORK) of two windows."""


class _SettlingWindow(NamedTuple):
    """A window that has ended and still has unnamed identities.

    It stays in the hot path until it is settled: each identity has a name, or its samples are in the catch-all series.
    """

    start: int
    encode: Callable[[ClosedWindow], Encoding]
    swapped_at: float
    ended_at: float
    rules_changed: bool
    """Whether the rules changed at its end. Its unnamed identities then go to the catch-all series, since the new rules
    do not apply to this window."""


@dataclass(frozen=True, slots=True)
class _Union:
    """The union of two collections of window ids."""

    committed: Collection[int]
    closing: Collection[int]

    def __contains__(self, id_: object) -> bool:
        """Return whether the id is in one of them."""
        return id_ in self.committed or id_ in self.closing


class Closer:
    """State: the id of the open window, and the earlier windows that are not stored yet.

    Args:
        resume: id of the window of a recovered checkpoint; None: the id follows from the clock.
        recorded: whether the disk has a record of the last window. Without a record, samples of the current minute go
            to the next window.
    """

    def __init__(  # noqa: PLR0913 - the closer joins six neighbours; app.py is the only caller
        self,
        *,
        seconds: int,
        hotpath: HotPath,
        pipeline: Pipeline,
        pack: Callable[[Iterable[Point], ClosedWindow], Iterator[Batch]],
        spool: Spool,
        context: Context,
        on_closed: Callable[[WindowReport], None],
        on_moved: Callable[[int, int], Awaitable[bool | None]] | None = None,
        resume: int | None = None,
        recorded: bool = True,
    ) -> None:
        self._seconds = seconds
        self._hotpath = hotpath
        self._namer, self._encode = pipeline
        self._spool = spool
        self._ledger, self._clock = context.ledger, context.clock
        self._on_moved = on_moved
        self._stopping = self._has_ended = False
        self._is_running = False
        """False while the open window of an earlier process is being restored: naming must wait."""
        self._is_behind = False
        """Whether more identities wait than one tick names."""
        self._next_change: Callable[[], Pipeline] | None = None
        self._recorded = recorded
        self._started_at = self._tick_progress_at = self._storing_progress_at = self._clock.monotonic()
        self._settling: _SettlingWindow | None = None
        self._closing = ClosingWindows(
            pack=pack,
            spool=spool,
            context=context,
            state=self._export_state,
            on_closed=on_closed,
            between=self._progress,
        )
        self.open_id = self._first_id() if resume is None else resume
        hotpath.open_window(self.open_id)

    @property
    def closing(self) -> int:
        """Number of windows that ended and are not stored yet."""
        return len(self._closing) + (self._settling is not None)

    @property
    def oldest_closing(self) -> int | None:
        """Id of the oldest window that ended and is not stored yet."""
        return min([*self._closing.ids, *([self._settling.start] if self._settling else [])], default=None)

    @property
    def active_at(self) -> float:
        """Monotonic time of the last progress of `run`; while windows wait to be stored, of the task that is behind."""
        return min(self._tick_progress_at, self._storing_progress_at) if self.closing else self._tick_progress_at

    async def run(self) -> None:
        """Tick until `stop`. Never cancel it: the change of windows must not be interrupted."""
        self._is_running = True
        while not self._stopping:
            await self._clock.sleep(0.0 if self._is_behind else self._until_next_tick())
            await self.tick()
        self._has_ended = True

    async def run_storing(self) -> None:
        """Store closed windows until `run` has ended. Never cancel it: every closed window must be stored."""
        while not self._has_ended:
            await self._clock.sleep(self._until_next_tick())
            await self.store_closed()

    def schedule_change(self, change: Callable[[], Pipeline] | None) -> None:
        """Schedule `change` for the start of the next window; from then on use the pipeline that it returns.

        Earlier windows are encoded by the rules they were received under. A second call replaces the first; None
        cancels it.
        """
        self._next_change = change

    def stop(self) -> None:
        """Let `run` return after its current tick."""
        self._stopping = True

    def _until_next_tick(self) -> float:
        """Return the time to the next tick; the last tick of a window is at its end."""
        return min(TICK, max(_SOON, self.open_id + self._seconds - self._clock.wall()))

    async def tick(self) -> None:
        """Name new identities, follow steps of the clock, and begin the next window if the open one has ended."""
        before, self._tick_progress_at = self._tick_progress_at, self._clock.monotonic()
        self._is_behind = self._is_swap_due() or await self._name(slices=NAMING_SLICES)
        wall = self._clock.wall()
        moved = moved_id(
            self.open_id, wall, self._seconds, self._used_ids(), last_unrecorded=self._last_unrecorded_id(wall)
        )
        if moved != self.open_id:
            await self._move(moved)
        if is_over(self.open_id, wall, self._seconds):
            # At most the time since the last tick: a forward step of the clock must not count as delay.
            await self._swap(
                late=min(self._clock.wall() - self.open_id - self._seconds, self._clock.monotonic() - before)
            )

    def opens_in(self) -> float:
        """Return the seconds until the open window begins, if that is more than one window ahead; else 0."""
        ahead = self.open_id - self._clock.wall()
        return ahead if ahead > self._seconds else 0.0

    def _first_id(self) -> int:
        wall = self._clock.wall()
        return first_open_id(wall, self._seconds, self._spool.committed, last_unrecorded=self._last_unrecorded_id(wall))

    def _last_unrecorded_id(self, wall: float) -> int:
        """Return the newest window id that an earlier process may have closed without a record; -1 if a record exists.

        It is the id of the window in which this process started. The start time is the current wall time minus the
        uptime, so it follows a later correction of the clock. A start time read once, from a clock a year ahead, would
        keep the window open for a year.
        """
        return -1 if self._recorded else floor_id(wall - (self._clock.monotonic() - self._started_at), self._seconds)

    def _export_state(self) -> dict[str, Iterable[bytes]]:
        """Return the state stored with a window, in parts; the rules of the current namer may be newer."""
        return {"classes": self._namer.export_classes(), "host": [self._namer.host.encode()]}

    async def _move(self, to: int) -> None:
        """Give the open window another id. Its checkpoint is renamed first, so that it never exists under both ids.

        If the checkpoint cannot be renamed, the window keeps its id.
        """
        if self._on_moved and await self._on_moved(self.open_id, to) is False:
            return
        self.open_id = to
        self._hotpath.open_window(to)

    async def name_waiting(self) -> None:
        """Name the waiting identities, for at most NAMING_SECONDS: new ones may keep coming."""
        until = self._clock.monotonic() + NAMING_SECONDS
        while self._clock.monotonic() < until and self._hotpath.unresolved(1):
            await self._name_one_slice()

    async def name_all(self) -> None:
        """Name every waiting identity.

        Call it after the sockets are closed and before the checkpoint is written: a checkpoint holds named series only.
        """
        while self._hotpath.unresolved(1):
            await self._name(slices=1)

    async def close_early(self) -> bool:
        """Close the open window before its end, at stop. A window with an id in the future is never closed.

        Returns:
            Whether the window was closed. If not, its checkpoint stays on disk for the next start.
        """
        wall = self._clock.wall()
        if not is_plausible(wall) or self.open_id > floor_id(wall, self._seconds):
            return False
        await self.close()
        return True

    async def close(self) -> None:
        """Close the open window now, and store it."""
        await self._swap(late=0.0)
        await self.store_closed()

    async def _swap(self, *, late: float) -> None:
        """Begin the next window, with changed rules if a change is scheduled.

        If the window before is still settling, its unnamed identities go to the catch-all series first.

        Args:
            late: seconds since the open window ended.
        """
        while self._settling and not self._queue_settled():
            self._hotpath.abandon_names()
            await self._clock.sleep(0)
        now = self._clock.monotonic()
        if not self.closing:
            self._storing_progress_at = now
        if self._next_change is not None:
            self._resolve(self._hotpath.unresolved(NAMES_PER_SLICE))  # by the rules in force until now
        start, self.open_id = self.open_id, self._next_id()
        folds, renames = len(self._closing) >= _CLOSING_MAX, self._next_change is not None
        self._hotpath.close_window(self.open_id, folds=folds, renames=renames)
        self._settling = _SettlingWindow(start, self._encode, now, now - late, renames)
        change, self._next_change = self._next_change, None
        if change:
            self._namer, self._encode = change()

    def _queue_settled(self) -> bool:
        """Queue the window in the hot path for storing if it is settled; return whether none is left there."""
        if self._settling is None:
            return True
        if not self._hotpath.settled():
            return False
        _, encode, swapped_at, ended_at, _ = self._settling
        self._closing.add(ClosingWindow(self._hotpath.closed_window(), self._hotpath, encode, swapped_at, ended_at))
        self._settling = None
        return True

    async def store_closed(self) -> None:
        """Name, encode and store all closed windows, in order."""
        while self.closing:
            if self._closing or self._queue_settled():
                await self._closing.store_oldest()
                self._storing_progress_at = self._clock.monotonic()
            else:
                await self._name_one_slice()

    async def close_recovered(self, side: HotPath) -> None:
        """Close a recovered window that ended before this start; `side` holds only this window, fully named."""
        side.close_window(self.open_id)
        now = self._clock.monotonic()
        self._closing.add(ClosingWindow(side.closed_window(), side, self._encode, now, now))
        await self.store_closed()

    async def discard(self, part: int = 0) -> None:
        """Drop the open window at a stop that can neither send nor write it.

        Args:
            part: number of its samples that a checkpoint keeps for the next start; the others count as
                stop_without_state.
        """
        self._hotpath.close_window(self.open_id)
        while not self._hotpath.settled():
            await self._name_one_slice()
        samples = self._hotpath.closed_window().samples
        self._ledger.samples_closing += part
        self._ledger.samples_dropped["stop_without_state"] += samples - part

    def _next_id(self) -> int:
        """Return the id of the next window. It skips used ids, and the windows that a step of the clock jumped over."""
        after = self.open_id + self._seconds
        return first_open_id(max(float(after), self._clock.wall()), self._seconds, self._used_ids())

    def _used_ids(self) -> Container[int]:
        """Return the ids of committed windows, and of windows not stored yet."""
        settling = [self._settling.start] if self._settling else []
        return _Union(self._spool.committed, [*self._closing.ids, *settling])

    def _is_swap_due(self) -> bool:
        """Return whether the open window has ended: beginning the next one comes before other work."""
        is_ticking = self._is_running and not self._stopping
        return is_ticking and is_over(self.open_id, self._clock.wall(), self._seconds)

    async def _name(self, *, slices: int) -> bool:
        """Name up to `slices` x 200 identities; bounded, so that a flood of new ones does not delay the closer.

        Returns:
            Whether more identities may wait.
        """
        for _ in range(slices):
            if self._is_swap_due():
                await self._clock.sleep(_SOON)  # until the tick has swapped; callers in a loop would spin
                return True
            if not self._abandon_old_names():
                identities = self._hotpath.unresolved(NAMES_PER_SLICE)
                if not identities:
                    return False
                self._resolve(identities)
            self._tick_progress_at = self._clock.monotonic()
            await self._clock.sleep(0)
        return True

    def _abandon_old_names(self) -> bool:
        """If the rules changed since the settling window, give up some of its names; return whether more are left."""
        return self._settling is not None and self._settling.rules_changed and not self._hotpath.abandon_names()

    def _resolve(self, identities: Iterable[Identity]) -> None:
        """Name identities for the time of one slice; the others stay unnamed."""
        slice_ends = self._clock.monotonic() + SLICE
        answers = []
        for identity in identities:
            answers.append((identity, self._namer.resolve(identity)))
            if self._clock.monotonic() >= slice_ends:
                break
        self._hotpath.resolve(answers)

    async def _progress(self) -> None:
        """Yield to other tasks between two slices of storing; name new identities."""
        if self._is_running:
            await self._name(slices=1)
        await self._clock.sleep(0)
        self._storing_progress_at = self._clock.monotonic()

    async def _name_one_slice(self) -> None:
        await self._name(slices=1)
        await self._clock.sleep(0)
        self._storing_progress_at = self._clock.monotonic()
