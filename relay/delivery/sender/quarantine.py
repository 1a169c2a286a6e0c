"""Batches that are not simply sent or waiting: those that failed, and those that the cloud refused altogether. Pure.

A batch that failed is remembered with what happened to it, so that it can back off by itself and be given up if it
alone is never answered. A fruitless batch (breaker.py) is a suspect, kept leased until it is known whether it or the
cloud is to blame.
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
    """What went wrong with one batch so far."""

    since: float
    failures: int = 0
    unreadable: int = 0
    fruitless_at: float | None = None
    """When it was fruitless for the first time."""


class Quarantine:
    """State: the suspects, those that were released from suspicion, and the troubles by the batch's id."""

    def __init__(self) -> None:
        self._suspects: list[tuple[Lease, BatchBisection]] = []
        self._released: list[tuple[Lease, BatchBisection]] = []
        self._troubles: dict[int, Failures] = {}
        self._last_accepted = 0.0
        self.is_answered = False
        """The last answer was a 200 that nobody could read: the batch may be to blame, so others should be tried."""

    def __repr__(self) -> str:
        """Report the counts."""
        return f"<Quarantine {len(self._suspects)} suspects, {len(self._troubles)} troubles>"

    @property
    def points(self) -> int:
        """Points of the suspects, which wait for the fate of other batches."""
        return sum(lease.batch.points for lease, _ in self._suspects)

    @property
    def many(self) -> bool:
        """Whether so many are kept that others should be tried again."""
        return len(self._suspects) >= _SUSPECTS

    def suspect(self, lease: Lease, trial: BatchBisection) -> None:
        """Keep a fruitless batch."""
        self._suspects.append((lease, trial))

    def refused_again(self, batch: int, now: float) -> bool:
        """Note that a batch is fruitless; say whether it was before, and others have been accepted since."""
        trouble = self._trouble(batch, now)
        if trouble.fruitless_at is None:
            trouble.fruitless_at = now
        return self._last_accepted > trouble.fruitless_at

    def note_accepted(self, now: float) -> None:
        """Another batch was accepted."""
        self._last_accepted = now
        self.is_answered = False

    def release(self) -> None:
        """The cloud is all right, so what is fruitless is bad itself: the trials may go on to the end."""
        for _, trial in self._suspects:
            trial.insist()
        self._released += self._suspects
        self._suspects.clear()

    def next_released(self) -> tuple[Lease, BatchBisection] | None:
        """Take a batch whose trial goes on."""
        return self._released.pop() if self._released else None

    def give_back(self) -> list[Lease]:
        """Take every batch that is kept here."""
        leases = [lease for lease, _ in (*self._suspects, *self._released)]
        self._suspects.clear()
        self._released.clear()
        return leases

    def failed(self, batch: int, now: float, *, unreadable: bool) -> Failures:
        """Count a failure of a batch; the longest known are forgotten when there are too many."""
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
        """Say whether a batch alone is to blame for answers that nobody can read."""
        return trouble.unreadable >= _UNREADABLE_TRIES and self._last_accepted > trouble.since

    def forget(self, batch: int) -> int:
        """Forget a batch that is done; return how often it failed."""
        trouble = self._troubles.pop(batch, None)
        return trouble.failures if trouble else 0
