"""When the next request may leave: the longest of five waits. Pure; time and dice are arguments.

    rate       429 answers, and `requests_per_minute`
    breaker    the cloud is down
    systemic   the cloud refuses every batch
    person     refused credentials or a wrong endpoint: only a person can fix it
    spread     requests of a fresh window are staggered

Not known here: what is sent, and what an answer looks like; a verdict is all it learns.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from relay.delivery.sender.breaker import Breaker, ProbeTimer, RefusalBreaker
from relay.delivery.sender.rate import AdaptiveRate, wait_for_person
from relay.model import Delivered, Misconfigured, Refused, Throttled, Unavailable, Verdict

if TYPE_CHECKING:
    from relay.config.schema import CloudConfig


# --- spread: stagger the requests of a fresh window ------------------------------------------------------------------

# All relays of a fleet close their windows at the same moment, so their requests would leave together.
#
# When a newer window appears, all waiting requests are spread evenly over `seconds`. The first request leaves after a
# share of one gap. That share depends on the host name and is stable over restarts, so the fleet as a whole sends
# evenly. The first window after a start is spread, too: so is a fleet that restarts with a backlog. After `seconds`
# only the rate paces the rest, so that no periodic pattern remains.


def phase_of(host: str) -> float:
    """Return the phase of a host, 0..1, which never changes."""
    return zlib.crc32(host.encode()) / 2**32


class Stagger:
    """State: the newest window seen, when the next request may leave, and the gap between requests."""

    def __init__(self, *, seconds: float, phase: float) -> None:
        """Set the spread of one host.

        Args:
            seconds: over which a window is spread; 0: no spread.
            phase: 0..1, see `phase_of`.
        """
        self._seconds = seconds
        self._phase = phase
        self._newest: int | None = None
        self._gap = 0.0
        self._next_at = 0.0
        self._ends_at = 0.0

    def __repr__(self) -> str:
        """Report the gap."""
        return f"<Stagger {self._gap:.3f} s apart>"

    def wait(self, now: float, *, window: int, waiting: int) -> float:
        """Return seconds until a request may leave; 0 means now.

        Args:
            now: monotonic seconds.
            window: id of the request's window.
            waiting: waiting requests, this one included.
        """
        if self._newest is None or window > self._newest:
            self._newest = window
            self._gap = self._seconds / waiting
            self._next_at = now + self._gap * self._phase
            self._ends_at = now + self._seconds
        return max(0.0, self._next_at - now) if now < self._ends_at else 0.0

    def leave(self, now: float) -> None:
        """Count a request that leaves."""
        self._next_at = max(self._next_at + self._gap, now)

    def stop(self) -> None:
        """End spreading for good."""
        self._seconds = self._gap = self._ends_at = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderSettings:
    """The settings of a sender pool, from the section [cloud]."""

    concurrency: int = 8
    requests_per_minute: int = 900
    spread: float = 0.0
    """Seconds over which a fresh window is spread."""
    phase: float = 0.0
    """0..1; see `phase_of`."""
    minute: float = 60.0
    """Length of a minute in seconds; shorter with windows below 60 s, which only tests use."""
    max_age: float = 7 * 86_400.0
    """Seconds; older batches are dropped."""
    on_ambiguous: Literal["resend", "drop"] = "resend"

    @classmethod
    def of(cls, cloud: CloudConfig, *, window: int, phase: float) -> SenderSettings:
        """Read the section [cloud].

        Args:
            cloud: the section.
            window: seconds of a window.
            phase: see `phase_of`.
        """
        return cls(
            concurrency=cloud.concurrency,
            requests_per_minute=cloud.requests_per_minute,
            spread=cloud.spread_seconds(window),
            phase=phase,
            minute=min(60.0, float(window)),
            max_age=cloud.max_age,
            on_ambiguous=cloud.on_ambiguous,
        )


class Gate:
    """State: the rate, the breakers, the spread, and the number of requests in flight."""

    def __init__(self, settings: SenderSettings) -> None:
        self._minute = settings.minute
        self._person = ProbeTimer()
        self.credentials_refused = False
        self.rate = AdaptiveRate(per_minute=settings.requests_per_minute)
        self.breaker = Breaker(minute=settings.minute)
        self.systemic = RefusalBreaker(minute=settings.minute)
        self.spread = Stagger(seconds=settings.spread, phase=settings.phase)
        self.in_flight = 0
        """Requests awaiting an answer."""

    def __repr__(self) -> str:
        """Report the rate and the breakers."""
        return f"<Gate {self.rate!r} {self.breaker!r} {self.systemic!r}>"

    @property
    def trying(self) -> bool:
        """Whether only single probes leave; each should be the newest batch."""
        return self.breaker.is_open or self.systemic.stopped or self._person.active

    def wait_for_batch(self, now: float, *, window: int, waiting: int) -> float:
        """Return seconds until a batch may leave; 0 means now, and then the caller calls `leave`.

        Args:
            now: monotonic seconds.
            window: id of the batch's window.
            waiting: waiting batches, this one included.
        """
        spread = self.spread.wait(now, window=window, waiting=waiting)
        return max(self.wait(now), self.systemic.wait(now, self.in_flight), spread)

    def wait(self, now: float) -> float:
        """Return seconds until the next part of a split batch may be sent."""
        return max(self.rate.wait(now), self.breaker.wait(now, self.in_flight), self._person.wait(now, self.in_flight))

    def leave(self, now: float, dice: float, *, batch: bool) -> None:
        """Count a request that leaves; `batch`: the first request of a batch, not a further part of it."""
        self.in_flight += 1
        self.rate.leave(now)
        self.breaker.leave(now, dice)
        if self._person.active:
            self._person.begin(now + self._pause(dice))
        if batch:
            self.systemic.leave(now)
            self.spread.leave(now)

    def answered(self, now: float, verdict: Verdict, dice: float) -> float:
        """Apply a verdict, which may also be that there was no answer.

        Returns:
            Seconds for which all senders pause because of the verdict.
        """
        if isinstance(verdict, Unavailable):
            self.breaker.failed(now, dice)
            return 0.0
        self.breaker.succeeded()
        if isinstance(verdict, Throttled):
            return self.rate.throttled(now, retry_after=verdict.retry_after, dice=dice)
        self.rate.accepted(now)
        match verdict:
            case Misconfigured():
                pause = self._pause(dice)
                self._person.begin(now + pause)
                self.credentials_refused = verdict.credentials
                return pause
            case Delivered() | Refused():
                self._person.end()
                self.credentials_refused = False
        return 0.0

    def retry_now(self, now: float) -> None:
        """Let one probe leave at once: credentials or settings have changed."""
        if self._person.active:
            self._person.begin(now)

    def _pause(self, dice: float) -> float:
        return wait_for_person(dice) * self._minute / 60
