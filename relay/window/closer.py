"""The closer: the only periodic task of the data path.

It ticks ten times a second: it lets naming answer the identities that are new, and when the open window is over it
swaps the tables at once, whatever became of the windows before. Beside the ticks the closed windows are named, encoded,
packed and stored in their order, in slices so that the event loop never stalls over 20 ms. Names that a window still
waits for when the next one ends come too late for it, and their samples are in the series of their class. It knows
neither HTTP nor SQL: its neighbours are Protocols, handed in by app.py (protocols.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from relay import limits
from relay.window.ids import first_open_id, floor_id, is_over, is_plausible, moved_id
from relay.window.storing import Left, Storing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Container, Iterable, Iterator

    from relay.clock import Clock
    from relay.ledger import Ledger
    from relay.model import Batch, ClosedWindow, Identity, Point
    from relay.window.protocols import Encoding, HotPath, Namer, Pipeline, Spool, WindowReport

TICK = 0.1
"""Seconds between two looks at the clock and at the queue of unresolved identities."""
_SOON = 0.001
"""Seconds after which something that is due is looked at again."""
NAMES_PER_SLICE = 200
"""Identities named before others may run: about 2 ms, or 5 where many regexes look at each."""
NAMING_SLICES = 20
"""Of one tick."""
NAMING_SECONDS = 1.0
"""What waits at any moment is named by then: twice what limits.NAMING_WORK takes, in two windows, beside other work."""


class _Leaving(NamedTuple):
    """What is known of the window in the hot path that waits for names."""

    start: int
    encode: Callable[[ClosedWindow], Encoding]
    swapped_at: float
    ended_at: float
    is_renamed: bool
    """Other rules are in force since it ended: what it still waits for gets no name by them."""


@dataclass(frozen=True, slots=True)
class _Either:
    """Ids that are in one of two collections."""

    committed: Collection[int]
    closing: Collection[int]

    def __contains__(self, id_: object) -> bool:
        """Look into both."""
        return id_ in self.committed or id_ in self.closing


class Closer:
    """State: the id of the open window, and the windows before it that are not stored.

    Args:
        resume: id of the window that a checkpoint belongs to.
    """

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
        on_closed: Callable[[WindowReport], None],
        on_moved: Callable[[int, int], Awaitable[bool | None]] | None = None,
        resume: int | None = None,
        recorded: bool = True,
    ) -> None:
        self._seconds = seconds
        self._hotpath = hotpath
        self._namer = namer
        self._encode = encode
        self._spool = spool
        self._ledger = ledger
        self._clock = clock
        self._on_moved = on_moved
        self._stopping = self._has_ended = False
        self._is_running = False
        """Until it runs, what was open before a restart is being restored, and names must wait."""
        self._is_behind = False
        """More identities wait than one tick names."""
        self._at_edge: Callable[[], Pipeline] | None = None
        self._recorded = recorded
        self._began = self._ticked_at = self._stored_at = clock.monotonic()
        self._leaving: _Leaving | None = None
        self._left = Storing(
            pack=pack,
            spool=spool,
            ledger=ledger,
            clock=clock,
            state=self._state,
            on_closed=on_closed,
            between=self._progress,
        )
        self.open_id = self._first_id() if resume is None else resume
        hotpath.open_window(self.open_id)

    def __repr__(self) -> str:
        """Report the open window, and how many are closing."""
        return f"<Closer open {self.open_id}, {self.closing} closing>"

    @property
    def closing(self) -> int:
        """How many windows ended and are not stored."""
        return len(self._left) + (self._leaving is not None)

    @property
    def active_at(self) -> float:
        """When it last made progress, on the monotonic clock: with the ticks, and with what is to be stored."""
        return min(self._ticked_at, self._stored_at) if self.closing else self._ticked_at

    async def run(self) -> None:
        """Tick until `stop`. Never cancel it: a change of windows is whole or not at all."""
        self._is_running = True
        while not self._stopping:
            await self._clock.sleep(0.0 if self._is_behind else self._until_next_tick())
            await self.tick()
        self._has_ended = True

    async def run_storing(self) -> None:
        """Store windows beside `run`, until that has ended. Never cancel it: what was swapped away must be stored."""
        while not self._has_ended:
            await self._clock.sleep(self._until_next_tick())
            await self.store_closed()

    def at_edge(self, change: Callable[[], Pipeline] | None) -> None:
        """Call `change` when the next window begins, and go on by what it returns; None: nothing changes there.

        The window that closes is encoded as it was received. A second call before that replaces the first.
        """
        self._at_edge = change

    def stop(self) -> None:
        """Let `run` return after its current tick."""
        self._stopping = True

    def _until_next_tick(self) -> float:
        """Wake at the window's end rather than up to a tick later."""
        return min(TICK, max(_SOON, self.open_id + self._seconds - self._clock.wall()))

    async def tick(self) -> None:
        """Name what is new; follow the clock; swap the tables if the open window is over."""
        before, self._ticked_at = self._ticked_at, self._clock.monotonic()
        self._is_behind = self._must_swap() or await self._name(slices=NAMING_SLICES)
        wall = self._clock.wall()
        moved = moved_id(self.open_id, wall, self._seconds, self._taken(), unknown=self._unknown(wall))
        if moved != self.open_id:
            await self._move(moved)
        if is_over(self.open_id, wall, self._seconds):
            # What the clock was set ahead by is no delay: the window cannot have ended before the last tick.
            await self._swap(
                late=min(self._clock.wall() - self.open_id - self._seconds, self._clock.monotonic() - before)
            )

    def opens_in(self) -> float:
        """Return seconds until the open window begins, if that is later than the next edge; else 0."""
        ahead = self.open_id - self._clock.wall()
        return ahead if ahead > self._seconds else 0.0

    def _first_id(self) -> int:
        wall = self._clock.wall()
        return first_open_id(wall, self._seconds, self._spool.committed, unknown=self._unknown(wall))

    def _unknown(self, wall: float) -> int:
        """Return the id up to which an earlier process may have closed windows: that of this start, by today's clock.

        By the clock of the start, one that was a year ahead would keep the window open for a year.
        """
        return -1 if self._recorded else floor_id(wall - (self._clock.monotonic() - self._began), self._seconds)

    def _state(self) -> dict[str, Iterable[bytes]]:
        """Return what is stored with a window, in parts, by the namer in force, which changes with the rules."""
        return {"classes": self._namer.export_classes(), "host": [self._namer.host.encode()]}

    async def _move(self, to: int) -> None:
        """Give the open window another id: its checkpoint first, so that no series is ever under both.

        While the disk does not let the checkpoint go, the window keeps its id.
        """
        if self._on_moved and await self._on_moved(self.open_id, to) is False:
            return
        self.open_id = to
        self._hotpath.open_window(to)

    async def name_waiting(self) -> None:
        """Answer what waits for its name, as long as all of it may take: a flood goes on meanwhile."""
        until = self._clock.monotonic() + NAMING_SECONDS
        while self._is_running and self._clock.monotonic() < until and self._hotpath.unresolved(1):
            await self._name_one_slice()

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
        """Close the open window now, and store it."""
        await self._swap(late=0.0)
        await self.store_closed()

    async def _swap(self, *, late: float) -> None:
        """Begin the next window, by other rules if there are some; the one before takes no more names then.

        Args:
            late: seconds since the open window ended.
        """
        while self._leaving and not self._take_settled():
            self._hotpath.abandon_names()
            await self._clock.sleep(0)
        now = self._clock.monotonic()
        if not self.closing:
            self._stored_at = now
        if self._at_edge is not None:
            self._answer(self._hotpath.unresolved(NAMES_PER_SLICE))  # by the rules under which it was received
        start, self.open_id = self.open_id, self._next_id()
        folds, renames = len(self._left) >= limits.WINDOWS_CLOSING, self._at_edge is not None
        self._hotpath.close_window(self.open_id, folds=folds, renames=renames)
        self._leaving = _Leaving(start, self._encode, now, now - late, renames)
        change, self._at_edge = self._at_edge, None
        if change:
            self._namer, self._encode = change()

    def _take_settled(self) -> bool:
        """Take the closing window out of the hot path if it waits for no name; say whether none is left there."""
        if self._leaving is None:
            return True
        if not self._hotpath.settled():
            return False
        _, encode, swapped_at, ended_at, _ = self._leaving
        self._left.add(Left(self._hotpath.closed_window(), self._hotpath, encode, swapped_at, ended_at))
        self._leaving = None
        return True

    async def store_closed(self) -> None:
        """Name, encode, pack, store every window that is closing, in their order."""
        while self.closing:
            if self._left or self._take_settled():
                await self._left.store_oldest()
                self._stored_at = self._clock.monotonic()
            else:
                await self._name_one_slice()

    async def close_recovered(self, side: HotPath) -> None:
        """Close a window that is over since before this start; `side` holds it alone and waits for no name."""
        side.close_window(self.open_id)
        now = self._clock.monotonic()
        self._left.add(Left(side.closed_window(), side, self._encode, now, now))
        await self.store_closed()

    async def discard(self, part: int = 0) -> None:
        """Drop the open window at stop: it is not to be sent yet, and the disk keeps but `part` samples of it."""
        self._hotpath.close_window(self.open_id)
        while not self._hotpath.settled():
            await self._name_one_slice()
        samples = self._hotpath.closed_window().samples
        self._ledger.samples_closing += part
        self._ledger.samples_dropped["stop_without_state"] += samples - part

    def _next_id(self) -> int:
        """Skip what is committed and, after a step forward, the windows nobody saw."""
        after = self.open_id + self._seconds
        return first_open_id(max(float(after), self._clock.wall()), self._seconds, self._taken())

    def _taken(self) -> Container[int]:
        """Return the ids that no other window may have: committed ones, and those of windows that are closing."""
        leaving = [self._leaving.start] if self._leaving else []
        return _Either(self._spool.committed, [*self._left.ids, *leaving])

    def _must_swap(self) -> bool:
        """Say whether nothing may go before the change of windows."""
        is_ticking = self._is_running and not self._stopping
        return is_ticking and is_over(self.open_id, self._clock.wall(), self._seconds)

    async def _name(self, *, slices: int) -> bool:
        """Answer up to `slices` x 200 unresolved identities: a flood of new ones must not keep the closer here.

        Returns:
            Whether there may be more.
        """
        for _ in range(slices):
            if self._must_swap():
                await self._clock.sleep(_SOON)  # until the tick has swapped; callers in a loop would spin
                return True
            if not self._is_abandoning():
                identities = self._hotpath.unresolved(NAMES_PER_SLICE)
                if not identities:
                    return False
                self._answer(identities)
            self._ticked_at = self._clock.monotonic()
            await self._clock.sleep(0)
        return True

    def _is_abandoning(self) -> bool:
        """Give up names of a window that was received under other rules; say whether it waits for more."""
        return self._leaving is not None and self._leaving.is_renamed and not self._hotpath.abandon_names()

    def _answer(self, identities: Iterable[Identity]) -> None:
        """Name identities for the time of a slice; the others are asked for again."""
        slice_ends = self._clock.monotonic() + limits.CLOSE_SLICE
        answers = []
        for identity in identities:
            answers.append((identity, self._namer.resolve(identity)))
            if self._clock.monotonic() >= slice_ends:
                break
        self._hotpath.resolve(answers)

    async def _progress(self) -> None:
        """Let others run; what is new meanwhile gets its names."""
        if self._is_running:
            await self._name(slices=1)
        await self._clock.sleep(0)
        self._stored_at = self._clock.monotonic()

    async def _name_one_slice(self) -> None:
        await self._name(slices=1)
        await self._clock.sleep(0)
        self._stored_at = self._clock.monotonic()
