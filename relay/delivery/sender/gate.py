"""Whether a request may leave now: every reason to wait, asked in one place. Pure; time and dice are arguments.

The rate (429), the breaker (the cloud is down), the systemic stop (it refuses everything), a status that needs a person
(refused credentials, a wrong endpoint), and the spread of a fresh window each know how long; the longest counts.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from relay.delivery.sender.breaker import Breaker, ProbeTimer, RefusalBreaker
from relay.delivery.sender.rate import AdaptiveRate, wait_for_person
from relay.model import Delivered, Misconfigured, Refused, Throttled, Unavailable, Verdict

if TYPE_CHECKING:
    from relay.config.schema import Cloud


# --- spread ----------------------------------------------------------------------------------------------------------

# When the requests of a fresh window leave: not all at its end, when every relay of a fleet closes its own. Pure.
#
# What waits when a newer window appears is spread evenly over `seconds`. The first request leaves after a share of one
# gap that depends on the host and is the same after a restart, so that a fleet, together, sends evenly: with one
# request each, over all of `seconds`. A start counts as such a moment, so a fleet that restarts with a backlog begins
# evenly too. Afterwards the rate alone paces what is left, without a period and so without an echo.


def phase_of(host: str) -> float:
    """Return the phase of a host, 0..1: the same for ever."""
    return zlib.crc32(host.encode()) / 2**32


class Stagger:
    """State: the newest window seen, when the next request may leave, and how far apart they are."""

    def __init__(self, *, seconds: float, phase: float) -> None:
        """Make it for a host.

        Args:
            seconds: over which a window is spread; 0 for not at all.
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
        """Return seconds until a request may leave; 0 says now.

        Args:
            now: monotonic seconds.
            window: id of the window it belongs to.
            waiting: requests that wait, this one among them.
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
        """Spread nothing any more."""
        self._seconds = self._gap = self._ends_at = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderSettings:
    """How to send, as configured."""

    concurrency: int = 8
    requests_per_minute: int = 900
    spread: float = 0.0
    """Seconds over which a fresh window is spread."""
    phase: float = 0.0
    """0..1; see spread.phase_of."""
    minute: float = 60.0
    """What counts as a minute, in seconds: less with windows that are shorter, which only tests have."""
    max_age: float = 7 * 86_400.0
    """Seconds; older batches are not sent."""
    on_ambiguous: Literal["resend", "drop"] = "resend"

    @classmethod
    def of(cls, cloud: Cloud, *, window: int, phase: float) -> SenderSettings:
        """Read the section [cloud].

        Args:
            cloud: the section.
            window: seconds of a window.
            phase: of this host.
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
    """State: the deciders, and how many requests are on their way."""

    def __init__(self, settings: SenderSettings) -> None:
        self._minute = settings.minute
        self._person = ProbeTimer()
        self.credentials_refused = False
        self.rate = AdaptiveRate(per_minute=settings.requests_per_minute)
        self.breaker = Breaker(minute=settings.minute)
        self.systemic = RefusalBreaker(minute=settings.minute)
        self.spread = Stagger(seconds=settings.spread, phase=settings.phase)
        self.in_flight = 0
        """Requests that wait for an answer."""

    def __repr__(self) -> str:
        """Report what holds."""
        return f"<Gate {self.rate!r} {self.breaker!r} {self.systemic!r}>"

    @property
    def trying(self) -> bool:
        """Whether only single requests go, to see if the cloud is back: the newest batch should."""
        return self.breaker.is_open or self.systemic.stopped or self._person.active

    def wait_for_batch(self, now: float, *, window: int, waiting: int) -> float:
        """Return seconds until a batch may leave; 0 says now, and `leave` takes the turn.

        Args:
            now: monotonic seconds.
            window: id of its window.
            waiting: batches that wait, this one among them.
        """
        spread = self.spread.wait(now, window=window, waiting=waiting)
        return max(self.wait(now), self.systemic.wait(now, self.in_flight), spread)

    def wait(self, now: float) -> float:
        """Return seconds until a part of a batch may leave whose other parts left already."""
        return max(self.rate.wait(now), self.breaker.wait(now, self.in_flight), self._person.wait(now, self.in_flight))

    def leave(self, now: float, dice: float, *, batch: bool) -> None:
        """Count a request that leaves; `batch` says that it is a whole one and not a part."""
        self.in_flight += 1
        self.rate.leave(now)
        self.breaker.leave(now, dice)
        if self._person.active:
            self._person.begin(now + self._pause(dice))
        if batch:
            self.systemic.leave(now)
            self.spread.leave(now)

    def answered(self, now: float, verdict: Verdict, dice: float) -> float:
        """Learn from an answer, or from its absence.

        Returns:
            Seconds that everybody waits because of it.
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
        """Let one request try at once: a person has changed something."""
        if self._person.active:
            self._person.begin(now)

    def _pause(self, dice: float) -> float:
        return wait_for_person(dice) * self._minute / 60
