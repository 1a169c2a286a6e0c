"""Where requests wait until the cloud has them: SQLite in WAL mode, one writer thread, every window in one transaction.

Invariant (I8): a window is stored before its first request is sent, and what is sent again is the same bytes. A batch
leaves the spool only when it is done; one that is leased when the process dies is sent again. Bodies are kept as
zlib level 1 and inflated to the same bytes. Without a directory the same tables live in memory.

The order is newest window first: after an outage the present is of more use than the past.
"""

from __future__ import annotations

import asyncio
import heapq
import sqlite3
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from relay import limits
from relay.errors import ExitCode, Problem, RelayError
from relay.model import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from relay.telemetry import Ledger

T = TypeVar("T")

_SCHEMA: Final = """
PRAGMA page_size = 16384;
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA secure_delete = OFF;
CREATE TABLE IF NOT EXISTS windows (id INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS batches (id INTEGER PRIMARY KEY, window INTEGER, points INTEGER, body BLOB);
CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value BLOB);
"""
_ACK_DELAY: Final = 0.1
"""Seconds that acknowledgements are gathered: 33 in one transaction cost 15 us each instead of 243."""


class _Entry(NamedTuple):
    """A waiting batch, ordered for the heap: newest window first, then in the order of storing."""

    age: int
    """Minus the window's id."""
    id: int
    points: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A batch that is somebody's to send, until `done` or `put_back`."""

    batch: Batch
    entry: _Entry


class Spool:
    """State: a database, the heap of what waits, and what is leased."""

    def __init__(self, directory: Path | None, ledger: Ledger) -> None:
        self._path = str(directory / "spool.db") if directory else ":memory:"
        self._ledger = ledger
        self._thread = ThreadPoolExecutor(1, "spool")
        self._waiting: list[_Entry] = []
        self._some_wait = asyncio.Event()
        self._acked: list[int] = []
        self._acking: asyncio.Task[None] | None = None
        self.committed: set[int] = set()
        """Ids of the windows stored in the last 30 days."""
        self.points = 0
        """Waiting, without those leased."""
        self.bytes = 0
        """Of the bodies that wait, compressed."""
        self.leased = 0
        """Points on their way."""

    def __repr__(self) -> str:
        """Report what waits."""
        return f"<Spool {self.batches} batches, {self.bytes / 1048576:.1f} MiB>"

    @property
    def batches(self) -> int:
        """Batches waiting."""
        return len(self._waiting)

    @property
    def oldest_window(self) -> int | None:
        """Id of the oldest window that waits."""
        return -max(self._waiting).age if self._waiting else None

    @classmethod
    async def open(cls, directory: Path | None, *, ledger: Ledger) -> Spool:
        """Open or make the database; what it holds is recovered.

        Raises:
            RelayError: RLY101, the file cannot be used.
        """
        spool = cls(directory, ledger)
        try:
            await spool._run(spool._open)
        except sqlite3.Error as error:
            spool._thread.shutdown()
            fix = (
                "stop the other relay, or give each its own [spool] path" if "locked" in str(error) else "move it away"
            )
            problem = Problem(code="RLY101", message=f"cannot use {spool._path}: {error}", fix=fix)
            raise RelayError(problem, exit_code=ExitCode.BIND_OR_STATE) from error
        spool._wake()
        return spool

    async def store(self, window: int, batches: Sequence[Batch], state: Mapping[str, bytes]) -> None:
        """Commit a window: its requests, the state that belongs to it, and its id, in one transaction.

        Raises:
            sqlite3.Error: nothing of it was stored.
        """
        entries = await self._run(self._insert, window, batches, state)
        self.committed.add(window)
        for entry in entries:
            self._push(entry)
        self._ledger.points_created += sum(entry.points for entry in entries)
        self._wake()

    async def take(self, *, live: bool = False) -> Lease:  # noqa: ARG002 - the newest window is all there is to it
        """Lease the next batch; wait until there is one.

        Args:
            live: only of the newest window.
        """
        while not self._waiting:
            self._some_wait.clear()
            await self._some_wait.wait()
        entry = heapq.heappop(self._waiting)
        self.points -= entry.points
        self.bytes -= entry.size
        self.leased += entry.points
        try:
            body = await self._run(self._read, entry.id)
        except BaseException:
            self._return(entry)
            raise
        return Lease(batch=Batch(window=-entry.age, points=entry.points, body=body), entry=entry)

    def done(self, lease: Lease) -> None:
        """Every point of the lease is accounted for elsewhere; the batch is deleted soon."""
        self.leased -= lease.entry.points
        self._acked.append(lease.entry.id)
        if self._acking is not None and self._acking.done():
            self._acking.result()  # what went wrong there ends the sender, and with it the relay
        if self._acking is None or self._acking.done():
            self._acking = asyncio.create_task(self._ack_soon())

    def put_back(self, lease: Lease) -> None:
        """Let the batch wait again."""
        self._return(lease.entry)

    def discard(self) -> None:
        """Forget what waits in memory, for a stop without a state directory; the caller counts the points first."""
        self._waiting.clear()
        self.points = self.bytes = 0

    async def state(self, key: str) -> bytes | None:
        """Return what was stored under a key with the last window."""
        return await self._run(self._read_state, key)

    async def close(self) -> None:
        """Delete what is done, and close the database."""
        if self._acking is not None:
            await self._acking
        await self._run(self._close)
        self._thread.shutdown()

    # --- on the loop --------------------------------------------------------------------------------------------------

    async def _run(self, call: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *args)

    def _push(self, entry: _Entry) -> None:
        heapq.heappush(self._waiting, entry)
        self.points += entry.points
        self.bytes += entry.size

    def _return(self, entry: _Entry) -> None:
        self.leased -= entry.points
        self._push(entry)
        self._wake()

    def _wake(self) -> None:
        if self._waiting:
            self._some_wait.set()

    async def _ack_soon(self) -> None:
        while self._acked:
            await asyncio.sleep(_ACK_DELAY)
            acked, self._acked = self._acked, []
            await self._run(self._delete, acked)

    # --- in the writer thread -----------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=0.2)
        try:
            self._db.executescript(_SCHEMA)
        except sqlite3.Error:
            self._db.close()
            raise
        self.committed.update(row[0] for row in self._db.execute("SELECT id FROM windows"))
        for row in self._db.execute("SELECT -window, id, points, length(body) FROM batches"):
            self._push(_Entry(*row))
        self._ledger.points_recovered += self.points

    def _insert(self, window: int, batches: Sequence[Batch], state: Mapping[str, bytes]) -> list[_Entry]:
        rows = [(window, batch.points, zlib.compress(batch.body, 1)) for batch in batches]
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("INSERT INTO windows VALUES (?)", (window,))
            self._db.execute("DELETE FROM windows WHERE id < ?", (window - limits.POINT_AGE_MAX,))
            self._db.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", state.items())
            insert = "INSERT INTO batches (window, points, body) VALUES (?, ?, ?)"
            ids = [self._db.execute(insert, row).lastrowid or 0 for row in rows]
        return [_Entry(-window, id_, points, len(body)) for id_, (_, points, body) in zip(ids, rows, strict=True)]

    def _read(self, id_: int) -> bytes:
        [body] = self._db.execute("SELECT body FROM batches WHERE id = ?", (id_,)).fetchone()
        return zlib.decompress(body)

    def _read_state(self, key: str) -> bytes | None:
        row = self._db.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def _delete(self, ids: Collection[int]) -> None:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("DELETE FROM batches WHERE id = ?", [(id_,) for id_ in ids])

    def _close(self) -> None:
        self._db.close()
