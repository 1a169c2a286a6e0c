"""The loop side of the writer thread: when something is written, and what to do when the disk refuses.

A batch handed over is in memory until it is on disk (see memory.py), so a refusing disk loses nothing. One task
writes; while the disk refuses it tries again once a second: that is the degraded mode, and it ends by itself. A
damaged database is set aside and a fresh one started. Not known here: which batch is sent next, and what a batch
counts in the ledger (see spool.py).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import structlog

from relay.delivery.disk_thread import DiskThread
from relay.delivery.spool.errors import Damaged, DiskTrouble, QuotaReached
from relay.delivery.spool.memory import Job, WriteQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from relay.clock import Clock
    from relay.delivery.spool.database import Contents, Database
    from relay.delivery.spool.memory import PayloadCache, StoredBatch
    from relay.ledger import LossLog


# --- owner -----------------------------------------------------------------------------------------------------------

# What the writer of the spool's database asks of the spool.


class WriterCallbacks(Protocol):
    """What the writer needs from the spool."""

    def adopt(self, contents: Contents) -> None:
        """Take over what was found on disk."""

    def make_room(self, missing: int, *, but: Collection[int]) -> bool:
        """Drop oldest windows of so many bytes, except some; return whether anything became free."""
        ...

    def disk_lost(self) -> Collection[int]:
        """The database was set aside: let go of what was only there; return the ids of committed windows."""
        ...

    def stored(self, windows: Collection[int]) -> None:
        """These windows are on disk, with their ids."""

    def directory_removed(self) -> None:
        """Everything in the state directory is gone for good."""

    def wake(self) -> None:
        """Something may be taken again."""


T = TypeVar("T")

STALL: Final = 2.0
"""Seconds a window waits for the disk before it is sent from memory, and a stop for its last write."""
_DELETE_DELAY: Final = 0.1
"""Seconds that deletions are gathered: 33 in one transaction cost 15 us each instead of 243."""
_RETRY: Final = 1.0
"""Seconds between two tries while the disk refuses; the promise is to recover within 5."""
_LOOK: Final = 1.0
"""Seconds between two looks whether the files are still where they were opened; the promise is to see it within 2."""
_READS_MOST: Final = 2
"""Senders that may wait for the disk; the others take what is in memory."""


class Writer:
    """State: what is pending, whether the database is open, and why the disk refuses, if it does."""

    def __init__(self, database: Database, *, owner: WriterCallbacks, clock: Clock, loss_log: LossLog) -> None:
        self._database = database
        self._owner = owner
        self._clock = clock
        self._loss_log = loss_log
        self._thread = DiskThread("spool")
        self._task: asyncio.Task[None] | None = None
        self._pending = WriteQueue()
        self._wanted = asyncio.Event()
        self._job_added = asyncio.Event()
        self._stopping = asyncio.Event()
        self._loaded = False
        self._connected = False
        self._damage: Damaged | None = None
        self._reading = 0
        self._no_reads_until = 0.0
        self.room = 0
        """Bytes that could still be stored below the quota, when something was written last."""
        self.generation = 0
        """How many databases were set aside while this one ran."""
        self.trouble = ""
        """Why the disk refuses (errors.py); empty while all is durable."""

    def __repr__(self) -> str:
        """Report what is not on disk."""
        return f"<Writer {self._pending!r}{', ' * bool(self.trouble)}{self.trouble}>"

    @property
    def bodies(self) -> PayloadCache:
        """What is in memory."""
        return self._pending.bodies

    # --- what the spool calls -----------------------------------------------------------------------------------------

    async def open(self) -> Collection[int]:
        """Open the database, or go on without it for now; return committed ids that could only be looked at."""
        windows: set[int] = set()
        try:
            await self._open()
            if self._database.strained:
                self._degrade("full", "no room for the reserve")
        except DiskTrouble as trouble:
            self._degrade(trouble.reason, str(trouble))
            windows, self._pending.state = await self._run(self._database.peek)
        self._task = asyncio.create_task(self._work(), name="spool-writer")
        if self.trouble:
            self._wanted.set()
        return windows

    async def add(self, job: Job, state: Mapping[str, bytes]) -> None:
        """Hand a job over; return when it is on disk, or the disk has had its chance."""
        self._pending.pin(job.rows, state)
        self._pending.jobs.append(job)
        self._job_added.set()
        self._wanted.set()
        if self.trouble:
            self._pending.settle_all()
            return
        done, _ = await asyncio.wait([job.settled], timeout=STALL)
        if not done:
            self._degrade("stalled", f"no answer for {STALL:g} s")

    def keep(self, row: StoredBatch, *, generation: int) -> None:
        """Keep the body of a batch that goes back to wait; it is not on disk if that was set aside meanwhile."""
        if generation == self.generation or self.bodies.is_pinned(row.id):
            self.bodies.cache(row)
            return
        self._pending.pin([row], {})
        self._pending.jobs.append(Job(rows=[row], windows=()))
        self._wanted.set()

    def forget(self, id_: int) -> bool:
        """Let go of a batch that is done or dropped; return whether pages become free by that."""
        self._wanted.set()
        return self._pending.forget(id_)

    def may_read(self) -> bool:
        """Say whether somebody may wait for the disk now."""
        blocked = self._damage is not None or asyncio.get_running_loop().time() < self._no_reads_until
        return self._connected and not blocked and self._reading < _READS_MOST

    async def read(self, id_: int) -> bytes | None:
        """Return a compressed body; None if it is not on disk.

        Raises:
            DiskTrouble, Damaged: it cannot be read now.
        """
        self._reading += 1
        try:
            return await self._run(self._database.read, id_)
        except (DiskTrouble, Damaged) as error:
            self._cannot_read(error)
            raise
        finally:
            self._reading -= 1
            self._owner.wake()

    async def state(self, key: str) -> bytes | None:
        """Return what was stored last under a key."""
        if key in self._pending.state or not self._connected:
            return self._pending.state.get(key)
        try:
            return await self._run(self._database.read_state, key)
        except (DiskTrouble, Damaged) as error:
            self._cannot_read(error)
            return None

    async def run(self) -> None:
        """Look after the files until the task ends; raises what ended it."""
        while self._task is not None:
            if (await asyncio.wait([self._task], timeout=_LOOK))[0]:
                await asyncio.shield(self._task)
                return
            await self._look()

    def note_stall(self) -> None:
        """Somebody else has waited for the disk: nobody else needs to."""
        self._degrade("stalled", f"no answer for {STALL:g} s")
        self._wanted.set()

    async def finish(self, within: float) -> None:
        """Try once more to write everything, for at most so many seconds; nothing is written afterwards."""
        self._stopping.set()
        self._wanted.set()
        self._job_added.set()
        if self._task is not None and (await asyncio.wait([self._task], timeout=within))[1]:
            self._task.cancel()
            self._degrade("stalled", "at stop")

    async def close(self) -> None:
        """Close the database. A thread that hangs in the disk is left to it."""
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task
        if self.trouble != "stalled":
            with suppress(TimeoutError):  # all is written by then, and the stop has used up its time
                await asyncio.wait_for(self._run(self._database.abandon), STALL / 4)
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
        """Deletions wait for company; a job is written at once."""
        await self._wanted.wait()
        if not self._pending.jobs and not self._stopping.is_set():
            self._job_added.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_DELETE_DELAY):
                    await self._job_added.wait()
        self._wanted.clear()

    async def _write_all(self) -> None:
        """Bring the disk up to date.

        Raises:
            DiskTrouble, Damaged: what is left stays in memory.
        """
        if self._damage is not None:
            await self._start_afresh(self._damage)
        if self._connected:
            await self._stay_in_place()
        else:
            await self._open()
        await self._delete()
        while self._pending.jobs:
            await self._write_next()
        if self._database.strained:
            await self._run(self._database.relieve)
        self._recover()

    async def _write_next(self) -> None:
        write = self._pending.next_write()
        self.room = await self._run(self._database.room)
        if write.bytes > self.room and self._owner.make_room(write.bytes - self.room, but=write.job.windows):
            await self._delete()
            write = self._pending.next_write()
        self._pending.attempt(write)
        try:
            await self._run(self._database.write, write.rows, write.job.windows, write.state)
        except QuotaReached as error:
            # The estimate was too low: a quarter of the window at a time.
            if not self._owner.make_room(write.bytes // 4, but=write.job.windows):
                raise DiskTrouble("quota", "a window does not fit into [spool] max") from error
            await self._delete()
            return
        self.room -= write.bytes
        self._pending.written(write)
        self._owner.stored(write.job.windows)

    async def _delete(self) -> None:
        ids = tuple(self._pending.deletions)
        if ids:
            await self._run(self._database.delete, ids)
            self._pending.deleted(len(ids))

    async def _look(self) -> None:
        """See whether the files were removed or replaced: SQLite would go on to write where nobody finds it."""
        if not self._connected or self.trouble:
            return
        try:
            await self._run(self._database.check_place)
        except DiskTrouble as trouble:
            self._degrade(trouble.reason, str(trouble))
            self._wanted.set()

    async def _stay_in_place(self) -> None:
        """Write nothing into files that are not at their paths any more; those that were lost are made again.

        Raises:
            DiskTrouble: it is told first, and mended with the next try.
        """
        try:
            await self._run(self._database.check_place)
        except DiskTrouble as trouble:
            if trouble.reason != "replaced" or not self.trouble:
                raise
            await self._run(self._database.restore, f"replaced-{self._moment()}")

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
            self._owner.adopt(contents)
        elif is_new:
            self.generation += 1
            self._pending.start_over(self._owner.disk_lost())

    async def _set_aside(self, damage: Damaged) -> None:
        self._connected = False
        file = await self._run(self._database.set_aside, f"{damage.kind}-{self._moment()}")
        self._loss_log.warn(
            "RLY412 spool set aside, a fresh one started", reason=damage.kind, file=file, detail=str(damage)
        )

    async def _start_afresh(self, damage: Damaged) -> None:
        """Go on with an empty database; what is in memory is written to it."""
        await self._set_aside(damage)
        self._damage = None
        self._loaded = True

    def _moment(self) -> str:
        return datetime.fromtimestamp(self._clock.wall(), UTC).strftime("%Y%m%dT%H%M%SZ")

    async def _drop_connection(self, trouble: DiskTrouble) -> None:
        """Open anew next time. A full disk keeps its connection: closing it would write."""
        if trouble.reason in ("io", "read-only"):
            self._connected = False
            await self._run(self._database.abandon)

    def _cannot_read(self, error: DiskTrouble | Damaged) -> None:
        if isinstance(error, Damaged):
            self._damage = error
        loop = asyncio.get_running_loop()
        self._no_reads_until = loop.time() + _RETRY
        loop.call_later(_RETRY, self._owner.wake)
        self._wanted.set()

    def _degrade(self, reason: str, detail: str) -> None:
        if reason == "removed":
            self._owner.directory_removed()
        self._pending.settle_all()
        if not self.trouble:
            self._loss_log.warn("RLY411 durability degraded, requests are kept in memory", reason=reason, detail=detail)
        self.trouble = reason

    def _recover(self) -> None:
        if self.trouble:
            self.trouble = ""
            structlog.get_logger("relay").info("RLY411 durability restored, all requests are on disk")
            self._owner.wake()

    async def _run(self, call: Callable[..., T], *args: object) -> T:
        return await self._thread.run(call, *args)


# --- memory_writer ---------------------------------------------------------------------------------------------------

# The writer of a relay without a state directory: bodies are in memory and nowhere else.


class MemoryWriter:
    """State: what was handed over. The counterpart of `Writer`, which explains each method."""

    trouble = ""
    generation = 0
    room = None

    def __init__(self) -> None:
        self._pending = WriteQueue()

    def __repr__(self) -> str:
        """Report what is in memory."""
        return f"<MemoryWriter {self.bodies!r}>"

    @property
    def bodies(self) -> PayloadCache:
        """What is in memory."""
        return self._pending.bodies

    async def open(self) -> Collection[int]:
        """Nothing was kept from before."""
        return ()

    async def add(self, job: Job, state: Mapping[str, bytes]) -> None:
        """Keep it."""
        self._pending.pin(job.rows, state)

    def keep(self, row: StoredBatch, *, generation: int) -> None:
        """It never left."""

    def forget(self, id_: int) -> bool:
        """Let go of a batch."""
        self.bodies.drop(id_)
        return False

    def may_read(self) -> bool:
        """Nothing is ever read: everything is at hand."""
        return True

    async def read(self, id_: int) -> bytes | None:  # noqa: ARG002 - as Writer's
        """There is no disk it could be on."""
        return None

    async def state(self, key: str) -> bytes | None:
        """Return what was stored last under a key."""
        return self._pending.state.get(key)

    async def run(self) -> None:
        """There is no task that could end."""
        await asyncio.Event().wait()

    def note_stall(self) -> None:
        """There is no disk."""

    async def finish(self, within: float) -> None:
        """Nothing can be written."""

    async def close(self) -> None:
        """Nothing is open."""
