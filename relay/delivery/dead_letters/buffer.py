"""The write buffer of dead letters, in front of their files.

A dead letter is a copy: the ledger counts the point as refused or dropped. While the disk fails, letters wait in memory
within a bound, the log says so (RLY411), and they are written when the disk works again. After the first failure
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
from relay.errors import reason_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from relay.context import Context
    from relay.delivery.state.directory import StateDirectory

FILES_BYTES_MAX: Final = 64 * 1024 * 1024
"""Maximum size of all files, in bytes."""
BUFFER_BYTES_MAX: Final = 4 * 1024 * 1024
"""Maximum size of the letters in memory, in bytes."""
STOP_SECONDS: Final = 0.5
"""Time limit in seconds of the last write at a stop."""
POLL_SECONDS: Final = 2.0
"""Interval in seconds of counting the letters on disk, since commands may remove letters. Also the retry interval
after a failed write."""


class DeadLetters:
    """The dead letters, as the sender sees them. State: the letters not yet on disk, and the task that writes them."""

    def __init__(
        self,
        directory: Path | None,
        context: Context,
        *,
        limit: int = FILES_BYTES_MAX,
        state_directory: StateDirectory | None = None,
    ) -> None:
        self._files = LetterFiles(directory, limit=limit, state_directory=state_directory) if directory else None
        self._clock, self._ledger, self._loss_log = context.clock, context.ledger, context.loss_log
        self._queue: deque[bytes] = deque()
        self._queue_bytes = 0
        self._thread = DiskThread("dead-letters")
        self._writing: asyncio.Task[None] | None = None
        self._failing = False
        """Whether the last write failed. While it is set, `write` only queues; `poll` and `close` retry."""

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

        When this returns, the letters are on disk, or they are in memory or dropped, and the log says why.

        Args:
            points: pairs of a point as it was sent, and its detail.
            window: id of the points' window.
            reason: one of REASONS.
            request_id: id in the answer.
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
        self._update_ledger()

    async def run(self) -> None:
        """Call `poll` every `POLL_SECONDS`, until cancelled."""
        while True:
            await self.poll()
            await self._clock.sleep(POLL_SECONDS)

    async def poll(self) -> None:
        """Write the queued letters. If none is queued, count the letters on disk again."""
        if self._files is not None and not self._queue:
            try:
                await self._thread.run(self._files.count_letters)
            except OSError as error:
                self._loss_log.warn("dead letters cannot be read", code="RLY411", why=reason_of(error))
        await self._flush()
        self._update_ledger()

    async def close(self) -> None:
        """Write the queued letters; drop and count those that are not on disk after `STOP_SECONDS`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self._flush()
        self._thread.close()
        if self._queue:
            self._drop(len(self._queue), "the relay stops before they are on disk")
            self._queue.clear()
            self._queue_bytes = 0
        self._update_ledger()

    # --- letters in memory --------------------------------------------------------------------------------------------

    def _enqueue(self, letter: bytes) -> None:
        if self._files is None:
            self._drop(1, "there is no state directory")
            return
        self._queue.append(letter)
        self._queue_bytes += len(letter)
        while self._queue_bytes > BUFFER_BYTES_MAX:
            self._queue_bytes -= len(self._queue.popleft())
            self._drop(1, "the memory for those that are not on disk is full")

    async def _flush(self) -> None:
        """Try to write all queued letters once. The write goes on if the caller is cancelled."""
        if self._queue and (self._writing is None or self._writing.done()):
            self._writing = asyncio.create_task(self._write_queue(), name="dead-letters")
        if self._writing is not None:
            await asyncio.shield(self._writing)

    async def _write_queue(self) -> None:
        """Write the queue one file at a time, until it is empty or a write fails."""
        while self._queue and self._files is not None:
            letters = list(self._queue)
            dropped = self._files.dropped
            try:
                written = await self._thread.run(self._files.append, letters)
            except OSError as error:
                event, waiting = "dead letters wait in memory", len(self._queue)
                self._loss_log.warn(event, code="RLY411", letters=waiting, why=reason_of(error))
                self._failing = True
                return
            self._failing = False
            self._remove(letters[:written])
            if self._files.dropped > dropped:
                self._drop(self._files.dropped - dropped, "they are beyond [spool] dead_letters")

    def _remove(self, letters: Sequence[bytes]) -> None:
        """Remove written letters. The bound of memory may have removed the oldest ones already."""
        for letter in letters:
            if self._queue and self._queue[0] is letter:
                self._queue_bytes -= len(self._queue.popleft())

    def _drop(self, letters: int, why: str) -> None:
        self._ledger.dead_letters_dropped += letters
        self._loss_log.warn("dead letters dropped", code="RLY408", subject=why, letters=letters, why=why)

    def _update_ledger(self) -> None:
        self._ledger.dead_letters = (self._files.letters if self._files else 0) + len(self._queue)
