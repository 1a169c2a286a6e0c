"""The outcome of each batch: points are counted as delivered, refused or dropped, and leave the spool (I5).

Counting and removal from the spool are one step without an await. Dead letters are written before that step. A dead
letter is a copy, so a failing disk costs only the copy. If the process dies in between, the batch is sent again, and
its dead letters may exist twice.

Owned here, too: what a verdict tells the gate, the log and the ledger (`VerdictReporter`), and whether an age can be
trusted (`Ages`). Not known here: when a request is sent, and which points of a batch are bad.
"""

from __future__ import annotations

import traceback
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from relay import limits
from relay.clock import Steps, read_http_date
from relay.delivery.dead_letters.format import metric_of
from relay.delivery.request_history import SentRequest
from relay.delivery.sender.breaker import fix_for
from relay.delivery.sender.last_answer import LastAnswer
from relay.model import Delivered, Misconfigured, Reply, Throttled, Unavailable, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relay.clock import Clock
    from relay.context import Context
    from relay.delivery.dead_letters.buffer import DeadLetters
    from relay.delivery.request_history import Outcome, RequestHistory
    from relay.delivery.sender.bisect import BatchBisection, RefusedPoint
    from relay.delivery.sender.gate import Gate
    from relay.delivery.sender.pool import Cloud
    from relay.delivery.spool.order import Lease
    from relay.delivery.spool.spool import Spool


# --- reporting of verdicts -------------------------------------------------------------------------------------------

_FRAMES: Final = 3
"""Innermost frames of a traceback in a log line."""


def _place(frame: traceback.FrameSummary) -> str:
    """Return a place in the source, `relay/delivery/sender/pool.py:120 post`, without the path of the installation."""
    return f"{'/'.join(Path(frame.filename).parts[-4:])}:{frame.lineno} {frame.name}"


def _describe(error: Exception) -> str:
    """Return what a report needs: kind and places, innermost first. The text is left out: it may hold signed data."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return f"{type(error).__name__} in {' < '.join(map(_place, reversed(frames)))}"


class VerdictReporter:
    """Passes each verdict to the gate, the log and the ledger. State: the last answer."""

    def __init__(self, context: Context) -> None:
        self.last_answer = LastAnswer()
        self._clock, self._ledger, self._loss_log = context.clock, context.ledger, context.loss_log
        self._log = structlog.get_logger("relay")

    def report(self, gate: Gate, verdict: Verdict, *, jitter: float) -> None:
        """Pass a verdict to the gate and the ledger, and log it if a person should know."""
        pause = self._pass_to_gate(gate, verdict, jitter)
        self.last_answer.record(verdict, wall=self._clock.wall(), pause=pause)
        if isinstance(verdict, Delivered):
            self._ledger.accepted_at = self._clock.wall()
        else:
            self._ledger.failed_at = self._clock.wall()
        if isinstance(verdict, (Delivered, Unavailable)) and verdict.unmatched:
            self._report_unmatched(verdict.unmatched)
        match verdict:
            case Unavailable():
                self._ledger.requests_failed[verdict.cause] += 1
                self._ledger.requests_ambiguous += verdict.ambiguous
                event = "request failed, it is sent again"
                cause, why = verdict.cause, verdict.detail
                self._loss_log.warn(event, code="RLY405", subject=cause, reason=cause, why=why)
            case Throttled():
                event = "the quota is used up, senders pause"
                self._loss_log.warn(event, code="RLY401", pause_seconds=round(pause, 1), cloud=verdict.detail)
            case Misconfigured():
                self._report_misconfigured(verdict)

    def _pass_to_gate(self, gate: Gate, verdict: Verdict, jitter: float) -> float:
        was_open = gate.breaker.is_open
        pause = gate.answered(self._clock.monotonic(), verdict, jitter)
        if was_open != gate.breaker.is_open:
            self._log.debug("the cloud is back" if was_open else "the cloud is down", code="RLY405")
        return pause

    def report_exception(self, gate: Gate, error: Exception, *, jitter: float) -> None:
        """Count and log an exception inside the relay. The line has no code, so it is a warning."""
        self._ledger.requests["internal_error"] += 1
        event, told = "internal error, the request is sent again", _describe(error)
        self._loss_log.warn(event, subject=told, reason="internal_error", error=told)
        self._ledger.requests_failed["internal_error"] += 1
        self._pass_to_gate(gate, Unavailable(detail="", cause="internal_error", ambiguous=False), jitter)

    def _report_unmatched(self, words: tuple[str, ...]) -> None:
        """Log refusals of points that match no point of the request."""
        self._ledger.refusals_unmatched += len(words)
        event = "the cloud lists points that were not sent"
        self._loss_log.warn(event, code="RLY402", subject="unmatched", points=len(words), cloud=words[0])

    def _report_misconfigured(self, verdict: Misconfigured) -> None:
        skew = round(self._ledger.clock_skew)
        known: dict[str, Any] = {"ahead_seconds": skew} if verdict.credentials and skew else {}
        code, event = "RLY404", "requests are refused, everything is kept"
        if verdict.credentials:
            code, event = "RLY120", "credentials are refused, everything is kept"
        self._loss_log.warn(event, code=code, status=verdict.status, cloud=verdict.detail, **known)

    def compare_clock(self, reply: Reply, ages: Ages) -> None:
        """Compare this clock with the Date of an answer."""
        date = read_http_date(reply.headers.get("date", ""))
        if date is None:
            return
        self._ledger.clock_skew = skew = ages.compare(date)
        self._ledger.is_clock_compared = True
        if abs(skew) > SKEW_ALARM:
            event, fix = "this clock differs from the cloud's", "timedatectl set-ntp true"
            self._loss_log.warn(event, code="RLY122", ahead_seconds=round(skew), fix=fix)

    def report_refusals(self, detail: str, *, metric: str) -> None:
        """Log that the cloud refuses every point, with its text and one of the refused metrics."""
        self.last_answer.record_refusal(metric, detail)
        fix = fix_for(detail) or "see the cloud's words; one batch a minute tries"
        event = "every point is refused, everything is kept"
        self._loss_log.warn(event, code="RLY402", subject="stopped", metric=metric, cloud=detail, fix=fix)

    def report_acceptance(self) -> None:
        """Log that the cloud accepts points again."""
        self._log.debug("the cloud accepts points again", code="RLY402")

    def report_renewal(self) -> None:
        """Log a change of credentials."""
        self._log.info("credentials changed, requests are tried again", code="RLY120")


# --- clock skew, and the age of a batch ------------------------------------------------------------------------------

SKEW_ALARM: Final = 60.0
"""Seconds of skew to warn of: points fall into a wrong minute; at 15 minutes signatures fail."""


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

    def compare(self, date: float) -> float:
        """Store and return by how many seconds this clock is ahead of the cloud's, accurate to a second.

        Args:
            date: Unix time of the answer's Date, which has no fractions.
        """
        self._skew = skew = self._read_wall() - date
        return skew

    def is_old(self, window: int, max_age: float) -> bool | None:
        """Return whether a window is older than `max_age` seconds; None if it is, but the clock may be wrong.

        With an implausible year no window is old. Of the ages by this clock and by the cloud's, the smaller counts.
        """
        wall = self._read_wall()
        is_known = self._skew is not None or self._clock.monotonic() - self._since >= limits.WINDOW_SECONDS
        now = min(wall, wall - (self._skew or 0.0))
        if not limits.YEAR_MIN <= wall < limits.YEAR_MAX or now - window <= max_age:
            return False
        return True if is_known else None

    def _read_wall(self) -> float:
        """Return the wall time; if it has stepped, the skew is unknown again. It is read once: it may step any time."""
        if self._steps.poll():
            self._since, self._skew = self._clock.monotonic(), None
        return self._steps.wall


def refusals_by_reason(bisection: BatchBisection, *, points: int) -> Mapping[str, Sequence[RefusedPoint]]:
    """Return the refused points of a finished bisection by reason, see errors.REFUSED_POINTS.

    Args:
        bisection: of one batch.
        points: of the whole batch.
    """
    is_whole = len(bisection.refused) == points
    by_reason: defaultdict[str, list[RefusedPoint]] = defaultdict(list)
    for point in bisection.refused:
        by_reason["too_large" if point.too_large else "refused_request" if is_whole else "refused_point"].append(point)
    return by_reason


class Outcomes:
    """Moves points from the spool to the ledger, the dead letters and the history of requests. State: none."""

    def __init__(
        self,
        context: Context,
        *,
        spool: Spool,
        dead_letters: DeadLetters,
        history: RequestHistory,
        last_answer: LastAnswer,
    ) -> None:
        self._clock, self._ledger, self._loss_log = context.clock, context.ledger, context.loss_log
        self._last_answer = last_answer
        self._spool = spool
        self._dead_letters = dead_letters
        self._history = history

    async def record(self, lease: Lease, bisection: BatchBisection, cloud: Cloud, *, attempts: int) -> None:
        """Count the accepted and the refused points of a finished bisection; the batch is done."""
        by_reason = refusals_by_reason(bisection, points=lease.batch.points)
        if by_reason:
            await self._dead_letter_refused(lease, bisection, cloud, by_reason, attempts=attempts)
        ledger, refused = self._ledger, {reason: len(points) for reason, points in by_reason.items()}
        ledger.deliver_points(lease.batch.window, delivered=bisection.accepted, refused=refused)
        if bisection.accepted:
            ledger.delivery_lag = max(0.0, self._clock.wall() - lease.batch.window)
        self._history.add(
            SentRequest(
                window=lease.batch.window,
                at=self._clock.wall(),
                body=lease.compressed,
                outcome="accepted",
                request_id=bisection.accepted_id or bisection.request_id,
                refused={point.index: point.detail for point in bisection.refused},
            )
        )
        self._spool.done(lease)

    async def refuse(self, lease: Lease, cloud: Cloud, *, reason: str, detail: str, http: int | None) -> None:
        """Count a whole batch as refused, because of the cloud's answers; the batch is done."""
        await self._dead_letter_all(lease, cloud, code="RLY402", reason=reason, detail=detail, http=http)
        self._ledger.deliver_points(lease.batch.window, delivered=0, refused={reason: lease.batch.points})
        self._remember_whole(lease, "refused", detail)
        self._spool.done(lease)

    async def drop(self, lease: Lease, cloud: Cloud, *, reason: str, detail: str) -> None:
        """Count a whole batch as dropped, by a decision of the relay; the batch is done."""
        await self._dead_letter_all(lease, cloud, code="RLY407", reason=reason, detail=detail, http=None)
        self._ledger.drop_points(lease.batch.window, lease.batch.points, reason=reason)
        self._remember_whole(lease, "dropped", f"{reason}: {detail}")
        self._spool.done(lease)

    def _remember_whole(self, lease: Lease, outcome: Outcome, detail: str) -> None:
        """Add a request to the history; all its points have the same outcome."""
        window, wall = lease.batch.window, self._clock.wall()
        request = SentRequest(window=window, at=wall, body=lease.compressed, outcome=outcome, detail=detail, refused={})
        self._history.add(request)

    async def _dead_letter_refused(
        self,
        lease: Lease,
        bisection: BatchBisection,
        cloud: Cloud,
        by_reason: Mapping[str, Sequence[RefusedPoint]],
        *,
        attempts: int,
    ) -> None:
        bodies = cloud.points(lease.batch)
        for reason, refused in by_reason.items():
            points = [(bodies[point.index], point.detail) for point in refused]
            self._last_answer.record_refusal(metric_of(points[0][0]), points[0][1])
            self._warn("points refused", points, code="RLY402", reason=reason, request_id=bisection.request_id)
            await self._dead_letters.write(
                points,
                window=lease.batch.window,
                reason=reason,
                request_id=bisection.request_id,
                http=bisection.status,
                attempts=attempts,
            )

    async def _dead_letter_all(
        self, lease: Lease, cloud: Cloud, *, code: str, reason: str, detail: str, http: int | None
    ) -> None:
        points = [(body, detail) for body in cloud.points(lease.batch)]
        self._warn("points refused" if code == "RLY402" else "points dropped", points, code=code, reason=reason)
        await self._dead_letters.write(points, window=lease.batch.window, reason=reason, http=http)

    def _warn(
        self, event: str, points: Sequence[tuple[bytes, str]], *, code: str, reason: str, request_id: str = ""
    ) -> None:
        """Log lost points: their number, and the metric and the detail of the first one."""
        body, detail = points[0]
        self._loss_log.warn(
            event,
            code=code,
            subject=reason,
            reason=reason,
            points=len(points),
            metric=metric_of(body),
            request_id=request_id or None,
            cloud=detail if code == "RLY402" else None,
            why=detail if code != "RLY402" else None,
            fix=fix_for(detail) or "`statsd-relay dead list` has them all",
        )
