"""When the next request may be sent: the longest of five waits. Pure; time and jitter are arguments.

    rate              429 answers, and `requests_per_minute`
    breaker           the cloud is down
    refusal breaker   the cloud refuses every batch
    misconfigured     refused credentials or a wrong endpoint: only a person can fix it
    stagger           requests of a fresh window are spread

Not known here: what is sent, and what an answer looks like. The gate gets verdicts.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from relay.delivery.sender.breaker import Breaker, ProbeTimer, RefusalBreaker
from relay.delivery.sender.rate import AdaptiveRate, misconfigured_backoff
from relay.model import Delivered, Misconfigured, Refused, Throttled, Unavailable, Verdict

if TYPE_CHECKING:
    from relay.config.schema import CloudConfig


# --- stagger the requests of a fresh window --------------------------------------------------------------------------

# All relays of a fleet close their windows at the same moment, so all would send at once.
#
# When a newer window appears, all waiting requests are spread evenly over `seconds`. The first request is sent after a
# share of one gap. That share depends on the host name and is stable over restarts, so the fleet as a whole sends
# evenly. The first window after a start is spread, too, for a fleet that restarts with a backlog. After `seconds` only
# the rate paces the rest, so that no periodic pattern remains.


def host_offset(host: str) -> float:
    """Return the share of a gap after which a host sends its first request, 0..1; it never changes."""
    return zlib.crc32(host.encode()) / 2**32


class Stagger:
    """State: the newest window seen, when the next request may be sent, and the gap between requests."""

    def __init__(self, *, seconds: float, offset: float) -> None:
        """Set the spread of one host.

        Args:
            seconds: over which a window is spread; 0: no spread.
            offset: 0..1, see `host_offset`.
        """
        self._seconds = seconds
        self._offset = offset
        self._newest: int | None = None
        self._gap = 0.0
        self._next_at = 0.0
        self._ends_at = 0.0

    def wait(self, now: float, *, window: int, waiting: int) -> float:
        """Return seconds until a request may be sent; 0 means now.

        Args:
            now: monotonic seconds.
            window: id of the request's window.
            waiting: waiting requests, this one included.
        """
        if self._newest is None or window > self._newest:
            self._newest = window
            self._gap = self._seconds / waiting
            self._next_at = now + self._gap * self._offset
            self._ends_at = now + self._seconds
        return max(0.0, self._next_at - now) if now < self._ends_at else 0.0

    def acquire(self, now: float) -> None:
        """Count a request that is sent."""
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
    offset: float = 0.0
    """0..1; see `host_offset`."""
    minute: float = 60.0
    """Length of a minute in seconds; shorter with windows below 60 s, which only tests use."""
    max_age: float = 7 * 86_400.0
    """Seconds; older batches are dropped."""
    on_ambiguous: Literal["resend", "drop"] = "resend"

    @classmethod
    def of(cls, cloud: CloudConfig, *, window: int, offset: float) -> SenderSettings:
        """Read the section [cloud].

        Args:
            cloud: the section.
            window: seconds of a window.
            offset: see `host_offset`.
        """
        return cls(
            concurrency=cloud.concurrency,
            requests_per_minute=cloud.requests_per_minute,
            spread=cloud.spread_seconds(window),
            offset=offset,
            minute=min(60.0, float(window)),
            max_age=cloud.max_age,
            on_ambiguous=cloud.on_ambiguous,
        )


DeliveryState: TypeAlias = Literal["sending", "throttled", "down", "refused", "stopped"]
"""sending: all requests may be sent. throttled: the last answer was 429. down: requests get no answer, or a 5xx.
refused: only a person can help (401, 403, 404). stopped: batch after batch is wholly refused."""
DELIVERY_STATES: Final[tuple[DeliveryState, ...]] = get_args(DeliveryState)


class Gate:
    """State: the rate, the breakers, the stagger, and the number of requests in flight."""

    def __init__(self, settings: SenderSettings) -> None:
        self._minute = settings.minute
        self._misconfigured = ProbeTimer()
        self.credentials_refused = False
        self.rate = AdaptiveRate(per_minute=settings.requests_per_minute)
        self.breaker = Breaker(minute=settings.minute)
        self.refusal_breaker = RefusalBreaker(minute=settings.minute)
        self.stagger = Stagger(seconds=settings.spread, offset=settings.offset)
        self.in_flight = 0
        """Requests awaiting an answer."""

    @property
    def is_probing(self) -> bool:
        """Whether only single probes are sent; each should be the newest batch."""
        return self.breaker.is_open or self.refusal_breaker.is_open or self._misconfigured.active

    @property
    def state(self) -> DeliveryState:
        """The reason why requests wait; "sending" if they do not."""
        states: tuple[tuple[bool, DeliveryState], ...] = (
            (self.breaker.is_open, "down"),
            (self._misconfigured.active, "refused"),
            (self.refusal_breaker.is_open, "stopped"),
            (self.rate.is_throttled, "throttled"),
        )
        return next((state for holds, state in states if holds), "sending")

    def wait_for_batch(self, now: float, *, window: int, waiting: int) -> float:
        """Return seconds until a batch may be sent; 0 means now, and then the caller calls `acquire`.

        Args:
            now: monotonic seconds.
            window: id of the batch's window.
            waiting: waiting batches, this one included.
        """
        stagger = self.stagger.wait(now, window=window, waiting=waiting)
        return max(self.wait(now), self.refusal_breaker.wait(now, self.in_flight), stagger)

    def wait(self, now: float) -> float:
        """Return seconds until the next part of a split batch may be sent."""
        return max(
            self.rate.wait(now), self.breaker.wait(now, self.in_flight), self._misconfigured.wait(now, self.in_flight)
        )

    def acquire(self, now: float, jitter: float, *, batch: bool) -> None:
        """Count a request that is sent; `batch`: the first request of a batch, not a further part of it."""
        self.in_flight += 1
        self.rate.acquire(now)
        self.breaker.acquire(now, jitter)
        if self._misconfigured.active:
            self._misconfigured.begin(now + self._pause(jitter))
        if batch:
            self.refusal_breaker.acquire(now)
            self.stagger.acquire(now)

    def answered(self, now: float, verdict: Verdict, jitter: float) -> float:
        """Apply a verdict, which may also be that there was no answer.

        Returns:
            Seconds for which all senders pause because of the verdict.
        """
        if isinstance(verdict, Unavailable):
            self.breaker.failed(now, jitter)
            return 0.0
        self.breaker.succeeded()
        if isinstance(verdict, Throttled):
            return self.rate.throttled(now, retry_after=verdict.retry_after, jitter=jitter)
        self.rate.accepted(now)
        match verdict:
            case Misconfigured():
                pause = self._pause(jitter)
                self._misconfigured.begin(now + pause)
                self.credentials_refused = verdict.credentials
                return pause
            case Delivered() | Refused():
                self._misconfigured.end()
                self.credentials_refused = False
        return 0.0

    def retry_now(self, now: float) -> None:
        """Permit one probe at once: credentials or settings have changed."""
        if self._misconfigured.active:
            self._misconfigured.begin(now)

    def _pause(self, jitter: float) -> float:
        return misconfigured_backoff(jitter) * self._minute / 60
