"""Points that will not reach the cloud, one JSON object a line, in the cloud's own words.

A dead letter is a copy: the ledger counts the point as refused or dropped. Delivery never waits for a disk that does
not take them: letters that cannot be written are kept in memory, within a bound, told in the log (RLY411) and written
when the disk is back. Writers that come together share one write. Without a directory only the log tells of them.
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
from relay.ledger import LossLog

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from relay.clock import Clock
    from relay.delivery.spool.file import Directory
    from relay.ledger import Ledger

LIMIT: Final = 64 * 1024 * 1024
"""Bytes of all files."""
HELD_MOST: Final = 4 * 1024 * 1024
"""Bytes of letters that wait in memory for a disk."""
STOP: Final = 0.5
"""Seconds that a stop waits for the last of them."""
LOOK: Final = 2.0
"""Seconds between two looks at the files, which commands change, and between two tries of a disk that failed."""


class DeadLetters:
    """State: the lines not yet on disk, and the task that writes them."""

    def __init__(
        self,
        directory: Path | None,
        *,
        ledger: Ledger,
        clock: Clock,
        limit: int = LIMIT,
        loss_log: LossLog | None = None,
        place: Directory | None = None,
    ) -> None:
        self._files = LetterFiles(directory, limit=limit, place=place) if directory else None
        self._ledger = ledger
        self._clock = clock
        self._loss_log = loss_log or LossLog(clock)
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._thread = DiskThread("dead-letters")
        self._writing: asyncio.Task[None] | None = None
        self._failing = False
        """The disk did not take the last lines; only a look tries again."""

    def __repr__(self) -> str:
        """Report the files and what waits."""
        return f"<DeadLetters {self._files}, {len(self._held)} in memory>"

    async def write(
        self,
        letters: Sequence[tuple[bytes, str]],
        *,
        window: int,
        reason: str,
        request_id: str = "",
        http: int | None = None,
        attempts: int = 1,
    ) -> None:
        """Keep points with the cloud's words about each; they are on disk when this returns, or a loss is logged.

        Args:
            letters: the point as it was sent, and the detail.
            window: id of their window.
            reason: why they died, one of REASONS.
            request_id: of the answer.
            http: its status; None if there was none.
            attempts: how often they were sent.
        """
        time = datetime.fromtimestamp(self._clock.wall(), UTC).isoformat(timespec="seconds")
        for point, detail in letters:
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
            self._hold(encode_letter(letter) + b"\n")
        if not self._failing:
            await self._settle()
        self._note()

    async def run(self) -> None:
        """Follow what commands do to the files, and write what the disk did not take, until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK)

    async def look(self) -> None:
        """Count the files again and try to write what waits."""
        if self._files is not None and not self._held:
            try:
                await self._thread.run(self._files.count)
            except OSError as error:
                self._loss_log.warn("RLY411 dead letters cannot be read", reason=str(error.strerror or error))
        await self._settle()
        self._note()

    async def close(self) -> None:
        """Write what waits; what the disk still does not take within `STOP` seconds is lost, and counted."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP):
                await self._settle()
        self._thread.close()
        if self._held:
            self._drop(len(self._held), "stop")
            self._held.clear()
            self._held_bytes = 0
        self._note()

    # --- lines that wait ----------------------------------------------------------------------------------------------

    def _hold(self, line: bytes) -> None:
        if self._files is None:
            self._drop(1, "no state directory")
            return
        self._held.append(line)
        self._held_bytes += len(line)
        while self._held_bytes > HELD_MOST:
            self._held_bytes -= len(self._held.popleft())
            self._drop(1, "memory")

    async def _settle(self) -> None:
        """Wait until everything that waits was tried; a caller that is cancelled leaves the writing alone."""
        if self._held and (self._writing is None or self._writing.done()):
            self._writing = asyncio.create_task(self._write_held(), name="dead-letters")
        if self._writing is not None:
            await asyncio.shield(self._writing)

    async def _write_held(self) -> None:
        """Write file by file; lines that come meanwhile are written too."""
        while self._held and self._files is not None:
            lines = list(self._held)
            dropped = self._files.dropped
            try:
                written = await self._thread.run(self._files.append, lines)
            except OSError as error:
                what = str(error.strerror or error)
                self._loss_log.warn("RLY411 dead letters wait in memory", reason=what, letters=len(self._held))
                self._failing = True
                return
            self._failing = False
            self._forget(lines[:written])
            if self._files.dropped > dropped:
                self._drop(self._files.dropped - dropped, "limit")

    def _forget(self, lines: Sequence[bytes]) -> None:
        """Let go of what is on disk; the bound of memory may have been faster with the oldest."""
        for line in lines:
            if self._held and self._held[0] is line:
                self._held_bytes -= len(self._held.popleft())

    def _drop(self, letters: int, reason: str) -> None:
        self._ledger.dead_letters_dropped += letters
        self._loss_log.warn("dead letters dropped", reason=reason, letters=letters)

    def _note(self) -> None:
        self._ledger.dead_letters = (self._files.letters if self._files else 0) + len(self._held)
