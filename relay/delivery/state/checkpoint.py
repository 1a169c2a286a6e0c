"""Checkpoints: the open window on disk, written once a second, so that a crash loses at most one interval.

`checkpoint-<window id>.srp` in the state directory holds frames of the hot path, appended as series change. The newest
record of a series counts (partial.py). When the clock moves the open window to another id, the file is renamed. A file
larger than twice its live size is written anew. A checkpoint is void as soon as its window is committed, and is removed
a moment later.

A file begins with a head: the host that it belongs to, and the series deleted since the window opened. After a deletion
or a failed write the next save writes everything. After a failed write a probe file is written first, and no checkpoint
is tried until the probe succeeds: a window without a checkpoint may be sent from memory, and a tried write would end
that (checkpointed_windows.py). Not known here: what is in a frame.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from relay import limits
from relay.clock import paced
from relay.delivery.disk_thread import DiskThread
from relay.delivery.spool.writer import STALL
from relay.delivery.state.checkpointed_windows import CheckpointedWindows, list_checkpoints
from relay.delivery.state.private_files import sync, time_label, write_lines
from relay.errors import reason_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from relay.context import Context
    from relay.delivery.state.directory import StateDirectory
    from relay.model import Series

T = TypeVar("T")

_CREATE: Final = os.O_CREAT | os.O_TRUNC
_UNREADABLE: Final = b"unreadable"
"""Content returned for a file that cannot be read. It has no frame, so it counts as damaged."""
_SLACK: Final = 4 * 1024 * 1024
"""Bytes that a file may grow beyond twice its live size: small ones are not worth writing anew."""
_RATE: Final = 8 * 1024 * 1024
"""Bytes a second that checkpoints may write; larger checkpoints are written less often."""
_SHARE: Final = 0.05
"""Share of a core that checkpoints may use; slower checkpoints are written less often."""
_LONGEST: Final = 15.0
"""Longest time between two checkpoints, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The checkpoint of a window that was open when the relay ended, and is not committed."""

    window: int
    frames: bytes


class HotPath(Protocol):
    """The source of frames."""

    def export(self, *, changed: bool = False) -> Iterator[tuple[int, bytes]]:
        """Yield (id of the open window, frame), at least once; an empty frame is a pause for other tasks."""
        ...


@dataclass(frozen=True, slots=True)
class CheckpointFiles:
    """State: none; the directory is the state. Every method blocks, and raises OSError if the disk fails.

    Before files are changed, `ensure` checks that the directory is at its path and locked by this relay. For `append`
    and `replace` the caller does that.
    """

    directory: Path
    state_directory: StateDirectory | None = None

    def path(self, window: int) -> Path:
        """Return the file of a window."""
        return self.directory / f"checkpoint-{window}.srp"

    def windows(self) -> list[int]:
        """Return the windows with a checkpoint on disk, oldest first."""
        return sorted(window for window, size in list_checkpoints(self.directory).items() if size)

    def void(self) -> list[int]:
        """Return the windows with an empty file: committed, but the file could not be removed."""
        return sorted(window for window, size in list_checkpoints(self.directory).items() if not size)

    def load(self, committed: Collection[int]) -> list[Checkpoint]:
        """Return the checkpoints of windows that are not committed, oldest first; remove void and unfinished files."""
        self.ensure()
        with suppress(OSError):  # a read-only disk
            for unfinished in self.directory.glob("checkpoint-*.new"):
                unfinished.unlink()
            oldest = max(committed, default=0) - limits.POINT_AGE_MAX
            present = list_checkpoints(self.directory).items()
            self.drop([window for window, size in present if window in committed or (not size and window < oldest)])
        pending = [window for window in self.windows() if window not in committed]
        return [Checkpoint(window=window, frames=self.read(window)) for window in pending]

    def drop(self, windows: Collection[int]) -> list[int]:
        """Make the files of these windows void, and flush that to the disk.

        A file that cannot be removed is emptied: the directory may be read-only while its files are writable. An empty
        file marks its window as committed even if the database is lost.

        Returns:
            The windows with files that are void now.
        """
        self.ensure()
        void = [window for window in windows if self._remove(window) or self._empty(window)]
        sync(self.directory)
        return void

    def _remove(self, window: int) -> bool:
        try:
            self.path(window).unlink(missing_ok=True)
        except OSError:
            return False
        return True

    def _empty(self, window: int) -> bool:
        try:
            write_lines(self.path(window), os.O_TRUNC, [])
        except OSError:
            return False
        return True

    def missing(self, windows: Collection[int]) -> list[int]:
        """Return which of these windows certainly have no checkpoint on disk, after a first write failed."""
        try:
            present = set(self.windows())
        except FileNotFoundError:
            return list(windows)  # without a directory no file was created
        return [window for window in windows if window not in present]

    def ensure(self) -> None:
        """Raise OSError if the directory may not be used."""
        if self.state_directory is not None:
            self.state_directory.ensure()

    def probe(self) -> None:
        """Write and remove a file that no start reads."""
        self.ensure()
        probe = self.directory / "checkpoint-probe.new"
        write_lines(probe, _CREATE, [b"probe"])
        probe.unlink(missing_ok=True)

    def append(self, window: int, frames: Sequence[bytes]) -> int:
        """Append to a window's file and flush it to the disk; return its size."""
        return write_lines(self.path(window), os.O_APPEND, frames)

    def replace(self, window: int, frames: Sequence[bytes]) -> int:
        """Write a window's file anew; return its size. On an error the old file is unchanged."""
        fresh = self.path(window).with_suffix(".new")
        try:
            size = write_lines(fresh, _CREATE, frames)
            fresh.rename(self.path(window))
        except OSError:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)  # free its blocks on a full disk
            raise
        return size

    def move(self, window: int, to: int) -> None:
        """Rename a window's file to another id."""
        self.ensure()
        with suppress(FileNotFoundError):
            self.path(window).rename(self.path(to))

    def set_aside(self, window: int) -> Path:
        """Link a damaged file to another name, which keeps it when the file is written anew; return that name."""
        path = self.path(window)
        kept = path.with_name(f"{path.name}.damaged-{time_label(path.stat().st_mtime)}")
        with suppress(OSError):
            os.link(path, kept)
        return kept

    def read(self, window: int) -> bytes:
        """Return the content of a window's file; b"" without one, `_UNREADABLE` if it cannot be read."""
        try:
            return self.path(window).read_bytes()
        except FileNotFoundError:
            return b""
        except OSError:
            return _UNREADABLE


class Checkpointer:
    """State: the size and the live size of the open window's file, the deleted series, and the interval."""

    def __init__(  # noqa: PLR0913 - one argument per part that it works with
        self,
        files: CheckpointFiles,
        *,
        hotpath: HotPath,
        void: Callable[[], Collection[int]],
        interval: float,
        context: Context,
        head: Callable[[int, Collection[Series]], bytes] = lambda _, __: b"",
        checkpointed: CheckpointedWindows | None = None,
    ) -> None:
        self._files = files
        self._hotpath = hotpath
        self._void = void
        """Returns the windows that need no checkpoint: the spool has them, on disk or in memory."""
        self._checkpointed = checkpointed or CheckpointedWindows()
        self._head = head
        """Makes the head of a window's file from its id and its deleted series."""
        self._deleted: tuple[int, dict[Series, None]] = (0, {})
        """A window, and the series deleted while it is open."""
        self._shortest = interval
        self._clock, self._loss_log = context.clock, context.loss_log
        self._thread = DiskThread("checkpoint")
        self._busy = asyncio.Lock()
        self._called_at: float | None = None  # monotonic, of the disk call without an answer
        self._spent = 0.0
        """Seconds of the loop that the last export took."""
        self._window = 0
        self._size = self._live = 0
        self._complete = False
        """Whether the open window's file holds all but the changes since its last write."""
        self._last_failed = False
        """Whether the last write failed."""
        self.interval = interval
        """Seconds between two saves; longer if there is much to write."""

    @property
    def is_failing(self) -> bool:
        """Whether the last write failed, or the disk has not answered for over `STALL` seconds."""
        return self._last_failed or self._is_late

    @property
    def _is_late(self) -> bool:
        return self._called_at is not None and self._clock.monotonic() - self._called_at > STALL

    async def run(self, before: Callable[[], Awaitable[None]]) -> None:
        """Save until cancelled. `before` names waiting identities first, since a checkpoint holds named series only."""
        while True:
            await self._clock.sleep(self.interval)
            await before()
            await self.save()

    async def run_removals(self) -> None:
        """Remove checkpoints as soon as they are void, until cancelled; each save retries failed removals."""
        while True:
            await self._checkpointed.wait_for_void()
            await self.drop_void()

    async def save(self, *, everything: bool = False) -> bool:
        """Write the changed series, or all of them; return whether they are on disk."""
        async with self._busy:
            await self.drop_void()  # first: on a full disk it frees space
            tried: list[int] = []
            deleted = self._deleted
            try:
                await self._run(self._files.probe if self._last_failed else self._files.ensure)
                written = await self._write(everything=everything, tried=tried)
            except OSError as error:
                await self._report_failure(error, tried)
                return False
            # With nothing to write, the file of a resumed window is as the last process left it, perhaps damaged.
            self._last_failed, self._complete = False, self._deleted is deleted and self._size > 0
            self._pace(written)
            return True

    async def try_save(self) -> None:
        """Save, waiting at most `STALL` seconds; `is_failing` shows the result."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.save(), STALL)

    async def drop_void(self) -> None:
        """Remove the files of windows that the spool has; failures are logged and tried again."""
        void = self._checkpointed.void(self._void())
        if not void:
            return
        try:
            dropped = await self._run(self._files.drop, void)
        except OSError as error:
            dropped, why = [], reason_of(error)
        else:
            why = "they can neither be removed nor emptied"
        self._checkpointed.remove(dropped)
        if len(dropped) < len(void):
            windows = sorted(set(void).difference(dropped))
            event = "stored windows wait for their checkpoints to go"
            self._loss_log.warn(event, code="RLY411", window=windows[0], windows=len(windows), why=why)

    def record_deleted(self, window: int, series: Iterable[Series]) -> None:
        """Record deleted series of the open window; the next save writes them to the head of its file."""
        known = self._deleted[1] if self._deleted[0] == window else {}
        self._deleted = (window, {**known, **dict.fromkeys(series)})
        self._complete = False

    async def move(self, window: int, to: int) -> bool:
        """Rename the file before the open window gets another id, which happens in the step in which this returns.

        Returns:
            Whether the window may change its id: not while the disk has, or may have, a checkpoint of the old id.
        """
        if self._is_late:
            return False
        try:
            async with asyncio.timeout(STALL), self._busy:
                self._complete = False
                return await self._move(window, to)
        except OSError as error:
            self._last_failed = True
            self._loss_log.warn("checkpoint not moved", code="RLY411", window=window, why=error.strerror or "no answer")
            return False

    async def _move(self, window: int, to: int) -> bool:
        if window in self._checkpointed:
            if self._last_failed:
                return False
            self._checkpointed.add(to)
            await self._run(self._files.move, window, to)
            if self._deleted[0] == window:
                self._deleted = (to, self._deleted[1])
            self._checkpointed.remove([window])
        return True

    async def close(self) -> None:
        """End the thread without waiting for it, as its disk may hang."""
        self._thread.close()

    async def _write(self, *, everything: bool, tried: list[int]) -> int:
        """Write the frames of every window that was open during the export; return the number of bytes."""
        whole = everything or not self._complete or self._size > 2 * self._live + _SLACK
        frames = await self._collect(whole=whole)
        whole = whole and len(frames) == 1  # else the first window ended before its export did: append to its file
        written = 0
        for window, pieces in frames.items():
            is_first = window not in self._checkpointed
            deleted = self._deleted[1] if self._deleted[0] == window and (whole or is_first) else {}
            if not (pieces or deleted) or window in self._void():
                continue
            tried.extend([window] * is_first)
            self._checkpointed.add(window)
            await self._store(window, pieces, deleted, anew=whole or is_first)
            written += sum(map(len, pieces))
        return written

    async def _report_failure(self, error: OSError, tried: Collection[int]) -> None:
        """Log a failed save; remove the tried windows that certainly have no checkpoint on disk."""
        self._last_failed, self._complete = True, False
        with suppress(OSError):
            self._checkpointed.remove(await self._run(self._files.missing, tried))
        directory = str(self._files.directory)
        self._loss_log.warn("checkpoint not written", code="RLY411", directory=directory, why=reason_of(error))

    async def _collect(self, *, whole: bool) -> dict[int, list[bytes]]:
        """Return the frames of each window that was open during the export."""
        self._spent = 0.0
        frames: dict[int, list[bytes]] = {}
        async for window, frame in paced(self._clock, self._timed(self._hotpath.export(changed=not whole))):
            frames.setdefault(window, []).extend([frame] if frame else [])
        return frames

    def _timed(self, frames: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        while True:
            began = self._clock.monotonic()
            frame = next(frames, None)
            self._spent += self._clock.monotonic() - began
            if frame is None:
                return
            yield frame

    async def _store(self, window: int, pieces: list[bytes], deleted: Collection[Series], *, anew: bool) -> None:
        """Write one window's frames; `anew`: replace its file. Otherwise the file must exist, so it stays complete."""
        if anew:
            pieces = [self._head(window, deleted), *pieces]
        self._size = await self._run(self._files.replace if anew else self._files.append, window, pieces)
        self._live = self._size if anew else self._live if window == self._window else 0
        self._window = window

    def _pace(self, written: int) -> None:
        wanted = max(self._shortest, written / _RATE, self._spent / _SHARE)
        self.interval = min(wanted, max(self._shortest, _LONGEST))

    async def _run(self, call: Callable[..., T], *args: object) -> T:
        """Call in the thread; `_called_at` stays if the caller is cancelled, as the disk has not answered yet."""
        self._called_at = self._called_at or self._clock.monotonic()
        try:
            answer = await self._thread.run(call, *args)
        except OSError:
            self._called_at = None
            raise
        self._called_at = None
        return answer
