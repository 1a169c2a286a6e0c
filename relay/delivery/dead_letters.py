"""Points that the cloud refused for good, one JSON object a line, in the cloud's own words.

`dead-letters.ndjson` in the state directory, private to its owner; at 32 MiB it becomes `dead-letters.ndjson.1`, so at
most 64 MiB stay. A dead letter is a copy: the ledger counts the point as refused. Without a directory only the log
tells of it.
"""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from relay.clock import Clock
    from relay.telemetry import Ledger

NAME: Final = "dead-letters.ndjson"
ROTATE_BYTES: Final = 32 * 1024 * 1024


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the file."""

    time: str
    """When it died, RFC 3339 in UTC."""
    window: int
    reason: str
    """refused_point, refused_request, too_large, unreadable_answer, too_old or ambiguous."""
    detail: str
    """The cloud's own words."""
    request_id: str
    http: int | None
    """Status of the answer, if there was one."""
    attempts: int
    """Requests that held the point."""
    point: msgspec.Raw
    """Exactly as it was sent."""


class DeadLetters:
    """State: a path; the file is opened for each write, which is rare."""

    def __init__(self, directory: Path | None, *, ledger: Ledger, clock: Clock) -> None:
        self._path = directory / NAME if directory else None
        self._ledger = ledger
        self._clock = clock

    def __repr__(self) -> str:
        """Report the path."""
        return f"<DeadLetters {self._path}>"

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
        """Append points with their details; they are on disk when this returns.

        Raises:
            OSError: disk full, read-only.
        """
        time = datetime.fromtimestamp(self._clock.wall(), UTC).isoformat(timespec="seconds")
        lines = [
            DeadLetter(
                time=time,
                window=window,
                reason=reason,
                detail=detail,
                request_id=request_id,
                http=http,
                attempts=attempts,
                point=msgspec.Raw(body),
            )
            for body, detail in letters
        ]
        if self._path is not None:
            await asyncio.to_thread(
                append, self._path, b"".join(msgspec.json.encode(letter) + b"\n" for letter in lines)
            )
        self._ledger.dead_letters += len(letters)


def append(path: Path, lines: bytes) -> None:
    """Append to the file, which nobody else may read; rotate it first if it is full."""
    if path.exists() and path.stat().st_size + len(lines) > ROTATE_BYTES:
        path.replace(path.with_name(f"{NAME}.1"))
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "wb") as file:  # noqa: PTH123 - the descriptor was opened with O_NOFOLLOW
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())
