"""The dead letters of a running relay, read and removed in a thread: the files may have 64 MiB.

Reading them again and again must not cost more than it shows: an answer without a filter is kept for ten seconds, and
one thread works at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from relay import limits
from relay.admin.answers.dead_letters import Letter, LettersAnswer, MetricLetters, RedrivenAnswer
from relay.delivery.dead_letters import redrive
from relay.delivery.dead_letters.format import LetterReader, letter_files
from relay.delivery.dead_letters.redrive import Redriven, Selection, replay_files
from relay.wording import as_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import TypeVar

    from relay.admin.protocols import Relay
    from relay.delivery.dead_letters.format import LetterLine

    T = TypeVar("T")

_METRICS: Final = 10
LAST: Final = 20
"""Letters that an answer without a number has."""
_KEPT_SECONDS: Final = 10.0
_YIELD_BYTES: Final = 64 * 1024
"""Between two pauses of the thread, in which the event loop has the interpreter."""


class DeadLetters:
    """State: the last answer, and the lock of the thread."""

    def __init__(self, relay: Relay, directory: Path) -> None:
        self._relay = relay
        self._directory = directory
        self._lock = asyncio.Lock()
        self._answer: LettersAnswer | None = None
        self._answered_at = 0.0
        self._answered_for: tuple[int, int] = (-1, -1)

    async def summary(self) -> LettersAnswer:
        """Return the letters without a filter; the answer may be ten seconds old if their number has not changed.

        Raises:
            OSError: a file cannot be read.
        """
        ledger, now = self._relay.context.ledger, self._relay.context.clock.monotonic()
        counts = (ledger.dead_letters, ledger.points_replayed)
        if not self._answer or counts != self._answered_for or now > self._answered_at + _KEPT_SECONDS:
            self._answer = await self.list(Selection(), last=LAST)
            self._answered_at, self._answered_for = now, counts
        return self._answer

    async def list(self, selection: Selection, *, last: int) -> LettersAnswer:
        """Return the letters that match.

        Raises:
            OSError: a file cannot be read.
        """
        limit = int(self._relay.config.spool.dead_letters)
        return await self._in_thread(lambda: summarise(self._directory, selection, last=last, limit=limit))

    async def replay(self, selection: Selection, *, dry_run: bool) -> RedrivenAnswer:
        """Send letters again; the relay takes them within seconds.

        Raises:
            OSError: a file cannot be read or written.
        """
        now = self._relay.context.clock.wall()
        oldest = now - min(self._relay.config.cloud.max_age, limits.POINT_AGE_MAX)

        def work() -> Redriven:
            if not dry_run:
                return redrive.replay(self._directory, selection, now=now, oldest=oldest, progress=Pauses())
            counts = Redriven()
            for _ in redrive.select(self._directory, selection, oldest=oldest, counts=counts, progress=Pauses()):
                pass
            return counts

        return _redriven(await self._in_thread(work))

    async def drop(self, selection: Selection) -> RedrivenAnswer:
        """Delete letters.

        Raises:
            OSError: a file cannot be read or written.
        """
        return _redriven(await self._in_thread(lambda: redrive.drop(self._directory, selection, progress=Pauses())))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        async with self._lock:
            found = await asyncio.to_thread(work)
            self._answer = None
            return found


class Pauses:
    """Progress of a thread that lets the event loop run. State: the bytes since the last pause."""

    def __init__(self) -> None:
        self._bytes = 0

    def __call__(self, count: int) -> None:
        """Count bytes; pause shortly after every 64 KiB."""
        self._bytes += count
        if self._bytes >= _YIELD_BYTES:
            self._bytes = 0
            time.sleep(0)


def summarise(directory: Path, selection: Selection, *, last: int, limit: int) -> LettersAnswer:
    """Read the letters. Blocks.

    Raises:
        OSError: a file cannot be read.
    """
    files = letter_files(directory)
    reader = LetterReader(Pauses())
    reasons, metrics = Counter[str](), Counter[str]()
    newest: deque[LetterLine] = deque(maxlen=last)
    windows: tuple[int, int] | None = None
    for read in filter(selection.matches, reader.read(files)):
        reasons[read.letter.reason] += 1
        metrics[read.metric] += 1
        newest.append(read)
        window = read.letter.window
        windows = (min(windows[0], window), max(windows[1], window)) if windows else (window, window)
    return LettersAnswer(
        letters=reasons.total(),
        bytes=sum(path.lstat().st_size for path in files),
        limit_bytes=limit,
        damaged=reader.damaged.total(),
        oldest=as_time(windows[0]) if windows else None,
        newest=as_time(windows[1]) if windows else None,
        reasons=dict(reasons.most_common()),
        metrics=[MetricLetters(metric=metric, letters=count) for metric, count in metrics.most_common(_METRICS)],
        more_metrics=max(0, len(metrics) - _METRICS),
        last=[_letter(read) for read in reversed(newest)],
        replaying=_names(path for kind in ("taking", "ndjson") for path in replay_files(directory, kind)),
    )


def _names(paths: Iterable[Path]) -> list[str]:
    return [path.name for path in paths]


def _letter(read: LetterLine) -> Letter:
    letter = read.letter
    return Letter(
        time=letter.time,
        reason=letter.reason,
        metric=read.metric,
        window=as_time(letter.window),
        detail=letter.detail,
        request_id=letter.request_id,
        http=letter.http,
        attempts=letter.attempts,
        point=letter.point,
    )


def _redriven(counts: Redriven) -> RedrivenAnswer:
    return RedrivenAnswer(
        letters=counts.letters,
        duplicates=counts.duplicates,
        too_old=counts.too_old,
        damaged=counts.damaged,
        reasons=dict(counts.reasons),
        path=counts.path,
    )
