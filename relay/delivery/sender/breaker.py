"""Circuit breakers: sending is held while the cloud is down or refuses every batch, but for single probes. Pure.

`ProbeTimer` holds sending and admits one probe at a time. `Breaker`, `RefusalBreaker` and the gate's hold after refused
credentials each have their own.

`Breaker` opens when requests are not answered, or with a 5xx (`Unavailable`). While it is open, at most two requests a
minute probe the cloud. A probe is a live request: the newest batch, no synthetic point. After a success the number of
concurrent requests is limited to 1, then 2, 4, ..., so that a recovering cloud is not overloaded.

`RefusalBreaker` stops sending when nothing of batch after batch is accepted (a systemic stop). Then the cause is not a
point but a setting, a format or a region. A batch is fruitless if the cloud listed every point of it as bad, or refused
it as a whole and every part that was tried. Three fruitless batches in a row, or more than half of all batches for a
minute, begin the stop. Everything is kept, the cloud's text is logged, and one batch a minute is tried until something
of a batch is accepted.

Until then no fruitless batch is convicted: it is quarantined (quarantine.py) until another batch is accepted. If that
ends a stop, the quarantined batches are sent again, and only those that are fruitless again are convicted. During a
stop each probe is another batch, so bad batches cannot prolong it.
"""

from __future__ import annotations

from collections import deque
from typing import Final

# --- systemic stop: the cloud refuses batch after batch --------------------------------------------------------------

STOP_AFTER: Final = 3
"""Fruitless batches in a row."""
STOP_SHARE: Final = 0.5
"""Share of fruitless batches in the last minute; above it for a whole minute, a stop begins."""
_TYPE_WORDS: Final = ("type", "aggregat")


class RefusalBreaker:
    """State: the outcomes of the last minute, and the hold of a systemic stop."""

    def __init__(self, *, minute: float = 60.0) -> None:
        """Start without a stop; `minute` is the length of a minute in seconds, shorter in tests."""
        self._minute = minute
        self._outcomes: deque[tuple[float, bool]] = deque(maxlen=10_000)
        """(moment, whether it was fruitless)."""
        self._in_row = 0
        self._mostly_since: float | None = None
        self._hold = ProbeTimer()

    def __repr__(self) -> str:
        """Report the state."""
        return f"<RefusalBreaker {'stopped' if self.stopped else 'sending'}, {self._in_row} fruitless in a row>"

    @property
    def stopped(self) -> bool:
        """Whether sending is stopped."""
        return self._hold.active

    def wait(self, now: float, in_flight: int) -> float:
        """Return seconds until a batch may leave; 0 means now."""
        return self._hold.wait(now, in_flight)

    def leave(self, now: float) -> None:
        """Count a batch that leaves; during a stop the next one follows a minute later."""
        if self.stopped:
            self._hold.begin(now + self._minute)

    def fruitless(self, now: float) -> bool:
        """Count a fruitless batch; return whether a stop begins with it."""
        self._in_row += 1
        self._count(now, fruitless=True)
        mostly = self._mostly_since is not None and now - self._mostly_since >= self._minute
        if self.stopped or not (self._in_row >= STOP_AFTER or mostly):
            return False
        self._hold.begin(now + self._minute)
        return True

    def accepted(self, now: float) -> bool:
        """Count a batch of which something was accepted; return whether a stop ends with it."""
        self._in_row = 0
        self._count(now, fruitless=False)
        ended = self.stopped
        if ended:
            self._outcomes.clear()
            self._mostly_since = None
            self._hold.end()
        return ended

    def _count(self, now: float, *, fruitless: bool) -> None:
        self._outcomes.append((now, fruitless))
        while self._outcomes[0][0] < now - self._minute:
            self._outcomes.popleft()
        bad = sum(fruitless for _, fruitless in self._outcomes)
        if bad <= len(self._outcomes) * STOP_SHARE:
            self._mostly_since = None
        elif self._mostly_since is None:
            self._mostly_since = now


def fix_for(detail: str) -> str:
    """Return a fix to suggest for the cloud's text; "" if none is known.

    The newest user guide of the service says that only type 1 is accepted today.
    """
    return 'try [cloud] output = "raw"' if any(word in detail.lower() for word in _TYPE_WORDS) else ""


# --- outage: the cloud does not answer, or with a 5xx ----------------------------------------------------------------

OPEN_AFTER: Final = 5
"""Failures in a row."""
OUTCOMES: Final = 20
OPEN_SHARE: Final = 0.5
"""Share of failures among the last `OUTCOMES` requests that opens the breaker."""
BUSY: Final = 0.02
"""Polling interval while a request is in flight, in seconds."""
_FIRST_TRY: Final = 1 / 6
"""The first probe comes within this share of a minute; each further one half a minute to a minute after the last."""


class ProbeTimer:
    """State: whether sending is held, and when the next probe may leave."""

    def __init__(self) -> None:
        self._try_at: float | None = None

    def __repr__(self) -> str:
        """Report the state."""
        return f"<ProbeTimer, next try at {self._try_at}>" if self.active else "<ProbeTimer, not active>"

    @property
    def active(self) -> bool:
        """Whether sending is held."""
        return self._try_at is not None

    def begin(self, try_at: float) -> None:
        """Hold, or continue to hold; the next probe may leave at `try_at`."""
        self._try_at = try_at

    def end(self) -> None:
        """End the hold."""
        self._try_at = None

    def wait(self, now: float, in_flight: int) -> float:
        """Return seconds until a request may leave; during a hold one at a time."""
        if self._try_at is None:
            return 0.0
        return max(self._try_at - now, BUSY if in_flight else 0.0)


class Breaker:
    """State: the last outcomes, the hold, and the limit of concurrent requests after it."""

    def __init__(self, *, minute: float = 60.0) -> None:
        """Start closed; `minute` is the length of a minute in seconds, shorter in tests with short windows."""
        self._minute = minute
        self._failed: deque[bool] = deque(maxlen=OUTCOMES)
        self._in_row = 0
        self._hold = ProbeTimer()
        self._limit = 0
        """Limit of concurrent requests while sending resumes; 0: no limit."""

    def __repr__(self) -> str:
        """Report the state."""
        return f"<Breaker {'open' if self.is_open else 'closed'}, {self._in_row} failures in a row>"

    @property
    def is_open(self) -> bool:
        """Whether the cloud counts as down."""
        return self._hold.active

    def wait(self, now: float, in_flight: int) -> float:
        """Return seconds until a request may leave; 0 means now.

        Args:
            now: monotonic seconds.
            in_flight: requests awaiting an answer.
        """
        if self._limit and in_flight >= self._limit:
            return BUSY
        return self._hold.wait(now, in_flight)

    def leave(self, now: float, dice: float) -> None:
        """Count a request that leaves; while open, the next probe follows half a minute to a minute later."""
        if self.is_open:
            self._hold.begin(now + self._minute * (0.5 + dice / 2))

    def failed(self, now: float, dice: float) -> None:
        """Count a request without an answer, or with a 5xx."""
        self._failed.append(True)
        self._in_row += 1
        often = len(self._failed) == OUTCOMES and sum(self._failed) >= OUTCOMES * OPEN_SHARE
        if not self.is_open and (self._in_row >= OPEN_AFTER or often):
            self._hold.begin(now + self._minute * _FIRST_TRY * dice)
            self._limit = 0

    def succeeded(self) -> None:
        """Count any answer but `Unavailable`, a refusal too: the cloud is up."""
        self._failed.append(False)
        self._in_row = 0
        if self.is_open:
            self._hold.end()
            self._failed.clear()
            self._limit = 1
        elif self._limit:
            self._limit = self._limit * 2 if self._limit < OUTCOMES else 0
