"""Find the bad points of a refused batch: parts are sent until every point is accepted or refused. Pure.

The cloud refused a request without naming the bad point (400), or because it is too large (413). A binary search sends
the first half of the part known to be bad, then half of that, up to six times for 50 points. The untried halves are
then sent together, so one bad point of 50 costs nine requests, the first included. A point counts as refused only when
it was refused alone or listed by the cloud, because the cause of refusing a whole part may have passed meanwhile.

A bisection knows indexes and verdicts only. The worker that holds the lease sends the parts, and counts all points in
one step at the end. If the process dies in between, the whole batch is sent again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from relay.model import Delivered, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_ATTEMPTS: Final = 12
"""A batch counts as wholly refused after this many answers of which none accepted a point."""
MAX_ATTEMPTS_OPEN: Final = 8
"""`MAX_ATTEMPTS` while the refusal breaker is open: enough to find one bad point and to try the rest, once a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedPoint:
    """A point that the cloud refuses for good."""

    index: int
    detail: str
    """The cloud's own words."""
    too_large: bool = False


class BatchBisection:
    """State: accepted and refused points, the part known to hold a bad point, and the points not tried yet."""

    def __init__(self, points: int, *, max_attempts: int = MAX_ATTEMPTS) -> None:
        self._unknown: list[int] = list(range(points))
        self._bad: list[int] = []
        """Points of which at least one is bad, by the refusals so far."""
        self._max_attempts = max_attempts
        self.forced = False
        """Whether the bisection goes on to its end, even if it accepts nothing."""
        self.answers = 0
        """Requests answered."""
        self._limit = points
        """Points per request; lowered after a request was too large."""
        self.accepted = 0
        """Accepted points."""
        self.refused: list[RefusedPoint] = []
        self.accepted_id = ""
        """The cloud's id of the last request that it accepted."""
        self.request_id = ""
        self.status: int | None = None
        """HTTP status of the last refusal, as `request_id`."""
        self.detail = ""
        """The cloud's text at the first refusal."""

    @property
    def finished(self) -> bool:
        """Whether every point is accepted or refused."""
        return not (self._unknown or self._bad)

    @property
    def all_refused(self) -> bool:
        """Whether nothing was accepted after enough answers: the cause may be the cloud rather than the points."""
        return not self.accepted and (self.finished or self.answers >= self._max_attempts)

    def force(self) -> None:
        """Continue until every point is accepted or refused: the cloud accepts other batches."""
        self.forced = True

    def part(self) -> Sequence[int]:
        """Return the indexes of the points to send next; pass their verdict to `answer`."""
        if self._bad:
            return self._bad[: (len(self._bad) + 1) // 2]
        return self._unknown[: self._limit]

    def answer(self, verdict: Delivered | Refused) -> None:
        """Apply the verdict on the last part."""
        part = list(self.part())
        self.answers += 1
        if self._bad:
            known, self._bad = self._bad[len(part) :], []
        else:
            known, self._unknown = [], self._unknown[len(part) :]
        match verdict:
            case Delivered():
                self._bad = known
                self._accept(part, verdict)
            case Refused(too_large=True):
                self._split(part, verdict)
                self._unknown += known
            case Refused():
                self._search(part, verdict)
                self._unknown += known

    def _accept(self, part: list[int], verdict: Delivered) -> None:
        self.accepted += len(part) - len(verdict.refusals)
        self.accepted_id = verdict.request_id
        for refusal in verdict.refusals:
            self.refused.append(RefusedPoint(index=part[refusal.index], detail=refusal.detail))
        if verdict.refusals:
            self._record_refusal(verdict.refusals[0].detail, verdict)

    def _search(self, part: list[int], verdict: Refused) -> None:
        self._record_refusal(verdict.detail, verdict)
        if len(part) == 1:
            self.refused.append(RefusedPoint(index=part[0], detail=verdict.detail))
        else:
            self._bad = part

    def _split(self, part: list[int], verdict: Refused) -> None:
        """Halve the request size; whether a half holds a bad point is not known."""
        self._record_refusal(verdict.detail, verdict)
        if len(part) == 1:
            self.refused.append(RefusedPoint(index=part[0], detail=verdict.detail, too_large=True))
        else:
            self._limit = (len(part) + 1) // 2
            self._unknown = part + self._unknown

    def _record_refusal(self, detail: str, verdict: Delivered | Refused) -> None:
        self.detail = self.detail or detail
        self.request_id, self.status = verdict.request_id, verdict.status
