"""Which points of a refused batch are bad: parts of it are sent until every point is accepted or convicted. Pure.

The cloud refused a request and did not say which point is wrong (400), or that it is too large (413). A binary search
sends the first half of what is known to be bad, then the half of that, up to six times for 50 points. Halves that were
not tried yet are sent together afterwards, so one bad point of 50 costs nine requests with the first. Only a point that
was refused alone is convicted: the refusal of a whole may have passed meanwhile.

The trial knows indexes and verdicts, nothing else. The worker that holds the lease sends the parts, and settles all
points in one step at the end; if it dies in between, the batch is sent again as it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from relay.model import Delivered, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE: Final = 12
"""Answers without anything accepted after which a batch counts as fruitless."""
PATIENCE_STOPPED: Final = 8
"""The same during a systemic stop: enough to find one bad point and try the rest, once a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedPoint:
    """A point that the cloud will not take."""

    index: int
    detail: str
    """The cloud's own words."""
    too_large: bool = False
    listed: bool = False
    """The cloud named it among others that it took."""


class BatchBisection:
    """State: what is accepted, what is convicted, what is known to hold a bad point, and what was not tried yet."""

    def __init__(self, points: int, *, patience: int = PATIENCE) -> None:
        self._unknown: list[int] = list(range(points))
        self._bad: list[int] = []
        """A point of these is bad, if refusals mean anything."""
        self._patience = patience
        self.insisting = False
        """Whether it goes on to the end, whatever is refused."""
        self.answers = 0
        """Requests answered."""
        self._limit = points
        """Points of a request; less after one was too large."""
        self.accepted = 0
        """Points."""
        self.convicted: list[RefusedPoint] = []
        self.request_id = ""
        self.status: int | None = None
        """Of the last refusal, as the id."""
        self.detail = ""
        """The cloud's words at the first refusal."""

    def __repr__(self) -> str:
        """Report the state."""
        return f"<BatchBisection {self.accepted} accepted, {len(self.convicted)} convicted, {self._left} left>"

    @property
    def _left(self) -> int:
        return len(self._unknown) + len(self._bad)

    @property
    def finished(self) -> bool:
        """Whether every point is accepted or convicted."""
        return not self._left

    @property
    def fruitless(self) -> bool:
        """Whether nothing was accepted, and it is time to doubt the cloud rather than the points."""
        return not self.accepted and (self.finished or self.answers >= self._patience)

    def insist(self) -> None:
        """Go on to the end, whatever is refused: the cloud does accept other batches."""
        self.insisting = True

    def part(self) -> Sequence[int]:
        """Return the indexes to send next; the answer goes to `answer`."""
        if self._bad:
            return self._bad[: (len(self._bad) + 1) // 2]
        return self._unknown[: self._limit]

    def answer(self, verdict: Delivered | Refused) -> None:
        """Learn what became of the last part."""
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
        for refusal in verdict.refusals:
            self.convicted.append(RefusedPoint(index=part[refusal.index], detail=refusal.detail, listed=True))
        if verdict.refusals:
            self._note(verdict.refusals[0].detail, verdict)

    def _search(self, part: list[int], verdict: Refused) -> None:
        self._note(verdict.detail, verdict)
        if len(part) == 1:
            self.convicted.append(RefusedPoint(index=part[0], detail=verdict.detail))
        else:
            self._bad = part

    def _split(self, part: list[int], verdict: Refused) -> None:
        """Nothing is known of the halves: only that they must not go together again."""
        self._note(verdict.detail, verdict)
        if len(part) == 1:
            self.convicted.append(RefusedPoint(index=part[0], detail=verdict.detail, too_large=True))
        else:
            self._limit = (len(part) + 1) // 2
            self._unknown = part + self._unknown

    def _note(self, detail: str, verdict: Delivered | Refused) -> None:
        self.detail = self.detail or detail
        self.request_id, self.status = verdict.request_id, verdict.status
