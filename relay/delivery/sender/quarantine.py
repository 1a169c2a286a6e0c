"""Failed batches, and quarantined ones: wholly refused, until the cause is known. Pure.

The failures of each batch are counted. So each batch has its own backoff, and a batch is refused if it never gets a
readable answer while others do. A wholly refused batch (breaker.py) is quarantined: it stays leased until it is known
whether the batch or the cloud is the cause.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from relay.delivery.sender.bisect import BatchBisection
    from relay.delivery.spool.order import Lease

_UNREADABLE_TRIES: Final = 3
_FAILURES_MAX: Final = 1000
_QUARANTINED_MAX: Final = 100


@dataclass(slots=True)
class Failures:
    """The failures of one batch."""

    since: float
    count: int = 0
    unreadable: int = 0
    all_refused_at: float | None = None
    """When the batch was wholly refused for the first time."""


class Quarantine:
    """State: the quarantined batches, the released ones to bisect to the end, and the failures by batch id."""

    def __init__(self) -> None:
        self._quarantined: list[tuple[Lease, BatchBisection]] = []
        self._released: list[tuple[Lease, BatchBisection]] = []
        self._failures: dict[int, Failures] = {}
        self._last_accepted = 0.0
        self.is_answered = False
        """Whether the last failure was an unreadable 200: the batch may be the cause, so others should be tried."""

    @property
    def points(self) -> int:
        """Points of the quarantined batches."""
        return sum(lease.batch.points for lease, _ in self._quarantined)

    @property
    def is_full(self) -> bool:
        """Whether so many batches are quarantined that they should be put back and sent again."""
        return len(self._quarantined) >= _QUARANTINED_MAX

    def add(self, lease: Lease, bisection: BatchBisection) -> None:
        """Quarantine a wholly refused batch."""
        self._quarantined.append((lease, bisection))

    def record_refusal(self, batch: int, now: float) -> bool:
        """Record a whole refusal; return whether the batch had one before, and another batch was accepted since."""
        failures = self._failures_of(batch, now)
        if failures.all_refused_at is None:
            failures.all_refused_at = now
        return self._last_accepted > failures.all_refused_at

    def record_accepted(self, now: float) -> None:
        """Record that another batch was accepted."""
        self._last_accepted = now
        self.is_answered = False

    def release(self) -> None:
        """Release quarantined batches, to be bisected to the end: the cloud accepts others, so they hold bad points."""
        for _, bisection in self._quarantined:
            bisection.force()
        self._released += self._quarantined
        self._quarantined.clear()

    def pop_released(self) -> tuple[Lease, BatchBisection] | None:
        """Remove and return a released batch, to continue its bisection."""
        return self._released.pop() if self._released else None

    def pop_all(self) -> list[Lease]:
        """Remove all quarantined and released batches; return their leases."""
        leases = [lease for lease, _ in (*self._quarantined, *self._released)]
        self._quarantined.clear()
        self._released.clear()
        return leases

    def failed(self, batch: int, now: float, *, unreadable: bool) -> Failures:
        """Count a failure of a batch; beyond a bound the oldest entries are removed."""
        failures = self._failures_of(batch, now)
        failures.count += 1
        failures.unreadable += unreadable
        self.is_answered = unreadable
        return failures

    def _failures_of(self, batch: int, now: float) -> Failures:
        failures = self._failures.setdefault(batch, Failures(now))
        if len(self._failures) > _FAILURES_MAX:
            del self._failures[next(iter(self._failures))]
        return failures

    def is_never_readable(self, failures: Failures) -> bool:
        """Return whether the batch causes the unreadable answers: it got several, and others were accepted since."""
        return failures.unreadable >= _UNREADABLE_TRIES and self._last_accepted > failures.since

    def remove(self, batch: int) -> int:
        """Remove the failures of a batch that is done; return their number."""
        failures = self._failures.pop(batch, None)
        return failures.count if failures else 0
