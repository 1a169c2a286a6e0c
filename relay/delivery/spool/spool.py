"""The spool: requests wait here until they are delivered. It owns the waiting and the leased batches and their counts.

Invariants (I8, I5): a window is stored before its first request is sent, and a retry sends the same bytes. A batch
leaves the spool only when it is done, or dropped and counted. A batch that is leased when the process dies is sent
again. Points move between `points`, `leased` and the counters of the ledger in one step without an await.

All of this runs on the loop, and nothing blocks on the disk: `Writer` hands the work to a thread (writer.py), and
database.py does it. While the disk fails, windows are kept in memory up to `MEMORY_MAX` (quota.py), sending
continues, and `degraded` is true. But a window that the disk may hold in a checkpoint waits until it is stored, or the
checkpoint is void (state/checkpointed_windows.py). Without a state directory all windows are in memory only.

Not known here: SQLite, and what an answer of the cloud means.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter
from typing import TYPE_CHECKING, Final, TypeAlias

from relay.delivery.spool.database import Database
from relay.delivery.spool.errors import Damaged, DiskTrouble
from relay.delivery.spool.memory import Job, StoredBatch
from relay.delivery.spool.order import BatchOrder, Lease, WaitingBatch
from relay.delivery.spool.quota import SpoolQuota
from relay.delivery.spool.schema import prune
from relay.delivery.spool.writer import STALL, MemoryWriter, Writer
from relay.delivery.state.checkpointed_windows import CheckpointedWindows
from relay.model import Batch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from relay.context import Context
    from relay.delivery.spool.database import Contents
    from relay.delivery.state.directory import StateDirectory

Blob: TypeAlias = bytes
State: TypeAlias = "Mapping[str, bytes]"
CountPart: TypeAlias = "Callable[[int], Awaitable[int]]"

_PRUNE_EVERY: Final = 10_000


class Spool:
    """State: the order of waiting batches, the leased points, the committed ids, and the writer."""

    def __init__(self, database: Database | None, context: Context, *, limit_bytes: int) -> None:
        self._clock, self._ledger, self._loss_log = context.clock, context.ledger, context.loss_log
        self._order = BatchOrder()
        self._some_wait = asyncio.Event()
        self._writer = Writer(database, context, spool=self) if database else MemoryWriter()
        self._next_id = int(self._clock.wall() * 1_000_000)
        """Starts at the clock and is raised above every id found, so ids increase even if old ones are unreadable."""
        self.quota = SpoolQuota(
            limit_bytes,
            context=context,
            order=self._order,
            bodies=self._writer.bodies,
            remove=self._writer.remove,
        )
        self._settled = False
        self.limit_bytes = limit_bytes
        self.committed: set[int] = set()
        """Ids of the windows stored in the last 30 days."""
        self._unrecorded: dict[int, Job] = {}
        """Committed windows that are not on disk yet, with the jobs that write them."""
        self.checkpointed = CheckpointedWindows(self._release)
        """Windows that must not be sent from memory."""
        self.leased = 0
        """Points of leased batches."""
        self._leased_windows: Counter[int] = Counter()
        """Leased batches by window."""

    def __repr__(self) -> str:
        """Report the waiting batches, the age of the oldest window, and trouble of the disk."""
        oldest = f", oldest {self._clock.wall() - self.oldest_window:.0f} s" if self.oldest_window is not None else ""
        degraded = f", degraded ({self._writer.trouble})" if self.degraded else ""
        return f"<Spool {self.batches} batches, {self.bytes / 1048576:.1f} MiB{oldest}{degraded}>"

    @property
    def batches(self) -> int:
        """Waiting batches, without leased ones."""
        return self._order.batches

    @property
    def points(self) -> int:
        """Waiting points, without leased ones."""
        return self._order.points

    @property
    def bytes(self) -> int:
        """Bytes of the compressed bodies of waiting batches."""
        return self._order.bytes

    @property
    def oldest_window(self) -> int | None:
        """Id of the oldest window of which a batch waits or is leased."""
        waiting = self._order.oldest_window
        return min([*self._leased_windows, *([] if waiting is None else [waiting])], default=None)

    @property
    def can_send(self) -> bool:
        """Whether a waiting batch may be sent."""
        return self._order.live_window is not None

    @property
    def degraded(self) -> bool:
        """Whether the disk fails or is too slow, so that a crash would lose batches in memory."""
        return bool(self._writer.trouble)

    @property
    def trouble(self) -> str:
        """Why the disk fails, a reason of errors.py; "" while all is durable."""
        return self._writer.trouble

    @classmethod
    async def open(
        cls,
        directory: Path | None,
        context: Context,
        *,
        limit_bytes: int,
        state_directory: StateDirectory | None = None,
    ) -> Spool:
        """Open or create the database and recover its batches. A failing disk raises nothing and is tried again.

        Args:
            directory: exists, and is locked by this relay (see state/directory.py); None for memory only.
            context: the clock, the books of points, and the log for RLY410 to RLY412.
            limit_bytes: quota of database, log and ballast together.
            state_directory: checks that the directory is still at its path.
        """
        database = Database(directory, limit_bytes=limit_bytes, state_directory=state_directory) if directory else None
        spool = cls(database, context, limit_bytes=limit_bytes)
        spool.committed.update(await spool._writer.open())
        return spool

    async def run(self) -> None:
        """Wait for the end of the writer's task; raise its exception, which is a bug of the relay."""
        await self._writer.run()

    # --- in -----------------------------------------------------------------------------------------------------------

    async def store(self, window: int, batches: Sequence[Batch], state: State, *, samples: int = 0) -> None:
        """Commit a window: its requests, its state and its id.

        Return when the window is on disk, or in memory if the disk fails. Trouble of the disk is never raised.

        Args:
            window: id of the window.
            batches: requests of the window.
            state: values stored together with the window.
            samples: number of samples in the requests; needed if a stop leaves a part of them to the next start.

        Raises:
            ValueError: the window was stored before.
        """
        if window in self.committed:
            raise ValueError(f"window {window} was closed twice")
        job = await self._submit(batches, windows=[window], state=state, samples=samples)
        if not job.is_written:
            self._unrecorded[window] = job
        if window in self.checkpointed:
            self._order.hold(window)
        self._commit(window)  # not before: its checkpoint is void from here on
        self.checkpointed.notify_void()
        self._ledger.points_created += self._enqueue(job.rows)
        if self._writer.free_bytes is not None:
            self.quota.watch(self._clock.monotonic(), self._writer.free_bytes)

    async def add_replayed(self, batches: Sequence[Batch], state: State) -> None:
        """Store batches of windows committed long ago, and state that records the replay, in one transaction."""
        job = await self._submit(batches, windows=(), state=state)
        self._ledger.points_replayed += self._enqueue(job.rows)

    def is_recorded(self, window: int) -> bool:
        """Return whether the disk records a window as committed, or may: a failed write may still be on disk."""
        job = self._unrecorded.get(window)
        return window in self.committed and (job is None or job.is_tried)

    # --- out ----------------------------------------------------------------------------------------------------------

    async def lease(self, *, live: bool = False) -> Lease:
        """Lease the next batch; wait until there is one. `live`: from the live window only."""
        while True:
            in_memory = None if self._writer.may_read() else self._writer.bodies.has
            live_window = self._order.live_window
            entry = self._order.pop(live=live, in_memory=in_memory)
            if entry is None:
                self._some_wait.clear()
                await self._some_wait.wait()
                continue
            self._count_lease(entry, 1)
            lease = await self._fetch(entry, live=entry.window == live_window)
            if lease is not None:
                return lease

    def done(self, lease: Lease) -> None:
        """End a lease: every point is counted elsewhere, and the batch will be deleted."""
        self._count_lease(lease.entry, -1)
        self._writer.remove(lease.entry.id)

    def put_back(self, lease: Lease) -> None:
        """End a lease: the batch waits again."""
        entry = lease.entry
        row = StoredBatch(id=entry.id, window=entry.window, points=entry.points, body=lease.compressed)
        self._writer.retain(row, generation=lease.generation)
        self._return(entry)

    # --- stop ---------------------------------------------------------------------------------------------------------

    def report_stall(self) -> None:
        """Treat the disk as stalled: another caller has waited for it in vain."""
        self._writer.report_stall()

    async def settle(self, within: float = STALL, *, count_part: CountPart | None = None) -> None:
        """Try to write everything within `within` seconds; count as dropped what only memory holds then.

        Args:
            within: time limit in seconds.
            count_part: returns how many samples of a window the next start will find on the disk.
        """
        self._settled = True
        await self._writer.finish(within)
        if count_part:
            await self._leave_parts(count_part)
        self._drop_pinned()

    def _drop_pinned(self) -> None:
        """Drop the batches that only memory holds, at a stop; count them as stop_without_state."""
        entries = self._order.remove_if(lambda entry: self._writer.bodies.is_pinned(entry.id))
        points = sum(entry.points for entry in entries)
        for entry in entries:
            self._ledger.drop_points(entry.window, entry.points, reason="stop_without_state")
        if points:
            reason = "stop_without_state"
            self._loss_log.warn("points dropped", code="RLY407", subject=reason, reason=reason, points=points)

    async def close(self) -> None:
        """Settle, and close the database."""
        if not self._settled:
            await self.settle()
        await self._writer.close()

    async def state(self, key: str) -> Blob | None:
        """Return the value that was stored last under a key."""
        return await self._writer.state(key)

    # --- callbacks of the writer --------------------------------------------------------------------------------------

    def adopt(self, contents: Contents) -> None:
        """Add the contents of the database; a window with a checkpoint on disk waits until the checkpoint is void."""
        self.checkpointed.add(*contents.checkpointed)
        for window in contents.checkpointed:
            self._order.hold(window)
        for entry in contents.entries:
            self._order.push(entry)
            self._next_id = max(self._next_id, entry.id + 1)
        self._ledger.points_recovered += sum(entry.points for entry in contents.entries)
        self.committed.update(contents.windows)
        self.checkpointed.notify_void()
        self.wake()

    def database_lost(self) -> Collection[int]:
        """Drop batches that were only in a database now set aside; return the ids of committed windows."""
        for entry in self._order.remove_if(lambda entry: not self._writer.bodies.has(entry.id)):
            self._ledger.drop_points(entry.window, entry.points, reason="spool_damaged")
        return list(self.committed)

    def stored(self, windows: Collection[int]) -> None:
        """Release windows that are on disk now, unless a checkpoint of them is not void yet."""
        for window in windows:
            self._unrecorded.pop(window, None)
        self.checkpointed.mark_stored(windows)
        self.checkpointed.notify_void()
        self._release([window for window in windows if window not in self.checkpointed])

    def directory_removed(self) -> None:
        """Release all windows: the state directory, and so every checkpoint on disk, is gone."""
        self.checkpointed.clear()

    def wake(self) -> None:
        """Wake the callers of `lease`, if batches wait."""
        if self._order.batches:
            self._some_wait.set()

    # --- helpers ------------------------------------------------------------------------------------------------------

    async def _submit(
        self, batches: Sequence[Batch], *, windows: Collection[int], state: State, samples: int = 0
    ) -> Job:
        """Compress in a thread other than the writer's, which may hang in the disk; then pass the job to the writer."""
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
        """Leave checkpointed parts of unrecorded windows to the next start, and count the rest as dropped."""
        for window, job in self._unrecorded.items():
            part = min(await count_part(window), job.samples) if window in self.checkpointed else 0
            if part:
                self._ledger.points_created -= sum(entry.points for entry in self._order.remove_window(window))
                self._ledger.samples_closed -= job.samples
                self._ledger.samples_closing += part
                self._drop_samples(job.samples - part, window)

    def _drop_samples(self, samples: int, window: int) -> None:
        if samples:
            event, reason = "samples dropped", "stop_without_state"
            self._ledger.samples_dropped[reason] += samples
            self._loss_log.warn(event, code="RLY305", subject=reason, reason=reason, samples=samples, window=window)

    def _release(self, windows: Collection[int]) -> None:
        """Allow windows to be sent: no checkpoint of them is on disk any more."""
        self._order.release(windows)
        self.wake()

    def _commit(self, window: int) -> None:
        self.committed.add(window)
        if len(self.committed) % _PRUNE_EVERY == 0:
            prune(self.committed)

    def _enqueue(self, rows: Sequence[StoredBatch]) -> int:
        """Add rows to the order; return their points, for the counter that must change in the same step."""
        for row in rows:
            self._order.push(
                WaitingBatch(window=row.window, id=row.id, points=row.points, compressed_bytes=len(row.body))
            )
        self.wake()
        self.quota.bound_memory()
        return sum(row.points for row in rows)

    async def _fetch(self, entry: WaitingBatch, *, live: bool) -> Lease | None:
        """Fetch the body; return None if the batch waits again, or is lost and counted."""
        row, generation = self._writer.bodies.get(entry.id), self._writer.generation
        try:
            compressed = row.body if row else await self._writer.read(entry.id)
        except (DiskTrouble, Damaged):
            self._return_or_lose(entry, generation)
            return None
        except BaseException:
            self._return_or_lose(entry, generation)
            raise
        try:
            body = zlib.decompress(compressed or b"")
        except zlib.error:
            self._lose(entry)
            return None
        batch = Batch(window=entry.window, points=entry.points, body=body)
        return Lease(batch=batch, entry=entry, live=live, compressed=compressed or b"", generation=generation)

    def _return_or_lose(self, entry: WaitingBatch, generation: int) -> None:
        """Return a batch to the order after a failed read; count it as lost if its database was set aside meanwhile."""
        if generation == self._writer.generation:
            self._return(entry)
        else:
            self._lose(entry)

    def _count_lease(self, entry: WaitingBatch, sign: int) -> None:
        self.leased += sign * entry.points
        self._leased_windows[entry.window] += sign
        if not self._leased_windows[entry.window]:
            del self._leased_windows[entry.window]

    def _lose(self, entry: WaitingBatch) -> None:
        self._count_lease(entry, -1)
        self._ledger.drop_points(entry.window, entry.points, reason="spool_damaged")
        self._writer.remove(entry.id)
        event, reason = "a batch in the spool is damaged", "spool_damaged"
        self._loss_log.warn(event, code="RLY412", reason=reason, window=entry.window, points=entry.points)

    def _return(self, entry: WaitingBatch) -> None:
        self._count_lease(entry, -1)
        self._order.push(entry)
        self.wake()


def _compress(batches: Sequence[Batch]) -> list[bytes]:
    return [zlib.compress(batch.body, 1) for batch in batches]
