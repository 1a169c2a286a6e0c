"""State directories as relays leave them behind."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from relay.delivery.spool.database import Database
from relay.hotpath.partial import Checkpoint
from relay.window.ids import floor_id

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LONG_WINDOW: int = max(range(1860, 3601, 60), key=lambda seconds: seconds - time.time() % seconds)
"""Length in seconds of the window that ends last, of those that `window.seconds` may have: for tests in which none may
end. At any time one of them has over half an hour left."""


def leave(directory: Path, *windows: int, state: dict[str, bytes] | None = None) -> Path:
    """Make a state directory in which these windows are committed."""
    directory.mkdir(mode=0o700, exist_ok=True)
    directory.chmod(0o700)
    with closing(_Open(directory)) as database:
        database.write([], windows, state or {})
    return directory


def recorded(directory: Path, *, seconds: int = LONG_WINDOW, wall: float | None = None) -> Path:
    """Make the state directory of a relay that ran until now: the next one opens the current window at once."""
    return leave(directory, floor_id(time.time() if wall is None else wall, seconds) - seconds)


def committed(directory: Path) -> Iterable[int]:
    """Return the windows that are committed."""
    with closing(_Open(directory)) as database:
        return database.load().windows


async def checkpointed(directory: Path, samples: int) -> None:
    """Wait until checkpoints hold `samples` samples: a kill loses none of these."""
    async with asyncio.timeout(30):
        while samples_in(directory) < samples:
            await asyncio.sleep(0.02)


def samples_in(directory: Path) -> int:
    """Sum the samples that a start would recover from checkpoints, of which the relay may remove one meanwhile."""
    total = 0
    for path in directory.glob("checkpoint-*.srp"):
        with suppress(FileNotFoundError):
            total += sum(record.samples for record in Checkpoint(path.read_bytes()))
    return total


def bytes_of(paths: Iterable[Path]) -> int:
    """Sum the sizes of files of which SQLite may remove one meanwhile."""
    total = 0
    for path in paths:
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


class _Open(Database):
    def __init__(self, directory: Path) -> None:
        super().__init__(directory, limit_bytes=64 * 1024 * 1024)
        self.connect()
