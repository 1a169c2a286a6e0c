"""Replay of dead letters: from `replay-*.ndjson` in the state directory into the spool.

A chunk of a file and the offset of its end are committed in one transaction, so a point enters the spool once even if
the process dies. A file is removed after all of its points are in the spool. Points keep their bytes and their window.
Not known here: which letters a command chose (redrive.py).
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from relay.delivery.dead_letters.format import decode_line, lines_of
from relay.delivery.dead_letters.redrive import finish, replay_files
from relay.delivery.disk_thread import DiskThread
from relay.errors import reason_of
from relay.model import Batch, Point

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from relay.context import Context
    from relay.delivery.spool.spool import Spool

POLL_SECONDS: Final = 2.0
"""Seconds between two searches for replay files."""
CHUNK: Final = 2_000
"""Letters per transaction: about 1 MB of points."""
MARK: Final = "replay"
"""Key in the spool's state of the name of the file and the offset up to which it is in the spool."""


class LetterChunk(NamedTuple):
    """A piece of a replay file."""

    points: dict[int, list[Point]]
    """Points by window."""
    end: int
    """Offset of the next piece."""
    damaged: int


class Replayer:
    """State: none; the files and the spool are the state."""

    def __init__(
        self,
        directory: Path | None,
        context: Context,
        *,
        spool: Spool,
        pack: Callable[[Iterable[Point], int], Iterator[Batch]],
    ) -> None:
        self._directory = directory
        self._spool = spool
        self._pack = pack
        self._clock, self._loss_log = context.clock, context.loss_log
        self._thread = DiskThread("replays")

    async def run(self) -> None:
        """Poll for replay files until cancelled; return at once without a state directory."""
        try:
            while self._directory is not None:
                await self.poll(self._directory)
                await self._clock.sleep(POLL_SECONDS)
        finally:
            self._thread.close()

    async def poll(self, directory: Path) -> None:
        """Put every replay file into the spool; after an error the next poll tries again."""
        if self._spool.degraded:
            return  # the letters are safer in their file than in memory
        try:
            await self._thread.run(finish, directory)
            for path in await self._thread.run(replay_files, directory):
                await self._replay(path)
        except OSError as error:
            self._loss_log.warn("dead letters cannot be replayed yet", code="RLY411", why=reason_of(error))

    async def _replay(self, path: Path) -> None:
        points = damaged = 0
        name, _, offset = (await self._spool.state(MARK) or b"").partition(b" ")
        start = int(offset) if name == path.name.encode() and offset.isdigit() else 0
        while (chunk := await self._thread.run(read_chunk, path, start)).end > start:
            start = chunk.end
            batches = [batch for window, found in chunk.points.items() for batch in self._pack(found, window)]
            await self._spool.add_replayed(batches, {MARK: f"{path.name} {start}".encode()})
            points += sum(batch.points for batch in batches)
            damaged += chunk.damaged
        if self._spool.degraded:
            return  # some points are in memory only: the file is needed after a crash
        await self._thread.run(partial(path.unlink, missing_ok=True))
        structlog.get_logger("relay").info("dead letters replayed", file=path.name, points=points, damaged=damaged)


def read_chunk(path: Path, start: int) -> LetterChunk:
    """Read the next letters of a file from an offset; at the end of the file `end` equals `start`.

    Raises:
        OSError: the file cannot be read.
    """
    points: defaultdict[int, list[Point]] = defaultdict(list)
    damaged = 0
    for line in islice(lines_of(path, start), CHUNK):
        start += len(line)
        read = decode_line(line)
        if read is None:
            damaged += 1
        else:
            points[read.letter.window].append(Point(bytes(read.letter.point)))
    return LetterChunk(dict(points), start, damaged)
