"""What answers say about the cloud, the quota, the credentials and the clock: told to the gate, the log, the ledger."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Final

import structlog

from relay.delivery.skew import ALARM, clock_skew
from relay.delivery.systemic import fix_for
from relay.model import Delivered, Misconfigured, Reply, Throttled, Unavailable, Verdict

if TYPE_CHECKING:
    from relay.clock import Clock
    from relay.delivery.gate import Gate
    from relay.delivery.skew import Ages
    from relay.telemetry import Ledger, LossLog

_FRAMES: Final = 3
"""Of a traceback, the innermost ones: a log line is no page."""


class Reporter:
    """State: none."""

    def __init__(self, *, ledger: Ledger, loss_log: LossLog, clock: Clock) -> None:
        self._ledger = ledger
        self._loss_log = loss_log
        self._clock = clock
        self._log = structlog.get_logger("relay")

    def __repr__(self) -> str:
        """Name it."""
        return "<Reporter>"

    def learn(self, gate: Gate, verdict: Verdict, *, dice: float) -> None:
        """Let the gate know of a verdict, and a person if it must."""
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
        """Count and tell of a mistake of the relay; its text is not shown, since it may hold what was signed."""
        self._ledger.requests["internal_error"] += 1
        frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
        where = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))
        event = "internal_error, the batch is kept and goes again"
        self._loss_log.warn(event, reason=where, error=type(error).__name__)  # each place by itself
        self._answered(gate, Unavailable(detail="", ambiguous=False), dice)

    def _unmatched(self, words: tuple[str, ...]) -> None:
        """Tell of listed points that are none of the request: which points the cloud means is not known."""
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
        """Compare the clocks."""
        skew = clock_skew(reply.headers, wall=self._clock.wall())
        if skew is None:
            return
        self._ledger.clock_skew = skew
        ages.compare(skew)
        if abs(skew) > ALARM:
            event, fix = "RLY122 this clock differs from the cloud's", "synchronise the clock"
            self._loss_log.warn(event, reason="clock", seconds_ahead=round(skew), fix=fix)

    def stopped(self, detail: str, *, metric: str) -> None:
        """Tell of a systemic stop, in the cloud's words, with one of the metrics that it refuses."""
        fix = fix_for(detail) or "see the cloud's words; one batch a minute tries"
        event = "RLY402 the cloud refuses every point, everything is kept"
        self._loss_log.warn(event, reason="stopped", metric=metric, detail=detail, fix=fix)

    def resumed(self) -> None:
        """Tell of the end of a systemic stop."""
        self._log.info("the cloud accepts points again")

    def renewed(self) -> None:
        """Tell of other credentials."""
        self._log.info("credentials changed, trying again")
