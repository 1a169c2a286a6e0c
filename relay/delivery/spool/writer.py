"""The loop side of the writer thread: when something is written, and what is done when the disk fails.

A batch stays in memory until it is on disk (see memory.py), so a failing disk loses nothing. One task writes. While
the disk fails, it tries again once a second: the degraded mode, which ends by itself. A damaged database is set aside
and a fresh one is started. Not known here: which batch is sent next, and how batches are counted (see spool.py).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from relay.delivery.disk_thread import DiskThread
from relay.delivery.spool.errors import Damaged, DiskTrouble, QuotaReached
from relay.delivery.spool.memory import Job, WriteQueue
from relay.delivery.state.private_files import time_label

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from relay.context import Context
    from relay.delivery.spool.database import Database
    from relay.delivery.spool.memory import PayloadCache, StoredBatch
    from relay.delivery.spool.spool import Spool

T = TypeVar("T")

STALL: Final = 2.0
"""Seconds without an answer of the disk after which a window is sent from memory, or a stop ends its last write."""
_DELETE_DELAY: Final = 0.1
"""Seconds for which deletions are collected: 33 in one transaction cost 15 us each instead of 243."""
_RETRY: Final = 1.0
"""Seconds between two tries while the disk fails; the documented limit of a recovery is 5."""
_CHECK_EVERY: Final = 1.0
"""Seconds between two checks that the files are at their paths; a removal is documented to be noticed within 2."""
_READS_MAX: Final = 2
"""Senders that may wait for the disk at a time; the others lease batches in memory."""


class Writer:
    """State: the write queue, whether the database is open, and why the disk fails, if it does."""

    def __init__(self, database: Database, context: Context, *, spool: Spool) -> None:
        self._database = database
        self._spool = spool
        self._clock, self._loss_log = context.clock, context.loss_log
        self._thread = DiskThread("spool")
        self._task: asyncio.Task[None] | None = None
        self._queue = WriteQueue()
        self._wanted = asyncio.Event()
        self._job_added = asyncio.Event()
        self._stopping = asyncio.Event()
        self._loaded = False
        self._connected = False
        self._damage: Damaged | None = None
        self._reading = 0
        self._no_reads_until = 0.0
        self.free_bytes = 0
        """Free bytes below the quota, as of the last write."""
        self.generation = 0
        """Number of databases that this writer lost: set aside, and replaced by a new one."""
        self.trouble = ""
        """`DiskTrouble.reason` while the disk fails; "" while all is durable."""

    @property
    def bodies(self) -> PayloadCache:
        """Bodies in memory."""
        return self._queue.bodies

    # --- called by the spool ------------------------------------------------------------------------------------------

    async def open(self) -> Collection[int]:
        """Open the database, or start without it; return the committed ids of a file that cannot be opened."""
        windows: set[int] = set()
        try:
            await self._open()
            if self._database.lacks_reserve:
                self._degrade("full", "no room for the reserve")
        except DiskTrouble as trouble:
            self._degrade(trouble.reason, str(trouble))
            windows, self._queue.state = await self._run(self._database.salvage)
        self._task = asyncio.create_task(self._work(), name="spool-writer")
        if self.trouble:
            self._wanted.set()
        return windows

    async def add(self, job: Job, state: Mapping[str, bytes]) -> None:
        """Queue a job; return when it is on disk, or the disk fails or stalls."""
        self._queue.pin(job.rows, state)
        self._queue.jobs.append(job)
        self._job_added.set()
        self._wanted.set()
        if self.trouble:
            self._queue.settle_all()
            return
        done, _ = await asyncio.wait([job.settled], timeout=STALL)
        if not done:
            self._degrade("stalled", f"no answer for {STALL:g} s")

    def retain(self, row: StoredBatch, *, generation: int) -> None:
        """Retain the body of a batch that is put back; write it again if its database was set aside meanwhile."""
        if generation == self.generation or self.bodies.is_pinned(row.id):
            self.bodies.cache(row)
            return
        self._queue.pin([row], {})
        self._queue.jobs.append(Job(rows=[row], windows=()))
        self._wanted.set()

    def remove(self, id_: int) -> bool:
        """Remove a batch that is done or dropped; return whether its deletion will free pages."""
        self._wanted.set()
        return self._queue.remove(id_)

    def may_read(self) -> bool:
        """Return whether a sender may wait for the disk now."""
        blocked = self._damage is not None or asyncio.get_running_loop().time() < self._no_reads_until
        return self._connected and not blocked and self._reading < _READS_MAX

    async def read(self, id_: int) -> bytes | None:
        """Return a compressed body; None if it is not on disk.

        Raises:
            DiskTrouble, Damaged: the database cannot be read now.
        """
        self._reading += 1
        try:
            return await self._run(self._database.read, id_)
        except (DiskTrouble, Damaged) as error:
            self._cannot_read(error)
            raise
        finally:
            self._reading -= 1
            self._spool.wake()

    async def state(self, key: str) -> bytes | None:
        """Return the value that was stored last under a key; None without one, or if it cannot be read."""
        if key in self._queue.state or not self._connected:
            return self._queue.state.get(key)
        try:
            return await self._run(self._database.read_state, key)
        except (DiskTrouble, Damaged) as error:
            self._cannot_read(error)
            return None

    async def run(self) -> None:
        """Check once a second that the files are at their paths, until the writer's task ends; raise its exception."""
        while self._task is not None:
            if (await asyncio.wait([self._task], timeout=_CHECK_EVERY))[0]:
                await asyncio.shield(self._task)
                return
            await self._check_files()

    def report_stall(self) -> None:
        """Degrade at once: another caller has waited for the disk in vain."""
        self._degrade("stalled", f"no answer for {STALL:g} s")
        self._wanted.set()

    async def finish(self, within: float) -> None:
        """Try once more to write everything, for at most `within` seconds; nothing is written afterwards."""
        self._stopping.set()
        self._wanted.set()
        self._job_added.set()
        if self._task is not None and (await asyncio.wait([self._task], timeout=within))[1]:
            self._task.cancel()
            self._degrade("stalled", "at stop")

    async def close(self) -> None:
        """Close the database; a thread that hangs in the disk is not waited for."""
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task
        if self.trouble != "stalled":
            with suppress(TimeoutError):  # everything is written by then, and the time of the stop is used up
                await asyncio.wait_for(self._run(self._database.close), STALL / 4)
        self._thread.close()

    # --- the task -----------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            await self._wait_for_work()
            last = self._stopping.is_set()
            try:
                await self._write_all()
            except DiskTrouble as trouble:
                self._degrade(trouble.reason, str(trouble))
                await self._drop_connection(trouble)
            except Damaged as damage:
                self._damage = damage
                self._wanted.set()
                continue
            if last:
                return
            if self.trouble:
                self._wanted.set()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_RETRY):
                        await self._stopping.wait()

    async def _wait_for_work(self) -> None:
        """Wait for a job or a deletion; deletions are collected for a moment, a job is written at once."""
        await self._wanted.wait()
        if not self._queue.jobs and not self._stopping.is_set():
            self._job_added.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_DELETE_DELAY):
                    await self._job_added.wait()
        self._wanted.clear()

    async def _write_all(self) -> None:
        """Make all deletions and write all jobs.

        Raises:
            DiskTrouble, Damaged: what was not written stays in memory.
        """
        if self._damage is not None:
            await self._start_afresh(self._damage)
        if self._connected:
            await self._ensure_files()
        else:
            await self._open()
        await self._delete()
        while self._queue.jobs:
            await self._write_next()
        if self._database.lacks_reserve:
            await self._run(self._database.restore_reserve)
        self._recover()

    async def _write_next(self) -> None:
        write = self._queue.next_write()
        self.free_bytes = await self._run(self._database.free_bytes)
        missing = write.bytes - self.free_bytes
        if missing > 0 and self._spool.quota.make_room(missing, but=write.job.windows):
            await self._delete()
            write = self._queue.next_write()
        self._queue.mark_tried(write)
        try:
            await self._run(self._database.write, write.rows, write.job.windows, write.state)
        except QuotaReached as error:
            # The estimate was too low: make room for another quarter of the window, and try again.
            if not self._spool.quota.make_room(write.bytes // 4, but=write.job.windows):
                raise DiskTrouble("quota", "a window does not fit into [spool] max") from error
            await self._delete()
            return
        self.free_bytes -= write.bytes
        self._queue.mark_written(write)
        self._spool.stored(write.job.windows)

    async def _delete(self) -> None:
        ids = tuple(self._queue.deletions)
        if ids:
            await self._run(self._database.delete, ids)
            self._queue.drop_deletions(len(ids))

    async def _check_files(self) -> None:
        """Degrade if the files were removed or replaced: SQLite would go on writing to unreachable files."""
        if not self._connected or self.trouble:
            return
        try:
            await self._run(self._database.check_files)
        except DiskTrouble as trouble:
            self._degrade(trouble.reason, str(trouble))
            self._wanted.set()

    async def _ensure_files(self) -> None:
        """Check before a write that the files are at their paths; restore replaced files at the second try.

        Raises:
            DiskTrouble: at the first try, so that the trouble is logged; nothing may be written.
        """
        try:
            await self._run(self._database.check_files)
        except DiskTrouble as trouble:
            if trouble.reason != "replaced" or not self.trouble:
                raise
            await self._run(self._database.restore, f"replaced-{time_label(self._clock.wall())}")

    async def _open(self) -> None:
        for _ in range(2):
            try:
                is_new = await self._run(self._database.connect)
                contents = None if self._loaded else await self._run(self._database.load)
                break
            except Damaged as damage:
                await (self._start_afresh(damage) if self._loaded else self._set_aside(damage))
        else:
            raise DiskTrouble("io", "a fresh database is damaged too")
        self._connected = True
        if contents is not None:
            self._loaded = True
            self._spool.adopt(contents)
        elif is_new:
            self.generation += 1
            self._queue.start_over(self._spool.database_lost())

    async def _set_aside(self, damage: Damaged) -> None:
        self._connected = False
        file = await self._run(self._database.set_aside, f"{damage.kind}-{time_label(self._clock.wall())}")
        self._loss_log.warn("the spool is set aside, a fresh one started", code="RLY412", file=file, why=str(damage))

    async def _start_afresh(self, damage: Damaged) -> None:
        """Set the database aside; the next open makes an empty one and queues the bodies in memory for it."""
        await self._set_aside(damage)
        self._damage = None
        self._loaded = True

    async def _drop_connection(self, trouble: DiskTrouble) -> None:
        """Reconnect at the next try after an I/O error; on a full disk keep the connection, as closing it writes."""
        if trouble.reason in ("io", "read-only"):
            self._connected = False
            await self._run(self._database.close)

    def _cannot_read(self, error: DiskTrouble | Damaged) -> None:
        if isinstance(error, Damaged):
            self._damage = error
        loop = asyncio.get_running_loop()
        self._no_reads_until = loop.time() + _RETRY
        loop.call_later(_RETRY, self._spool.wake)
        self._wanted.set()

    def _degrade(self, reason: str, detail: str) -> None:
        if reason == "removed":
            self._spool.directory_removed()
        self._queue.settle_all()
        if not self.trouble:
            event = "durability degraded, requests are kept in memory"
            self._loss_log.warn(event, code="RLY411", subject=reason, reason=reason, why=detail)
        self.trouble = reason

    def _recover(self) -> None:
        if self.trouble:
            self.trouble = ""
            structlog.get_logger("relay").debug("durability restored, all requests are on disk", code="RLY411")
            self._spool.wake()

    async def _run(self, call: Callable[..., T], *args: object) -> T:
        return await self._thread.run(call, *args)


# --- without a state directory ---------------------------------------------------------------------------------------


class MemoryWriter:
    """The counterpart of `Writer` without a state directory; see there for each method. State: the bodies."""

    trouble = ""
    generation = 0
    free_bytes = None

    def __init__(self) -> None:
        self._queue = WriteQueue()

    @property
    def bodies(self) -> PayloadCache:
        """Bodies in memory."""
        return self._queue.bodies

    async def open(self) -> Collection[int]:
        """Return no ids: nothing is stored."""
        return ()

    async def add(self, job: Job, state: Mapping[str, bytes]) -> None:
        """Retain the batches of a job."""
        self._queue.pin(job.rows, state)

    def retain(self, row: StoredBatch, *, generation: int) -> None:
        """Do nothing: the body is still in memory."""

    def remove(self, id_: int) -> bool:
        """Remove a batch."""
        self.bodies.drop(id_)
        return False

    def may_read(self) -> bool:
        """Return True: every body is in memory."""
        return True

    async def read(self, id_: int) -> bytes | None:  # noqa: ARG002 - as Writer's
        """Return None: there is no disk."""
        return None

    async def state(self, key: str) -> bytes | None:
        """Return the value that was stored last under a key."""
        return self._queue.state.get(key)

    async def run(self) -> None:
        """Wait for ever: there is no task."""
        await asyncio.Event().wait()

    def report_stall(self) -> None:
        """Do nothing: there is no disk."""

    async def finish(self, within: float) -> None:
        """Do nothing: there is no disk."""

    async def close(self) -> None:
        """Do nothing: there is no database."""
