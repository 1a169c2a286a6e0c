"""The spool's database: SQLite in WAL mode, used by one writer thread. Every method blocks.

Invariants: a window's requests, its state and its id become visible together, even if they take several transactions;
and pages + log + ballast never exceed the quota.

Precautions for a full disk, in SQLite's terms:

- Deleting needs new blocks in the write-ahead log. So a ballast file is given up first.
- SQLite checkpoints by itself when the log has 1,000 pages and when the last connection closes, which would use up the
  blocks just freed. So checkpoints are made here, and the connection stays open while the disk is full.
- secure_delete (on in Debian) writes every deleted byte to the log. It is off.
- max_page_count holds for one connection and ignores the log. It is set again after each checkpoint.
- After a checkpoint the log keeps up to the ballast's size on disk, so that its blocks need not be allocated again.

Not known here: when something is written, and what is done when the disk fails (writer.py).
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.delivery.spool import file
from relay.delivery.spool.errors import Damaged, DiskTrouble, QuotaReached, is_full, translate_errors
from relay.delivery.spool.file import Ballast, OpenFiles
from relay.delivery.spool.order import WaitingBatch
from relay.delivery.spool.schema import (
    MAKE,
    PAGE,
    SETTINGS,
    UNCOMMITTED,
    VERSION,
    delete,
    delete_range,
    has_invalid_rows,
    insert,
)
from relay.delivery.state.checkpointed_windows import list_checkpoints
from relay.delivery.state.directory import DATABASE
from relay.delivery.state.private_files import sync

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from relay.delivery.spool.memory import StoredBatch
    from relay.delivery.state.directory import StateDirectory

REQUESTS_PER_TRANSACTION: Final = 2_000
_BALLAST_MAX: Final = 8 * 1024 * 1024
_BALLAST_SHARE: Final = 8
"""The ballast, and so the log of one transaction, is at most an eighth of the quota."""
_CHECK_MAX: Final = 64 * 1024 * 1024
"""Bytes; a larger file is checked page by page only after a crash, as 1 GiB takes seconds."""
_CHECKPOINT_EVERY: Final = 16
"""Transactions between checkpoints if they only delete; each adds a few pages to the log."""
_FREE_KEPT: Final = 2_048
"""Free pages kept for reuse. With more of them (after an outage) each deletion shrinks the file by 256 pages."""
_TIMEOUT: Final = 0.2
"""Seconds to wait for the lock of another process."""


class Contents(NamedTuple):
    """The contents of the database at open."""

    entries: Sequence[WaitingBatch]
    windows: Collection[int]
    checkpointed: Collection[int] = ()
    """Committed windows with a checkpoint that is not void yet."""


class Database:
    """State: the connection, its open files, and the ballast."""

    def __init__(self, directory: Path, *, limit_bytes: int, state_directory: StateDirectory | None = None) -> None:
        self._directory = directory
        self.path = directory / DATABASE
        self._limit = limit_bytes
        self._reserve = min(_BALLAST_MAX, limit_bytes // _BALLAST_SHARE)
        self._ballast = Ballast(directory / "spool.ballast", self._reserve)
        self._files = OpenFiles(state_directory, self.path, self._wal)
        self._db: sqlite3.Connection | None = None
        self._since_checkpoint = 0
        """Transactions since the last checkpoint."""
        self.lacks_reserve = False
        """All writes are durable, but a full disk had no room for a checkpoint or ballast; see `restore_reserve`."""

    # --- opening and closing ------------------------------------------------------------------------------------------

    def connect(self) -> bool:
        """Open or create the file; return whether it is new.

        Raises:
            DiskTrouble, Damaged: the database stays closed.
        """
        self.close()
        self._files.check_directory()
        version = file.read_format_version(self.path)
        self._with_ballast(lambda: self._connect(version))
        try:
            self._ballast.allocate()
        except OSError:
            self.lacks_reserve = True
        self._files.record()
        return version is None

    def check_files(self) -> None:
        """Check that the files are still at their paths.

        Raises:
            DiskTrouble: a file is not at its path; writes would be lost with the process.
        """
        self._files.check()

    def restore(self, label: str) -> None:
        """Write all contents to the path again; another file at the path is set aside.

        Raises:
            DiskTrouble: it failed; the open connection still has the contents.
        """
        copy = self.path.with_name(f"{DATABASE}.copy")
        try:
            with translate_errors(self._directory):
                copy.unlink(missing_ok=True)
                file.make_private(copy)
                self._connection.execute("VACUUM INTO ?", (str(copy),))
                sync(copy)
                if not self._files.is_ours(self.path):
                    if self._files.is_ours(self._wal):
                        self._wal.unlink(missing_ok=True)  # SQLite would replay it into the other file
                    file.set_aside(self.path, label)
                copy.rename(self.path)
        except (DiskTrouble, QuotaReached) as trouble:
            raise DiskTrouble("replaced", f"{self.path} was removed or replaced: {trouble}") from trouble
        self.connect()

    def load(self) -> Contents:
        """Remove the batches of an uncommitted window, which a crash left; return the contents."""
        with translate_errors(self._directory):
            db = self._connection
            if self.path.stat().st_size <= _CHECK_MAX or _size(self._wal) > 0:
                self._check(db)
            if has_invalid_rows(db):
                raise Damaged("corrupt", "a row holds what the relay never writes")
            self._remove_uncommitted(db)
            rows = db.execute("SELECT window, id, points, length(body) FROM batches ORDER BY id")
            entries = [WaitingBatch(*row) for row in rows]
            windows = {row[0] for row in db.execute("SELECT id FROM windows")}
            checkpointed = [
                window for window, size in list_checkpoints(self._directory).items() if size and window in windows
            ]
            return Contents(entries=entries, windows=windows, checkpointed=checkpointed)

    def close(self) -> None:
        """Close the connection; errors of the close are ignored."""
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()

    def set_aside(self, label: str) -> str:
        """Close and rename the file and its log, unchanged; return the new name. `connect` makes a new file."""
        self.close()
        return file.set_aside(self.path, label)

    def salvage(self) -> tuple[set[int], dict[str, bytes]]:
        """Read committed ids and state from a file that cannot be opened; both empty if the directory is not ours."""
        try:
            self._files.check_directory()
        except DiskTrouble:
            return set(), {}
        return file.salvage(self.path)

    # --- writing ------------------------------------------------------------------------------------------------------

    def write(self, rows: Sequence[StoredBatch], windows: Collection[int], state: Mapping[str, bytes]) -> None:
        """Store batches, the ids of their windows, and state: after a crash all of it is visible, or nothing.

        Raises:
            DiskTrouble, QuotaReached, Damaged: nothing became visible; write it again.
        """
        *pieces, last = self._pieces(rows)
        for piece in pieces:
            marker = b"%d %d" % (rows[0].id, rows[-1].id)
            self._transact(partial(insert, rows=piece, windows=(), state={UNCOMMITTED: marker}))
        self._transact(partial(insert, rows=last, windows=windows, state=state))

    def delete(self, ids: Collection[int]) -> None:
        """Remove batches; unknown ids are ignored.

        Raises:
            DiskTrouble, Damaged: nothing was removed.
        """
        checkpoint = self._since_checkpoint >= _CHECKPOINT_EVERY or _size(self._wal) >= self._reserve
        self._transact(partial(delete, ids=ids), checkpoint=checkpoint)
        if not self.lacks_reserve:
            self._shrink()

    def restore_reserve(self) -> None:
        """Checkpoint and allocate the ballast again, after the disk was full.

        Raises:
            DiskTrouble: the disk is still full.
        """
        with translate_errors(self._directory):
            self._checkpoint()
            self._ballast.allocate()
        if is_full(self._directory):
            raise DiskTrouble("full", "nothing is left but the reserve")
        self.lacks_reserve = False

    # --- reading ------------------------------------------------------------------------------------------------------

    def read(self, id_: int) -> bytes | None:
        """Return the compressed body of a batch; None if the batch is not stored."""
        return self._value("SELECT body FROM batches WHERE id = ?", id_)

    def read_state(self, key: str) -> bytes | None:
        """Return a value stored with the last window."""
        return self._value("SELECT value FROM state WHERE key = ?", key)

    def free_bytes(self) -> int:
        """Return the bytes that can still be stored below the quota."""
        with translate_errors(self._directory):
            return (self._max_pages() - self._pragma("page_count") + self._pragma("freelist_count")) * PAGE

    def _value(self, query: str, key: str | int) -> bytes | None:
        with translate_errors(self._directory):
            row = self._connection.execute(query, (key,)).fetchone()
        return row[0] if row else None

    # --- helpers ------------------------------------------------------------------------------------------------------

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise DiskTrouble("io", "the database is not open")
        return self._db

    @property
    def _wal(self) -> Path:
        return self.path.with_name(f"{DATABASE}-wal")

    def _connect(self, version: int | None) -> None:
        with translate_errors(self._directory):
            file.make_private(self.path)
            self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=_TIMEOUT)
            try:
                self._db.executescript(SETTINGS if version is not None else MAKE + SETTINGS)
                if version == 0:
                    self._db.execute(f"PRAGMA user_version = {VERSION}")
                self._db.execute(f"PRAGMA journal_size_limit = {self._reserve}").fetchall()
                self._limit_pages()
            except sqlite3.Error:
                self.close()
                raise

    def _check(self, db: sqlite3.Connection) -> None:
        [[verdict], *_] = db.execute("PRAGMA quick_check(1)").fetchall()
        if verdict != "ok":
            raise Damaged("corrupt", verdict)

    def _remove_uncommitted(self, db: sqlite3.Connection) -> None:
        row = db.execute("SELECT value FROM state WHERE key = ?", (UNCOMMITTED,)).fetchone()
        if row is not None:
            try:
                first, last = map(int, row[0].split())
            except ValueError as error:
                raise Damaged("corrupt", "the mark of a window that was not completed is none") from error
            self._transact(partial(delete_range, first=first, last=last))

    def _pieces(self, rows: Sequence[StoredBatch]) -> Iterator[Sequence[StoredBatch]]:
        """Split rows so that the log of one transaction stays smaller than the ballast."""
        begin = size = 0
        for number, row in enumerate(rows):
            size += len(row.body) + 64
            if number > begin and (number - begin >= REQUESTS_PER_TRANSACTION or size > self._reserve * 0.6):
                yield rows[begin:number]
                begin, size = number, len(row.body)
        yield rows[begin:]

    def _transact(self, change: Callable[[sqlite3.Connection], object], *, checkpoint: bool = True) -> None:
        """Make a change in one transaction, then a checkpoint if asked for."""
        self._with_ballast(lambda: self._change(change))
        self._since_checkpoint += 1
        if checkpoint:
            try:
                with translate_errors(self._directory):
                    self._checkpoint()
            except (DiskTrouble, QuotaReached):
                self.lacks_reserve = True  # the transaction is durable in the log
        if is_full(self._directory):
            self.lacks_reserve = True  # it used blocks allocated before; the next transaction may get none

    def _with_ballast(self, act: Callable[[], None]) -> None:
        """Call `act`; if the disk is full, give up the ballast and call it again."""
        try:
            act()
        except DiskTrouble as trouble:
            if trouble.reason != "full" or not self._ballast.free():
                raise
            self.lacks_reserve = True
            act()

    def _change(self, change: Callable[[sqlite3.Connection], object]) -> None:
        with translate_errors(self._directory), self._transaction() as db:
            change(db)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._connection
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _checkpoint(self) -> None:
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        self._since_checkpoint = 0
        self._limit_pages()

    def _shrink(self) -> None:
        """Return free pages to the disk after an outage; `execute` would free one, executescript frees all 256."""
        with translate_errors(self._directory):
            if self._pragma("freelist_count") > _FREE_KEPT:
                self._connection.executescript("PRAGMA incremental_vacuum(256)")

    def _max_pages(self) -> int:
        return (self._limit - self._reserve - max(self._reserve, _size(self._wal))) // PAGE

    def _limit_pages(self) -> None:
        self._connection.execute(f"PRAGMA max_page_count = {self._max_pages()}").fetchall()

    def _pragma(self, name: str) -> int:
        [value] = self._connection.execute(f"PRAGMA {name}").fetchone()
        return int(value)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
