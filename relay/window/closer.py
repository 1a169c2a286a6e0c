"""The closer: ends the open window and begins the next. It is the only periodic task of the data path.

Each tick, ten a second, lets naming answer new identities. When the open window is over, the tick swaps the tables at
once, even if earlier windows are not stored yet. A second task names, encodes, packs and stores the closed windows in
their order, in slices, so that the event loop never stalls over 20 ms. If identities of a closed window are still
unnamed when the next window ends, their samples go to the catch-all series of their class.

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
_CLOSING_MOST = 4
"""Windows that may wait to be encoded and stored. A window that begins while so many wait gets no series of its own,
which bounds memory. A disk is given up after 2 s, so only windows shorter than their own encoding reach this bound."""
NAMES_PER_SLICE = 200
"""Identities named before other tasks may run: about 2 ms, or 5 ms with many regexes."""
NAMING_SLICES = 20
"""Most slices of naming in one tick."""
NAMING_SECONDS = 1.0
"""Bound of `name_waiting`, in seconds: enough for the full queues (limits.py, NAMING_WORK) of two windows."""


class _SettlingWindow(NamedTuple):
    """The closing window, which is still in the hot path because identities wait for names."""

    start: int
    encode: Callable[[ClosedWindow], Encoding]
    swapped_at: float
    ended_at: float
    is_renamed: bool
    """The rules changed at its end: identities still waiting get no name, since the new rules do not apply to them."""


@dataclass(frozen=True, slots=True)
class _Union:
    """The union of two collections of window ids."""

    committed: Collection[int]
    closing: Collection[int]

    def __contains__(self, id_: object) -> bool:
        """Say whether the id is in one of them."""
        return id_ in self.committed or id_ in self.closing


class Closer:
    """State: the id of the open window, and the earlier windows that are not stored yet.

    Args:
        resume: id of the window of a recovered checkpoint; None: the id follows from the clock.
        recorded: whether a record of the last window exists; without one the current minute is left out.
    """

    def __init__(  # noqa: PLR0913 - the closer joins six neighbours; app.py is the only caller
        self,
        *,
        seconds: int,
        hotpath: HotPath,
        pipeline: Pipeline,
        pack: Callable[[Iterable[Point], int], Iterator[Batch]],
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
        self._at_edge: Callable[[], Pipeline] | None = None
        self._recorded = recorded
        self._began = self._ticked_at = self._stored_at = self._clock.monotonic()
        self._settling: _SettlingWindow | None = None
        self._closing = ClosingWindows(
            pack=pack,
            spool=spool,
            context=context,
            state=self._state,
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
    def active_at(self) -> float:
        """Monotonic time of the last progress: of the ticks and, while windows are closing, of storing too."""
        return min(self._ticked_at, self._stored_at) if self.closing else self._ticked_at

    async def run(self) -> None:
        """Tick until `stop`. Never cancel it: the change of windows must not be interrupted."""
        self._is_running = True
        while not self._stopping:
            await self._clock.sleep(0.0 if self._is_behind else self._until_next_tick())
            await self.tick()
        self._has_ended = True

    async def run_storing(self) -> None:
        """Store closed windows until `run` has ended. Never cancel it: a window swapped out must be stored."""
        while not self._has_ended:
            await self._clock.sleep(self._until_next_tick())
            await self.store_closed()

    def at_edge(self, change: Callable[[], Pipeline] | None) -> None:
        """Schedule `change` for the start of the next window; from then on use the pipeline that it returns.

        The closing window is encoded by the rules it was received under. A second call replaces the first; None cancels
        it.
        """
        self._at_edge = change

    def stop(self) -> None:
        """Let `run` return after its current tick."""
        self._stopping = True

    def _until_next_tick(self) -> float:
        """Return the time to the next tick; the last tick of a window is at its end."""
        return min(TICK, max(_SOON, self.open_id + self._seconds - self._clock.wall()))

    async def tick(self) -> None:
        """Name new identities, follow steps of the clock, swap the tables if the open window is over."""
        before, self._ticked_at = self._ticked_at, self._clock.monotonic()
        self._is_behind = self._must_swap() or await self._name(slices=NAMING_SLICES)
        wall = self._clock.wall()
        moved = moved_id(self.open_id, wall, self._seconds, self._used_ids(), unknown=self._unknown(wall))
        if moved != self.open_id:
            await self._move(moved)
        if is_over(self.open_id, wall, self._seconds):
            # The window cannot have ended before the last tick: a clock set ahead is not a delay.
            await self._swap(
                late=min(self._clock.wall() - self.open_id - self._seconds, self._clock.monotonic() - before)
            )

    def opens_in(self) -> float:
        """Return the seconds until the open window begins, if that is more than one window ahead; else 0."""
        ahead = self.open_id - self._clock.wall()
        return ahead if ahead > self._seconds else 0.0

    def _first_id(self) -> int:
        wall = self._clock.wall()
        return first_open_id(wall, self._seconds, self._spool.committed, unknown=self._unknown(wall))

    def _unknown(self, wall: float) -> int:
        """Return the last id that an unrecorded earlier process may have closed: the id of this start; -1 if recorded.

        The time of the start is computed back from the current clock. With the clock as it was at the start, a clock a
        year ahead, corrected since, would keep the window open for a year.
        """
        return -1 if self._recorded else floor_id(wall - (self._clock.monotonic() - self._began), self._seconds)

    def _state(self) -> dict[str, Iterable[bytes]]:
        """Return the state stored with a window, in parts; the current namer is asked, since rules may have changed."""
        return {"classes": self._namer.export_classes(), "host": [self._namer.host.encode()]}

    async def _move(self, to: int) -> None:
        """Give the open window another id; its checkpoint is renamed first, so that it never exists under both ids.

        If the disk refuses, the window keeps its id.
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
        """Name every waiting identity. Call it after the sockets are closed: a partial holds named series only."""
        while self._hotpath.unresolved(1):
            await self._name(slices=1)

    async def close_early(self) -> bool:
        """Close the open window before its end, at stop; a window in the future stays open.

        Returns:
            Whether the window was closed. If not, its partial stays on disk: ids never run ahead of the clock.
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

        A window that still waits for names from the swap before is settled first, without them.

        Args:
            late: seconds since the open window ended.
        """
        while self._settling and not self._move_settled():
            self._hotpath.abandon_names()
            await self._clock.sleep(0)
        now = self._clock.monotonic()
        if not self.closing:
            self._stored_at = now
        if self._at_edge is not None:
            self._resolve(self._hotpath.unresolved(NAMES_PER_SLICE))  # by the rules in force until now
        start, self.open_id = self.open_id, self._next_id()
        folds, renames = len(self._closing) >= _CLOSING_MOST, self._at_edge is not None
        self._hotpath.close_window(self.open_id, folds=folds, renames=renames)
        self._settling = _SettlingWindow(start, self._encode, now, now - late, renames)
        change, self._at_edge = self._at_edge, None
        if change:
            self._namer, self._encode = change()

    def _move_settled(self) -> bool:
        """Move the closing window from the hot path to storing if it is settled; say whether none is left there."""
        if self._settling is None:
            return True
        if not self._hotpath.settled():
            return False
        _, encode, swapped_at, ended_at, _ = self._settling
        self._closing.add(ClosingWindow(self._hotpath.closed_window(), self._hotpath, encode, swapped_at, ended_at))
        self._settling = None
        return True

    async def store_closed(self) -> None:
        """Name, encode, pack and store every closing window, in order."""
        while self.closing:
            if self._closing or self._move_settled():
                await self._closing.store_oldest()
                self._stored_at = self._clock.monotonic()
            else:
                await self._name_one_slice()

    async def close_recovered(self, side: HotPath) -> None:
        """Close a recovered window that ended before this start; `side` holds only this window, fully named."""
        side.close_window(self.open_id)
        now = self._clock.monotonic()
        self._closing.add(ClosingWindow(side.closed_window(), side, self._encode, now, now))
        await self.store_closed()

    async def discard(self, part: int = 0) -> None:
        """Drop the open window at stop, when it may not be sent yet; `part` of its samples are kept on disk."""
        self._hotpath.close_window(self.open_id)
        while not self._hotpath.settled():
            await self._name_one_slice()
        samples = self._hotpath.closed_window().samples
        self._ledger.samples_closing += part
        self._ledger.samples_dropped["stop_without_state"] += samples - part

    def _next_id(self) -> int:
        """Return the id of the next window; skips used ids, and the windows that a clock step jumped over."""
        after = self.open_id + self._seconds
        return first_open_id(max(float(after), self._clock.wall()), self._seconds, self._used_ids())

    def _used_ids(self) -> Container[int]:
        """Return the ids in use: those of committed and of closing windows."""
        settling = [self._settling.start] if self._settling else []
        return _Union(self._spool.committed, [*self._closing.ids, *settling])

    def _must_swap(self) -> bool:
        """Say whether the change of windows is due, and comes before all other work."""
        is_ticking = self._is_running and not self._stopping
        return is_ticking and is_over(self.open_id, self._clock.wall(), self._seconds)

    async def _name(self, *, slices: int) -> bool:
        """Name up to `slices` x 200 identities; bounded, so that a flood of new ones does not delay the closer.

        Returns:
            Whether more identities may wait.
        """
        for _ in range(slices):
            if self._must_swap():
                await self._clock.sleep(_SOON)  # until the tick has swapped; callers in a loop would spin
                return True
            if not self._is_abandoning():
                identities = self._hotpath.unresolved(NAMES_PER_SLICE)
                if not identities:
                    return False
                self._resolve(identities)
            self._ticked_at = self._clock.monotonic()
            await self._clock.sleep(0)
        return True

    def _is_abandoning(self) -> bool:
        """Abandon names of a window received under other rules; say whether more of its identities wait."""
        return self._settling is not None and self._settling.is_renamed and not self._hotpath.abandon_names()

    def _resolve(self, identities: Iterable[Identity]) -> None:
        """Name identities for the time of one slice; the remaining ones stay unresolved."""
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
        self._stored_at = self._clock.monotonic()

    async def _name_one_slice(self) -> None:
        await self._name(slices=1)
        await self._clock.sleep(0)
        self._stored_at = self._clock.monotonic()
