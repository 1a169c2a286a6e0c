"""The open window on disk, so that a death costs one interval at most: written once a second, void once committed.

`checkpoint-<window id>.srp` in the state directory holds frames of the hot path, appended as series change; the newest
record of a series counts (partial.py). The name says whose window it is: when the clock moves the open window to
another id, the file is renamed. A file that has grown to twice its live size is written anew. Whoever commits a window
need not know of its file: it is void because the id is committed, and removed a moment later.

A file begins with its head: whose it is, and which series were deleted since the window opened. A deletion is in the
next save, which writes everything. What a failed write missed is in the next one, too. Until the disk takes a file that
means nothing, no checkpoint is tried: a window of which the disk holds nothing may leave from memory (parts.py), and
would not be allowed to any more. Not known here: what is in a frame.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from relay import limits
from relay.clock import paced
from relay.delivery.disk_thread import DiskThread
from relay.delivery.spool.writer import STALL
from relay.delivery.state.parts import Parts, list_checkpoints

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from relay.clock import Clock
    from relay.delivery.spool.file import Directory
    from relay.ledger import LossLog
    from relay.model import Series

T = TypeVar("T")

_FLAGS: Final = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_ANEW: Final = os.O_CREAT | os.O_TRUNC
_BUFFER: Final = 1024 * 1024
_UNREADABLE: Final = b"unreadable"
"""Stands for a file that the disk does not give: there is no frame in it, so it counts as damaged."""
_FIRST: Final = 0.1
"""Seconds from a start to its first checkpoint: the closer names meanwhile what was read before."""
_SLACK: Final = 4 * 1024 * 1024
"""Bytes that a file may grow beyond twice its live size: small ones are not worth writing anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A window that was open when the relay stopped or died, and is not committed."""

    window: int
    frames: bytes


class HotPath(Protocol):
    """What is written."""

    def export(self, *, changed: bool = False) -> Iterator[tuple[int, bytes]]:
        """Yield (id of the open window, frame), at least once; an empty frame only lets others run."""
        ...


@dataclass(frozen=True, slots=True)
class CheckpointFiles:
    """State: none; the directory is the state. Every method blocks, and raises OSError: disk full, read-only.

    What changes files does so only while the directory is at its place, and this relay's.
    """

    directory: Path
    place: Directory | None = None

    def path(self, window: int) -> Path:
        """Return the file of a window."""
        return self.directory / f"checkpoint-{window}.srp"

    def windows(self) -> list[int]:
        """Return the windows of which the disk holds a part, oldest first."""
        return sorted(window for window, size in list_checkpoints(self.directory).items() if size)

    def void(self) -> list[int]:
        """Return the windows that were committed, as their files say: they could be emptied and not removed."""
        return sorted(window for window, size in list_checkpoints(self.directory).items() if not size)

    def load(self, committed: Collection[int]) -> list[Checkpoint]:
        """Return what is owed to the cloud, oldest first; remove what is void, and what a crash left half written."""
        self.ensure()
        with suppress(OSError):  # a read-only disk
            for unfinished in self.directory.glob("checkpoint-*.new"):
                unfinished.unlink()
            oldest = max(committed, default=0) - limits.POINT_AGE_MAX
            present = list_checkpoints(self.directory).items()
            self.drop([window for window, size in present if window in committed or (not size and window < oldest)])
        owed = [window for window in self.windows() if window not in committed]
        return [Checkpoint(window=window, frames=self.read(window)) for window in owed]

    def drop(self, windows: Collection[int]) -> list[int]:
        """Make the files of these windows void, for good: a power failure does not bring them back.

        A file that cannot be removed is emptied: the directory may be read-only where files are not. An empty file says
        that its window is committed, whatever becomes of the database.

        Returns:
            The windows whose files are void.
        """
        self.ensure()
        void = [window for window in windows if self._remove(window) or self._empty(window)]
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return void

    def _remove(self, window: int) -> bool:
        try:
            self.path(window).unlink(missing_ok=True)
        except OSError:
            return False
        return True

    def _empty(self, window: int) -> bool:
        try:
            self._write(self.path(window), os.O_TRUNC, [])
        except OSError:
            return False
        return True

    def missing(self, windows: Collection[int]) -> list[int]:
        """Return those of these windows, which had no file before, that have none for certain."""
        try:
            present = set(self.windows())
        except FileNotFoundError:
            return list(windows)  # there was no directory to make one in
        return [window for window in windows if window not in present]

    def ensure(self) -> None:
        """See whether the directory may be used."""
        if self.place is not None:
            self.place.ensure()

    def probe(self) -> None:
        """Write a file that no start reads, and remove it."""
        self.ensure()
        probe = self.directory / "checkpoint-probe.new"
        self._write(probe, _ANEW, [b"probe"])
        probe.unlink(missing_ok=True)

    def append(self, window: int, frames: Sequence[bytes]) -> int:
        """Add to a window's file; return its size. It is on disk when this returns."""
        return self._write(self.path(window), os.O_APPEND, frames)

    def replace(self, window: int, frames: Sequence[bytes]) -> int:
        """Write a window's file anew, or leave the old one untouched; return its size."""
        fresh = self.path(window).with_suffix(".new")
        try:
            size = self._write(fresh, _ANEW, frames)
            fresh.rename(self.path(window))
        except OSError:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)  # a full disk has better uses for it
            raise
        return size

    def move(self, window: int, to: int) -> None:
        """Give a window another id."""
        self.ensure()
        with suppress(FileNotFoundError):
            self.path(window).rename(self.path(to))

    def set_aside(self, window: int) -> Path:
        """Keep a damaged file under another name, beside the one that will be written anew, if the disk allows it."""
        changed = datetime.fromtimestamp(self.path(window).stat().st_mtime, UTC)
        kept = self.directory / f"checkpoint-{window}.srp.damaged-{changed:%Y%m%dT%H%M%SZ}"
        with suppress(OSError):
            os.link(self.path(window), kept)
        return kept

    def read(self, window: int) -> bytes:
        """Return what a start finds in a window's file; nothing, if there is none."""
        try:
            return self.path(window).read_bytes()
        except FileNotFoundError:
            return b""
        except OSError:
            return _UNREADABLE

    def _write(self, path: Path, flags: int, frames: Sequence[bytes]) -> int:
        with open(os.open(path, _FLAGS | flags, 0o600), "wb", buffering=_BUFFER) as file:  # noqa: PTH123 - O_NOFOLLOW
            file.writelines(frames)
            file.flush()
            os.fdatasync(file.fileno())
            return file.tell()


class Checkpointer:
    """State: the size of the open window's file and of what is live in it, and how long to wait for the next time."""

    def __init__(  # noqa: PLR0913 - what is written, where, when, and who is told
        self,
        files: CheckpointFiles,
        *,
        hotpath: HotPath,
        void: Callable[[], Collection[int]],
        interval: float,
        clock: Clock,
        loss_log: LossLog,
        head: Callable[[int, Collection[Series]], bytes] = lambda _, __: b"",
        parts: Parts | None = None,
    ) -> None:
        self._files = files
        self._hotpath = hotpath
        self._void = void
        """Tells which windows have another way to the cloud: from the spool, or from memory."""
        self._parts = parts or Parts()
        self._head = head
        """Makes the head of a window's file, of what was deleted from it."""
        self._forgotten: tuple[int, dict[Series, None]] = (0, {})
        """The window that was open, and what was deleted since then."""
        self._shortest = interval
        self._clock = clock
        self._loss_log = loss_log
        self._thread = DiskThread("checkpoint")
        self._busy = asyncio.Lock()
        self._called_at: float | None = None  # monotonic, of what the disk was asked for and has not answered
        self._spent = 0.0
        """Seconds of the loop that the last time took."""
        self._window = 0
        self._size = self._live = 0
        self._complete = False
        """The open window's file holds everything but what changed since it was last written."""
        self._failing = False
        """The disk did not take the last checkpoint."""
        self.interval = interval
        """Seconds between two times: longer where there is much to write."""

    def __repr__(self) -> str:
        """Report the file."""
        return f"<Checkpointer window {self._window}, {self._size} bytes, every {self.interval:.1f} s>"

    @property
    def refused(self) -> bool:
        """Whether the disk refuses, or has not answered for so long that the open window may not be on it."""
        return self._failing or self._is_late

    @property
    def _is_late(self) -> bool:
        return self._called_at is not None and self._clock.monotonic() - self._called_at > STALL

    async def run(self, before: Callable[[], Awaitable[None]]) -> None:
        """Save until cancelled; `before` lets what waits for its name join a series: a file holds series alone.

        The first time comes at once: packets were read before this relay could write, for seconds on a busy machine.
        """
        pause = _FIRST
        while True:
            await self._clock.sleep(pause)
            await before()
            await self.save()
            pause = self.interval

    async def run_void(self) -> None:
        """Make checkpoints void as soon as they are to be, until cancelled; each save tries again what failed."""
        while True:
            await self._parts.wait_for_void()
            await self.drop_void()

    async def save(self, *, everything: bool = False) -> bool:
        """Write what changed, or everything; return whether it is on disk."""
        async with self._busy:
            await self.drop_void()  # first: it needs no space, and a full disk takes nothing more
            tried: list[int] = []
            forgotten = self._forgotten
            try:
                await self._run(self._files.probe if self._failing else self._files.ensure)
                written = await self._write(everything=everything, tried=tried)
            except OSError as error:
                await self._refused(error, tried)
                return False
            self._failing, self._complete = False, self._forgotten is forgotten
            self._pace(written)
            return True

    async def try_save(self) -> None:
        """Save within the time that a disk has; `refused` tells what came of it."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.save(), STALL)

    async def drop_void(self) -> None:
        """Make the files of windows that have another way to the cloud void; a disk that refuses keeps them."""
        void = self._parts.void(self._void())
        if not void:
            return
        try:
            dropped = await self._run(self._files.drop, void)
        except OSError as error:
            dropped, reason = [], error.strerror or str(error)
        else:
            reason = "can neither be removed nor emptied"
        self._parts.remove(dropped)
        if len(dropped) < len(void):
            windows = sorted(set(void).difference(dropped))
            self._loss_log.warn(
                "RLY411 stored windows wait for their checkpoints to go", reason=reason, windows=windows
            )

    def forget(self, window: int, series: Iterable[Series]) -> None:
        """Let the open window's file say that series were deleted, from the next save on."""
        known = self._forgotten[1] if self._forgotten[0] == window else {}
        self._forgotten = (window, {**known, **dict.fromkeys(series)})
        self._complete = False

    async def move(self, window: int, to: int) -> bool:
        """Go ahead of the open window to another id, which it takes in the same step of the loop as this returns.

        Returns:
            Whether it may: not while the disk keeps a part of it under the old id, or may keep it.
        """
        if self._is_late:
            return False
        try:
            async with asyncio.timeout(STALL), self._busy:
                self._complete = False
                return await self._move(window, to)
        except OSError as error:
            self._failing = True
            self._loss_log.warn("RLY411 checkpoint not moved", reason=error.strerror or "no answer")
            return False

    async def _move(self, window: int, to: int) -> bool:
        if window in self._parts:
            if self._failing:
                return False
            self._parts.add(to)
            await self._run(self._files.move, window, to)
            if self._forgotten[0] == window:
                self._forgotten = (to, self._forgotten[1])
            self._parts.remove([window])
        return True

    async def close(self) -> None:
        """End the thread. One that hangs in the disk is left to it."""
        self._thread.close()

    async def _write(self, *, everything: bool, tried: list[int]) -> int:
        """Write the frames of every window that was open meanwhile; return their bytes."""
        whole = everything or not self._complete or self._size > 2 * self._live + _SLACK
        frames = await self._collect(whole=whole)
        whole = whole and len(frames) == 1  # else the first window ended before all of it was seen: add to it
        written = 0
        for window, parts in frames.items():
            is_first = window not in self._parts
            forgotten = self._forgotten[1] if self._forgotten[0] == window and (whole or is_first) else {}
            if not (parts or forgotten) or window in self._void():
                continue
            tried.extend([window] * is_first)
            self._parts.add(window)
            await self._store(window, parts, forgotten, anew=whole or is_first)
            written += sum(map(len, parts))
        return written

    async def _refused(self, error: OSError, tried: Collection[int]) -> None:
        """Say so; windows whose first file did not come about are as if it had not been tried."""
        self._failing, self._complete = True, False
        with suppress(OSError):
            self._parts.remove(await self._run(self._files.missing, tried))
        where = str(self._files.directory)
        self._loss_log.warn("RLY411 checkpoint not written", reason=error.strerror or str(error), directory=where)

    async def _collect(self, *, whole: bool) -> dict[int, list[bytes]]:
        """Return the frames of each window that was open meanwhile."""
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

    async def _store(self, window: int, parts: list[bytes], forgotten: Collection[Series], *, anew: bool) -> None:
        """Write one window's frames; only the first make its file: one that was removed is not written by halves."""
        if anew:
            parts = [self._head(window, forgotten), *parts]
        self._size = await self._run(self._files.replace if anew else self._files.append, window, parts)
        self._live = self._size if anew else self._live if window == self._window else 0
        self._window = window

    def _pace(self, written: int) -> None:
        wanted = max(self._shortest, written / limits.CHECKPOINT_RATE, self._spent / limits.CHECKPOINT_SHARE)
        self.interval = min(wanted, max(self._shortest, limits.CHECKPOINT_SECONDS))

    async def _run(self, call: Callable[..., T], *args: object) -> T:
        """Call in the thread. Where the caller does not wait any more, the disk has still not answered."""
        self._called_at = self._called_at or self._clock.monotonic()
        try:
            answer = await self._thread.run(call, *args)
        except OSError:
            self._called_at = None
            raise
        self._called_at = None
        return answer
