"""The latest answer of the cloud, for people: its kind, its words, and since when answers are of that kind. Pure."""

from __future__ import annotations

from typing import Literal, TypeAlias

from relay.model import Delivered, Misconfigured, Refused, Throttled, Unavailable, Verdict

VerdictKind: TypeAlias = Literal["delivered", "refused", "throttled", "unavailable", "credentials", "misconfigured"]


def kind_of(verdict: Verdict) -> VerdictKind:
    """Return the kind of a verdict, as people distinguish it."""
    match verdict:
        case Delivered():
            return "delivered"
        case Refused():
            return "refused"
        case Throttled():
            return "throttled"
        case Unavailable():
            return "unavailable"
        case Misconfigured():
            return "credentials" if verdict.credentials else "misconfigured"


class LastAnswer:
    """State: the latest verdict, the end of the latest pause, and the latest refused point."""

    def __init__(self) -> None:
        self.kind: VerdictKind | Literal[""] = ""
        """"" before the first answer."""
        self.since = 0.0
        """Wall time of the first of the latest answers of this kind."""
        self.status = 0
        """HTTP status; 0 without an answer."""
        self.words = ""
        """The cloud's words, or the system's about a request without an answer."""
        self.cause = ""
        """Why the latest request failed: one of errors.FAILED_REQUESTS; it stays after the next success."""
        self.paused_until = 0.0
        """Wall time until which a 429 pauses the senders."""
        self.refused_metric = ""
        self.refused_words = ""
        """The cloud's words about the latest refused point."""

    def record(self, verdict: Verdict, *, wall: float, pause: float) -> None:
        """Record a verdict, and the seconds for which it pauses all senders."""
        kind = kind_of(verdict)
        if kind != self.kind:
            self.kind, self.since = kind, wall
        self.status = verdict.status or 0
        self.words = "" if isinstance(verdict, Delivered) else verdict.detail
        if isinstance(verdict, Unavailable):
            self.cause = verdict.cause
        if isinstance(verdict, Throttled):
            self.paused_until = wall + pause

    def record_refusal(self, metric: str, words: str) -> None:
        """Record a refused point."""
        self.refused_metric, self.refused_words = metric, words
