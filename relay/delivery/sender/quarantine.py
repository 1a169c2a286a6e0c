"""Failed batches, and quarantined ones: wholly refused, until the cause is known. Pure.

The failures of each batch are counted, so that it backs off by itself, and is refused if it alone never gets a readable
answer. A fruitless batch (breaker.py) is a suspect: it stays leased until it is known whether the batch or the cloud is
the cause.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from relay.delivery.sender.bisect import BatchBisection
    from relay.delivery.spool.lease import Lease

_UNREADABLE_TRIES: Final = 3
_KEPT: Final = 1000
_SUSPECTS: Final = 100


@dataclass(slots=True)
class Failures:
    """The failures of one batch."""

    since: float
    failures: int = 0
    unreadable: int = 0
    fruitless_at: float | None = None
    """When the batch was fruitless for the first time."""


class Quarantine:
    """State: the suspects, the released batches to bisect to the end, and the failures by batch id."""

    def __init__(self) -> None:
        self._suspects: list[tuple[Lease, BatchBisection]] = []
        self._released: list[tuple[Lease, BatchBisection]] = []
        self._troubles: dict[int, Failures] = {}
        self._last_accepted = 0.0
        self.is_answered = False
        """Whether the last failure was an unreadable 200: the batch may be the cause, so others should be tried."""

    def __repr__(self) -> str:
        """Report the counts."""
        return f"<Quarantine {len(self._suspects)} suspects, {len(self._troubles)} troubles>"

    @property
    def points(self) -> int:
        """Points of the suspects."""
        return sum(lease.batch.points for lease, _ in self._suspects)

    @property
    def many(self) -> bool:
        """Whether there are so many suspects that they should be put back and sent again."""
        return len(self._suspects) >= _SUSPECTS

    def suspect(self, lease: Lease, trial: BatchBisection) -> None:
        """Quarantine a fruitless batch."""
        self._suspects.append((lease, trial))

    def refused_again(self, batch: int, now: float) -> bool:
        """Note a fruitless batch; return whether it was fruitless before and another was accepted since."""
        trouble = self._trouble(batch, now)
        if trouble.fruitless_at is None:
            trouble.fruitless_at = now
        return self._last_accepted > trouble.fruitless_at

    def note_accepted(self, now: float) -> None:
        """Note that another batch was accepted."""
        self._last_accepted = now
        self.is_answered = False

    def release(self) -> None:
        """Let the suspects be bisected to the end: the cloud accepts others, so these batches hold bad points."""
        for _, trial in self._suspects:
            trial.insist()
        self._released += self._suspects
        self._suspects.clear()

    def next_released(self) -> tuple[Lease, BatchBisection] | None:
        """Take a released batch, to continue its bisection."""
        return self._released.pop() if self._released else None

    def give_back(self) -> list[Lease]:
        """Take all suspects and released batches."""
        leases = [lease for lease, _ in (*self._suspects, *self._released)]
        self._suspects.clear()
        self._released.clear()
        return leases

    def failed(self, batch: int, now: float, *, unreadable: bool) -> Failures:
        """Count a failure of a batch; beyond a bound the oldest entries are forgotten."""
        trouble = self._trouble(batch, now)
        trouble.failures += 1
        trouble.unreadable += unreadable
        self.is_answered = unreadable
        return trouble

    def _trouble(self, batch: int, now: float) -> Failures:
        trouble = self._troubles.setdefault(batch, Failures(now))
        if len(self._troubles) > _KEPT:
            del self._troubles[next(iter(self._troubles))]
        return trouble

    def never_readable(self, trouble: Failures) -> bool:
        """Return whether the batch causes the unreadable answers: it got several, and others were accepted since."""
        return trouble.unreadable >= _UNREADABLE_TRIES and self._last_accepted > trouble.since

    def forget(self, batch: int) -> int:
        """Forget a batch that is done; return its number of failures."""
        trouble = self._troubles.pop(batch, None)
        return trouble.failures if trouble else 0
