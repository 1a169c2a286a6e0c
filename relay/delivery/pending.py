"""What is not on disk yet: windows to be written, deletions to be made, and the state stored last. No I/O.

Invariants: a row is pinned in memory from the moment it is handed over until it is on disk, done or dropped; jobs are
written in the order they came; a deletion is remembered until it is made.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.delivery.bodies import Bodies, Row

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

_OVERHEAD: Final = 1.15
"""Bytes of pages per byte of bodies."""
_ROW_BYTES: Final = 64
"""Of a row besides its body."""


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """Batches that are written together, and the windows they commit."""

    rows: Sequence[Row]
    windows: Collection[int]
    samples: int = 0
    """In the batches."""
    settled: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """Done when the job is on disk, or the disk has had its chance."""
    is_tried: bool = False
    """It may be on disk."""
    is_written: bool = False
    """It is on disk."""

    def settle(self) -> None:
        """Let whoever handed it over go on."""
        if not self.settled.done():
            self.settled.set_result(None)


class Write(NamedTuple):
    """What a job is at the moment it is written."""

    job: Job
    rows: Sequence[Row]
    state: Mapping[str, bytes]
    bytes: int
    """Pages it needs."""


class Pending:
    """State: jobs, deletions and state that are not on disk yet; the bodies in memory."""

    def __init__(self) -> None:
        self.jobs: deque[Job] = deque()
        self.bodies = Bodies()
        self.state: dict[str, bytes] = {}
        self.deletions: list[int] = []
        self._attempted: set[int] = set()
        """Ids that were tried to be written: they may be on disk, whatever SQLite said."""

    def __repr__(self) -> str:
        """Report the jobs and deletions."""
        return f"<Pending {len(self.jobs)} jobs, {len(self.deletions)} deletions>"

    def pin(self, rows: Sequence[Row], state: Mapping[str, bytes]) -> None:
        """Keep what was handed over."""
        for row in rows:
            self.bodies.pin(row)
        self.state.update(state)

    def forget(self, id_: int) -> bool:
        """Let go of a batch that is done or dropped; return whether pages become free by that."""
        on_disk = not self.bodies.is_pinned(id_)
        self.bodies.drop(id_)
        if on_disk or id_ in self._attempted:
            self.deletions.append(id_)
        return on_disk

    def next_write(self) -> Write:
        """Return the first job, without what is done or dropped meanwhile."""
        job, state = self.jobs[0], dict(self.state)
        rows = [row for row in job.rows if self.bodies.is_pinned(row.id)]
        size = sum(len(row.body) + _ROW_BYTES for row in rows) + sum(map(len, state.values()))
        return Write(job=job, rows=rows, state=state, bytes=int(size * _OVERHEAD))

    def attempt(self, write: Write) -> None:
        """It is being written; what is forgotten from now on must be deleted as well."""
        write.job.is_tried = True
        self._attempted.update(row.id for row in write.rows)

    def written(self, write: Write) -> None:
        """It is on disk."""
        self.jobs.remove(write.job)
        for key, value in write.state.items():
            if self.state.get(key) is value:
                del self.state[key]
        self._attempted.difference_update(row.id for row in write.rows)
        # The first batches are sent first: of a window that does not fit, they are the ones to keep.
        for row in reversed(write.rows):
            self.bodies.unpin(row.id)
        write.job.is_written = True
        write.job.settle()

    def deleted(self, count: int) -> None:
        """The first deletions are made."""
        del self.deletions[:count]

    def start_over(self, windows: Collection[int]) -> None:
        """The database is gone: what is in memory is to be written to the next one, with the ids of old windows."""
        self.deletions.clear()
        self._attempted.clear()
        self.jobs.appendleft(Job(rows=self.bodies.pin_cached(), windows=windows))

    def settle_all(self) -> None:
        """The disk had its chance. What is done meanwhile is let go: it may refuse for days."""
        for job in self.jobs:
            job.rows = [row for row in job.rows if self.bodies.is_pinned(row.id)]
            job.settle()
