"""Where requests wait until the cloud has them: what waits, what is leased, and how both stand in the ledger.

Invariants (I8, I5): a window is stored before its first request is sent, and what is sent again is the same bytes. A
batch leaves the spool only when it is done, or dropped and counted; one that is leased when the process dies is sent
again. Points move between `points`, `leased` and the counters of the ledger in one step without an await.

Everything here happens on the loop and nothing waits for the disk: `Writer` hands work to a thread (writer.py),
and what SQLite does with it is in database.py. While the disk refuses, windows are kept in memory up to
`MEMORY_MOST` (quota.py), sending goes on, and `degraded` says so; but a window of which the disk may hold a part waits
until it is stored, or the part is gone (parts.py). Without a directory they are never anywhere else.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING, Final, TypeAlias

from relay.delivery.spool.database import Database
from relay.delivery.spool.errors import Damaged, DiskTrouble
from relay.delivery.spool.file import prune
from relay.delivery.spool.lease import Lease
from relay.delivery.spool.memory import Job, StoredBatch
from relay.delivery.spool.order import BatchOrder, WaitingBatch
from relay.delivery.spool.quota import SpoolQuota
from relay.delivery.spool.writer import STALL, MemoryWriter, Writer
from relay.delivery.state.parts import Parts
from relay.model import Batch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from relay.clock import Clock
    from relay.delivery.spool.database import Contents
    from relay.delivery.spool.file import Directory
    from relay.ledger import Ledger, LossLog

Blob: TypeAlias = bytes
State: TypeAlias = "Mapping[str, bytes]"
CountPart: TypeAlias = "Callable[[int], Awaitable[int]]"

_PRUNE_EVERY: Final = 10_000


class Spool:
    """State: the lanes of what waits, what is leased, and the writer of what is not on disk yet."""

    def __init__(
        self, database: Database | None, *, ledger: Ledger, clock: Clock, loss_log: LossLog, limit_bytes: int
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._loss_log = loss_log
        self._lanes = BatchOrder()
        self._some_wait = asyncio.Event()
        self._writer = Writer(database, owner=self, clock=clock, loss_log=loss_log) if database else MemoryWriter()
        self._next_id = int(clock.wall() * 1_000_000)
        """Ids go up even if those of an earlier run cannot be read: from the clock, and above all that are found."""
        self._room = SpoolQuota(
            limit_bytes,
            lanes=self._lanes,
            bodies=self._writer.bodies,
            forget=self._writer.forget,
            ledger=ledger,
            loss_log=loss_log,
        )
        self._settled = False
        self.limit_bytes = limit_bytes
        self.committed: set[int] = set()
        """Ids of the windows stored in the last 30 days."""
        self._unrecorded: dict[int, Job] = {}
        """Those that only memory knows of, and what would write them: the disk did not take them yet."""
        self.parts = Parts(self._release)
        """Windows that must not leave from memory."""
        self.leased = 0
        """Points on their way."""

    def __repr__(self) -> str:
        """Report what waits, how old it is, and whether it is safe."""
        oldest = f", oldest {self._clock.wall() - self.oldest_window:.0f} s" if self.oldest_window is not None else ""
        degraded = f", degraded ({self._writer.trouble})" if self.degraded else ""
        return f"<Spool {self.batches} batches, {self.bytes / 1048576:.1f} MiB{oldest}{degraded}>"

    @property
    def batches(self) -> int:
        """Batches waiting."""
        return self._lanes.batches

    @property
    def points(self) -> int:
        """Waiting, without those leased."""
        return self._lanes.points

    @property
    def bytes(self) -> int:
        """Of the bodies that wait, compressed."""
        return self._lanes.bytes

    @property
    def oldest_window(self) -> int | None:
        """Id of the oldest window that waits."""
        return self._lanes.oldest

    @property
    def can_send(self) -> bool:
        """Whether something waits that may be taken."""
        return self._lanes.newest is not None

    @property
    def holds(self) -> bool:
        """Whether something waits that may be taken only once it is stored."""
        return self._lanes.holds

    @property
    def degraded(self) -> bool:
        """Whether the disk refuses or is too slow, so that a crash would lose what is in memory."""
        return bool(self._writer.trouble)

    @classmethod
    async def open(
        cls,
        directory: Path | None,
        *,
        ledger: Ledger,
        clock: Clock,
        loss_log: LossLog,
        limit_bytes: int,
        place: Directory | None = None,
    ) -> Spool:
        """Open or make the database; what it holds is recovered. A disk that refuses is retried until it does not.

        Args:
            directory: exists, and is this relay's alone (see state/directory.py); None for memory only.
            ledger: counts what is created, recovered, replayed and dropped.
            clock: wall time for names and ids, monotonic for the forecast.
            loss_log: RLY410 to RLY412.
            limit_bytes: quota of database, log and ballast together.
            place: sees whether the directory is still there.
        """
        database = Database(directory, limit_bytes=limit_bytes, place=place) if directory else None
        spool = cls(database, ledger=ledger, clock=clock, loss_log=loss_log, limit_bytes=limit_bytes)
        spool.committed.update(await spool._writer.open())
        return spool

    async def run(self) -> None:
        """Wait for the end of the writer's task; raises what should never have been raised in it."""
        await self._writer.run()

    # --- in -----------------------------------------------------------------------------------------------------------

    async def store(self, window: int, batches: Sequence[Batch], state: State, *, samples: int = 0) -> None:
        """Commit a window: its requests, the state that belongs to it, and its id.

        Returns when it is on disk, or in memory if the disk refuses; no trouble of the disk is ever raised.

        Args:
            window: its id.
            batches: its requests.
            state: what belongs to it.
            samples: in its requests, for the books of a stop that leaves a part of them to the next start.

        Raises:
            ValueError: the window was stored before.
        """
        if window in self.committed:
            raise ValueError(f"window {window} was closed twice")
        job = await self._hand_over(batches, windows=[window], state=state, samples=samples)
        if not job.is_written:
            self._unrecorded[window] = job
        if window in self.parts:
            self._lanes.hold(window)
        self._commit(window)  # not before: its checkpoint is void from here on
        self.parts.are_void()
        self._ledger.points_created += self._publish(job.rows)
        if self._writer.room is not None:
            self._room.watch(self._clock.monotonic(), self._writer.room)

    async def add_replayed(self, batches: Sequence[Batch], state: State) -> None:
        """Store batches of windows that were committed long ago, with state that says so, in one transaction."""
        job = await self._hand_over(batches, windows=(), state=state)
        self._ledger.points_replayed += self._publish(job.rows)

    def is_recorded(self, window: int) -> bool:
        """Say whether a start would know that a window is committed, or might: a write that failed may be on disk."""
        job = self._unrecorded.get(window)
        return window in self.committed and (job is None or job.is_tried)

    # --- out ----------------------------------------------------------------------------------------------------------

    async def take(self, *, live: bool = False) -> Lease:
        """Lease the next batch; wait until there is one. `live`: only of the newest window."""
        while True:
            at_hand = None if self._writer.may_read() else self._writer.bodies.has
            newest = self._lanes.newest
            entry = self._lanes.take(live=live, at_hand=at_hand)
            if entry is None:
                self._some_wait.clear()
                await self._some_wait.wait()
                continue
            self.leased += entry.points
            lease = await self._lease(entry, live=entry.window == newest)
            if lease is not None:
                return lease

    def done(self, lease: Lease) -> None:
        """Every point of the lease is accounted for elsewhere; the batch is deleted soon."""
        self.leased -= lease.entry.points
        self._writer.forget(lease.entry.id)

    def put_back(self, lease: Lease) -> None:
        """Let the batch wait again."""
        entry = lease.entry
        row = StoredBatch(id=entry.id, window=entry.window, points=entry.points, body=lease.packed)
        self._writer.keep(row, generation=lease.generation)
        self._return(entry)

    # --- the end ------------------------------------------------------------------------------------------------------

    def note_stall(self) -> None:
        """Believe that the disk hangs, because somebody else has waited for it."""
        self._writer.note_stall()

    async def settle(self, within: float = STALL, *, count_part: CountPart | None = None) -> None:
        """Write what can still be written within so many seconds; what only memory holds then is lost, and counted.

        Args:
            within: seconds.
            count_part: says how many samples of a window the next start will find on the disk.
        """
        self._settled = True
        await self._writer.finish(within)
        if count_part:
            await self._leave_parts(count_part)
        self.discard()

    def discard(self) -> None:
        """Drop what only memory holds, for a stop: counted as stop_without_state."""
        entries = self._lanes.drop_if(lambda entry: self._writer.bodies.is_pinned(entry.id))
        points = sum(entry.points for entry in entries)
        if points:
            self._ledger.points_dropped["stop_without_state"] += points
            self._loss_log.warn("points dropped", reason="stop_without_state", points=points)

    async def close(self) -> None:
        """Settle, and close the database."""
        if not self._settled:
            await self.settle()
        await self._writer.close()

    async def state(self, key: str) -> Blob | None:
        """Return what was stored under a key with the last window."""
        return await self._writer.state(key)

    # --- what the writer asks for -------------------------------------------------------------------------------------

    def adopt(self, contents: Contents) -> None:
        """Take over what was found on disk; windows whose checkpoints are there, too, wait until these are void."""
        self.parts.add(*contents.parts)
        for window in contents.parts:
            self._lanes.hold(window)
        for entry in contents.entries:
            self._lanes.push(entry)
            self._next_id = max(self._next_id, entry.id + 1)
        self._ledger.points_recovered += sum(entry.points for entry in contents.entries)
        self.committed.update(contents.windows)
        self.parts.are_void()
        self.wake()

    def make_room(self, missing: int, *, but: Collection[int]) -> bool:
        """Drop whole oldest windows that are on disk; see quota.py."""
        return self._room.make(missing, but=but)

    def disk_lost(self) -> Collection[int]:
        """Let go of what was only in a database that had to be set aside; return the ids of committed windows."""
        for entry in self._lanes.drop_if(lambda entry: not self._writer.bodies.has(entry.id)):
            self._ledger.points_dropped["spool_damaged"] += entry.points
        return list(self.committed)

    def stored(self, windows: Collection[int]) -> None:
        """Let windows that are on disk now be sent, unless a part of them is there, too."""
        for window in windows:
            self._unrecorded.pop(window, None)
        self.parts.stored(windows)
        self.parts.are_void()
        self._release([window for window in windows if window not in self.parts])

    def directory_removed(self) -> None:
        """Nothing of any window is on disk any more."""
        self.parts.clear()

    def wake(self) -> None:
        """Let those who wait look again."""
        if self._lanes.batches:
            self._some_wait.set()

    # --- the inside ---------------------------------------------------------------------------------------------------

    async def _hand_over(
        self, batches: Sequence[Batch], *, windows: Collection[int], state: State, samples: int = 0
    ) -> Job:
        """Compress in a thread of its own, for the writer's may hang in the disk; then give it to the writer."""
        bodies = await asyncio.to_thread(_compress, batches)
        first, self._next_id = self._next_id, self._next_id + len(batches)
        rows = [
            StoredBatch(id=first + number, window=batch.window, points=batch.points, body=body)
            for number, (batch, body) in enumerate(zip(batches, bodies, strict=True))
        ]
        job = Job(rows=rows, windows=windows, samples=samples)
        await self._writer.add(job, state)
        return job

    async def _leave_parts(self, count_part: CountPart) -> None:
        """Leave what the disk has of windows to the next start, as if they had not been closed, and count the rest."""
        for window, job in self._unrecorded.items():
            part = min(await count_part(window), job.samples) if window in self.parts else 0
            if part:
                self._ledger.points_created -= sum(entry.points for entry in self._lanes.drop(window))
                self._ledger.samples_closed -= job.samples
                self._ledger.samples_closing += part
                self._drop_samples(job.samples - part, window)

    def _drop_samples(self, samples: int, window: int) -> None:
        if samples:
            self._ledger.samples_dropped["stop_without_state"] += samples
            self._loss_log.warn("samples dropped", reason="stop_without_state", samples=samples, window=window)

    def _release(self, windows: Collection[int]) -> None:
        """Let windows be taken: no part of them is on disk, or none any more."""
        self._lanes.release(windows)
        self.wake()

    def _commit(self, window: int) -> None:
        self.committed.add(window)
        if len(self.committed) % _PRUNE_EVERY == 0:
            prune(self.committed)

    def _publish(self, rows: Sequence[StoredBatch]) -> int:
        """Let rows wait to be taken; return their points, for the counter that must move in the same step."""
        for row in rows:
            self._lanes.push(WaitingBatch(window=row.window, id=row.id, points=row.points, size=len(row.body)))
        self.wake()
        self._room.bound_memory()
        return sum(row.points for row in rows)

    async def _lease(self, entry: WaitingBatch, *, live: bool) -> Lease | None:
        """Fetch the body; None if the batch is back in its lane, or lost and counted."""
        row, generation = self._writer.bodies.get(entry.id), self._writer.generation
        try:
            packed = row.body if row else await self._writer.read(entry.id)
        except (DiskTrouble, Damaged):
            self._returned_or_lost(entry, generation)
            return None
        except BaseException:
            self._returned_or_lost(entry, generation)
            raise
        try:
            body = zlib.decompress(packed or b"")
        except zlib.error:
            self._lose(entry)
            return None
        batch = Batch(window=entry.window, points=entry.points, body=body)
        return Lease(batch=batch, entry=entry, live=live, packed=packed or b"", generation=generation)

    def _returned_or_lost(self, entry: WaitingBatch, generation: int) -> None:
        """A batch that was being read from a database that was set aside meanwhile is nowhere."""
        if generation == self._writer.generation:
            self._return(entry)
        else:
            self._lose(entry)

    def _lose(self, entry: WaitingBatch) -> None:
        self.leased -= entry.points
        self._ledger.points_dropped["spool_damaged"] += entry.points
        self._writer.forget(entry.id)
        self._loss_log.warn("RLY412 a batch in the spool is damaged", reason="spool_damaged", points=entry.points)

    def _return(self, entry: WaitingBatch) -> None:
        self.leased -= entry.points
        self._lanes.push(entry)
        self.wake()


def _compress(batches: Sequence[Batch]) -> list[bytes]:
    return [zlib.compress(batch.body, 1) for batch in batches]
