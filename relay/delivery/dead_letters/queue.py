"""The queue of dead letters to be written to the disk.

A dead letter is a copy: the ledger counts the point as refused or dropped. While the disk refuses, letters are kept in
memory within a bound, the log says so (RLY411), and they are written when the disk is back. After the first failure
delivery does not wait for the disk. Concurrent callers share one write. Without a state directory letters are dropped,
and the log says so. Not known here: the format of files, and how they are locked.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from relay.delivery.dead_letters.files import LetterFiles
from relay.delivery.dead_letters.format import DeadLetter, encode_letter
from relay.delivery.disk_thread import DiskThread

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from relay.context import Context
    from relay.delivery.state.directory import StateDirectory

LIMIT_BYTES: Final = 64 * 1024 * 1024
"""Bytes of all files."""
QUEUE_BYTES: Final = 4 * 1024 * 1024
"""Bytes of letters in memory, waiting for the disk."""
STOP_SECONDS: Final = 0.5
"""Seconds that a stop waits for the last write."""
POLL_SECONDS: Final = 2.0
"""Seconds between two counts of the files, which commands change, and between two tries of a disk that failed."""


class DeadLetters:
    """State: the lines not yet on disk, and the task that writes them."""

    def __init__(
        self,
        directory: Path | None,
        context: Context,
        *,
        limit: int = LIMIT_BYTES,
        state_directory: StateDirectory | None = None,
    ) -> None:
        self._files = LetterFiles(directory, limit=limit, state_directory=state_directory) if directory else None
        self._clock, self._ledger, self._loss_log = context.clock, context.ledger, context.loss_log
        self._queue: deque[bytes] = deque()
        self._queue_bytes = 0
        self._thread = DiskThread("dead-letters")
        self._writing: asyncio.Task[None] | None = None
        self._failing = False
        """Whether the last write failed; then only `poll` tries again."""

    async def write(
        self,
        points: Sequence[tuple[bytes, str]],
        *,
        window: int,
        reason: str,
        request_id: str = "",
        http: int | None = None,
        attempts: int = 1,
    ) -> None:
        """Queue points as dead letters, and write them unless the last write failed.

        When this returns, the letters are on disk, or in memory with the trouble logged, or dropped and logged.

        Args:
            points: pairs of a point as it was sent, and its detail.
            window: id of the points' window.
            reason: one of REASONS.
            request_id: of the answer.
            http: status of the answer; None without one.
            attempts: how often the points were sent.
        """
        time = datetime.fromtimestamp(self._clock.wall(), UTC).isoformat(timespec="seconds")
        for point, detail in points:
            letter = DeadLetter(
                time=time,
                reason=reason,
                detail=detail,
                request_id=request_id,
                http=http,
                attempts=attempts,
                window=window,
                point=msgspec.Raw(point),
            )
            self._enqueue(encode_letter(letter) + b"\n")
        if not self._failing:
            await self._flush()
        self._count()

    async def run(self) -> None:
        """Count the files and retry failed writes every `POLL_SECONDS`, until cancelled."""
        while True:
            await self.poll()
            await self._clock.sleep(POLL_SECONDS)

    async def poll(self) -> None:
        """Count the files again and try to write the letters in memory."""
        if self._files is not None and not self._queue:
            try:
                await self._thread.run(self._files.count)
            except OSError as error:
                self._loss_log.warn("RLY411 dead letters cannot be read", reason=str(error.strerror or error))
        await self._flush()
        self._count()

    async def close(self) -> None:
        """Write the letters in memory; count as dropped those that are not on disk after `STOP_SECONDS`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self._flush()
        self._thread.close()
        if self._queue:
            self._drop(len(self._queue), "stop")
            self._queue.clear()
            self._queue_bytes = 0
        self._count()

    # --- lines in memory ----------------------------------------------------------------------------------------------

    def _enqueue(self, line: bytes) -> None:
        if self._files is None:
            self._drop(1, "no state directory")
            return
        self._queue.append(line)
        self._queue_bytes += len(line)
        while self._queue_bytes > QUEUE_BYTES:
            self._queue_bytes -= len(self._queue.popleft())
            self._drop(1, "memory")

    async def _flush(self) -> None:
        """Wait until a write of all lines in memory was tried; the write goes on if the caller is cancelled."""
        if self._queue and (self._writing is None or self._writing.done()):
            self._writing = asyncio.create_task(self._write_queue(), name="dead-letters")
        if self._writing is not None:
            await asyncio.shield(self._writing)

    async def _write_queue(self) -> None:
        """Write file by file, lines queued meanwhile included."""
        while self._queue and self._files is not None:
            lines = list(self._queue)
            dropped = self._files.dropped
            try:
                written = await self._thread.run(self._files.append, lines)
            except OSError as error:
                trouble = str(error.strerror or error)
                self._loss_log.warn("RLY411 dead letters wait in memory", reason=trouble, letters=len(self._queue))
                self._failing = True
                return
            self._failing = False
            self._remove(lines[:written])
            if self._files.dropped > dropped:
                self._drop(self._files.dropped - dropped, "limit")

    def _remove(self, lines: Sequence[bytes]) -> None:
        """Remove written lines; the bound of memory may have removed the oldest ones already."""
        for line in lines:
            if self._queue and self._queue[0] is line:
                self._queue_bytes -= len(self._queue.popleft())

    def _drop(self, letters: int, reason: str) -> None:
        self._ledger.dead_letters_dropped += letters
        self._loss_log.warn("dead letters dropped", reason=reason, letters=letters)

    def _count(self) -> None:
        self._ledger.dead_letters = (self._files.letters if self._files else 0) + len(self._queue)
