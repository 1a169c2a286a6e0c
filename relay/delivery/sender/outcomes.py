"""The outcome of each batch: points are counted as delivered, refused or dropped, and leave the spool (I5).

Counting and removal from the spool are one step without an await. Dead letters are written before it. A dead letter is
a copy, so a failing disk costs only the copy. If the process dies in between, the batch is sent again, and its dead
letters may exist twice.

Owned here, too: what a verdict tells the gate, the log and the ledger (`VerdictReporter`), and whether an age can be
trusted (`Ages`). Not known: when a request leaves, and which points of a batch are bad.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from relay import limits
from relay.clock import Steps, read_http_date
from relay.delivery.dead_letters.format import metric_of
from relay.delivery.sender.breaker import fix_for
from relay.model import Delivered, Misconfigured, Reply, Throttled, Unavailable, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relay.clock import Clock
    from relay.context import Context
    from relay.delivery.dead_letters.queue import DeadLetters
    from relay.delivery.sender.bisect import BatchBisection
    from relay.delivery.sender.gate import Gate
    from relay.delivery.spool.lease import Lease
    from relay.delivery.spool.spool import Spool
    from relay.model import Batch


# --- reporting of verdicts -------------------------------------------------------------------------------------------

_FRAMES: Final = 3
"""Innermost frames of a traceback in a log line."""


class VerdictReporter:
    """Passes each verdict to the gate, the log and the ledger. State: none."""

    def __init__(self, context: Context) -> None:
        self._clock, self._ledger, self._loss_log = context.clock, context.ledger, context.loss_log
        self._log = structlog.get_logger("relay")

    def __repr__(self) -> str:
        """Name it."""
        return "<VerdictReporter>"

    def learn(self, gate: Gate, verdict: Verdict, *, dice: float) -> None:
        """Pass a verdict to the gate and the ledger, and log it if a person should know."""
        pause = self._answered(gate, verdict, dice)
        if isinstance(verdict, Delivered):
            self._ledger.accepted_at = self._clock.wall()
        else:
            self._ledger.failed_at = self._clock.wall()
        if isinstance(verdict, (Delivered, Unavailable)) and verdict.unmatched:
            self._unmatched(verdict.unmatched)
        match verdict:
            case Unavailable():
                self._ledger.requests_ambiguous += verdict.ambiguous
                self._loss_log.warn("request failed, it goes again", reason="unavailable", detail=verdict.detail)
            case Throttled():
                event = "RLY401 quota exceeded, senders pause"
                self._loss_log.warn(event, reason="429", seconds=round(pause, 1), detail=verdict.detail)
            case Misconfigured():
                self._needs_person(verdict)

    def _answered(self, gate: Gate, verdict: Verdict, dice: float) -> float:
        was_open = gate.breaker.is_open
        pause = gate.answered(self._clock.monotonic(), verdict, dice)
        if was_open != gate.breaker.is_open:
            self._log.info("the cloud is back" if was_open else "the cloud is down")
        return pause

    def failed_inside(self, gate: Gate, error: Exception, *, dice: float) -> None:
        """Count and log an exception inside the relay; its text is left out, as it may hold signed data."""
        self._ledger.requests["internal_error"] += 1
        frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
        where = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))
        event = "internal_error, the batch is kept and goes again"
        self._loss_log.warn(event, reason=where, error=type(error).__name__)  # one rate limit per place
        self._answered(gate, Unavailable(detail="", ambiguous=False), dice)

    def _unmatched(self, words: tuple[str, ...]) -> None:
        """Log refusals of points that match no point of the request."""
        self._ledger.refusals_unmatched += len(words)
        event = "RLY402 the cloud lists points that were not sent"
        self._loss_log.warn(event, reason="unmatched", count=len(words), detail=words[0])

    def _needs_person(self, verdict: Misconfigured) -> None:
        skew = round(self._ledger.clock_skew)
        known = {"clock_seconds_ahead": skew} if verdict.credentials and skew else {}
        code = "RLY120 credentials refused" if verdict.credentials else "RLY404 the cloud refuses requests"
        event = f"{code}, everything is kept"
        self._loss_log.warn(event, reason=str(verdict.status), detail=verdict.detail, **known)

    def watch_clock(self, reply: Reply, ages: Ages) -> None:
        """Compare this clock with the Date of an answer."""
        skew = clock_skew(reply.headers, wall=self._clock.wall())
        if skew is None:
            return
        self._ledger.clock_skew = skew
        ages.compare(skew)
        if abs(skew) > ALARM:
            event, fix = "RLY122 this clock differs from the cloud's", "synchronise the clock"
            self._loss_log.warn(event, reason="clock", seconds_ahead=round(skew), fix=fix)

    def stopped(self, detail: str, *, metric: str) -> None:
        """Log a systemic stop with the cloud's text and one of the refused metrics."""
        fix = fix_for(detail) or "see the cloud's words; one batch a minute tries"
        event = "RLY402 the cloud refuses every point, everything is kept"
        self._loss_log.warn(event, reason="stopped", metric=metric, detail=detail, fix=fix)

    def resumed(self) -> None:
        """Log the end of a systemic stop."""
        self._log.info("the cloud accepts points again")

    def renewed(self) -> None:
        """Log a change of credentials."""
        self._log.info("credentials changed, trying again")


# --- clock skew, and the age of a batch ------------------------------------------------------------------------------

ALARM: Final = 60.0
"""Seconds of skew to warn of: points fall into a wrong minute; at 15 minutes signatures fail."""


def clock_skew(headers: Mapping[str, str], *, wall: float) -> float | None:
    """Return how many seconds this clock is ahead of the cloud's, accurate to a second, as Date has no fractions.

    Args:
        headers: of the answer; keys in lower case.
        wall: wall time of this machine when the answer came.

    Returns:
        None if the answer has no valid Date.
    """
    date = read_http_date(headers.get("date", ""))
    return None if date is None else wall - date


class Ages:
    """State: since when the wall clock is steady, and its skew against the cloud's since then.

    If the clock were ten days ahead for some seconds, every batch would be dropped as too old. So no batch counts as
    old until the skew is known from the cloud's Date, or the clock was steady for a minute.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._steps = Steps(clock)
        self._since = clock.monotonic()
        self._skew: float | None = None

    def __repr__(self) -> str:
        """Report the skew."""
        return f"<Ages {'not compared' if self._skew is None else f'{self._skew:.0f} s ahead'}>"

    def compare(self, skew: float) -> None:
        """Take the skew of an answer that came now: seconds that this clock is ahead of the cloud's."""
        self._look()
        self._skew = skew

    def is_old(self, window: int, max_age: float) -> bool | None:
        """Return whether a window is older than `max_age` seconds; None if it is, but the clock may be wrong.

        With an implausible year no window is old. Of the ages by this clock and by the cloud's, the smaller counts.
        """
        self._look()
        wall = self._clock.wall()
        is_known = self._skew is not None or self._clock.monotonic() - self._since >= limits.WINDOW_SECONDS
        now = min(wall, wall - (self._skew or 0.0))
        if not limits.YEAR_MIN <= wall < limits.YEAR_MAX or now - window <= max_age:
            return False
        return True if is_known else None

    def _look(self) -> None:
        if self._steps.look():
            self._since, self._skew = self._clock.monotonic(), None


class Points(Protocol):
    """Decodes a batch into its points."""

    def points(self, batch: Batch) -> Sequence[bytes]:
        """Return the points of a batch, byte for byte."""
        ...


class Outcomes:
    """Moves points from the spool to the ledger and to the dead letters. State: none."""

    def __init__(self, context: Context, *, spool: Spool, dead_letters: DeadLetters) -> None:
        self._clock, self._ledger, self._loss_log = context.clock, context.ledger, context.loss_log
        self._spool = spool
        self._dead_letters = dead_letters

    def __repr__(self) -> str:
        """Report the ledger."""
        return f"<Outcomes {self._ledger!r}>"

    async def settle(self, lease: Lease, trial: BatchBisection, points: Points, *, attempts: int) -> None:
        """Count the accepted and the convicted points of a finished bisection; the batch is done."""
        if trial.convicted:
            await self._bury_convicted(lease, trial, points, attempts)
        ledger = self._ledger
        ledger.points_delivered += trial.accepted
        ledger.points_refused += len(trial.convicted)
        if trial.accepted:
            ledger.delivery_lag = max(0.0, self._clock.wall() - lease.batch.window)
        self._spool.done(lease)

    async def refuse(self, lease: Lease, points: Points, *, reason: str, detail: str, http: int | None) -> None:
        """Count a whole batch as refused, because of the cloud's answers; the batch is done."""
        await self._bury_all(lease, points, reason=reason, detail=detail, http=http)
        self._ledger.points_refused += lease.batch.points
        self._spool.done(lease)

    async def drop(self, lease: Lease, points: Points, *, reason: str, detail: str) -> None:
        """Count a whole batch as dropped, by a decision of the relay; the batch is done."""
        await self._bury_all(lease, points, reason=reason, detail=detail, http=None)
        self._ledger.points_dropped[reason] += lease.batch.points
        self._spool.done(lease)

    async def _bury_convicted(self, lease: Lease, trial: BatchBisection, points: Points, attempts: int) -> None:
        bodies = points.points(lease.batch)
        letters: dict[str, list[tuple[bytes, str]]] = {}
        for conviction in trial.convicted:
            whole = len(trial.convicted) == lease.batch.points
            reason = "too_large" if conviction.too_large else "refused_request" if whole else "refused_point"
            letters.setdefault(reason, []).append((bodies[conviction.index], conviction.detail))
        for reason, bad in letters.items():
            self._warn("RLY402 points refused", bad, reason=reason, request_id=trial.request_id)
            await self._write(
                bad, lease, reason=reason, request_id=trial.request_id, http=trial.status, attempts=attempts
            )

    async def _bury_all(self, lease: Lease, points: Points, *, reason: str, detail: str, http: int | None) -> None:
        letters = [(body, detail) for body in points.points(lease.batch)]
        self._warn("points given up", letters, reason=reason)
        await self._write(letters, lease, reason=reason, request_id="", http=http, attempts=1)

    async def _write(
        self,
        letters: Sequence[tuple[bytes, str]],
        lease: Lease,
        *,
        reason: str,
        request_id: str,
        http: int | None,
        attempts: int,
    ) -> None:
        await self._dead_letters.write(
            letters, window=lease.batch.window, reason=reason, request_id=request_id, http=http, attempts=attempts
        )

    def _warn(self, event: str, letters: Sequence[tuple[bytes, str]], *, reason: str, request_id: str = "") -> None:
        """Log lost points: their number, and the metric and the detail of the first one."""
        body, detail = letters[0]
        fix = fix_for(detail) or "`statsd-relay dead list` has them all"
        known: dict[str, Any] = {"request_id": request_id} if request_id else {}
        self._loss_log.warn(
            event, reason=reason, metric=metric_of(body), detail=detail, points=len(letters), fix=fix, **known
        )
