"""When the cloud is down, or does not take what it gets: nobody sends, but for one request now and then. Pure.

`ProbeTimer` is that state; the circuit breaker, the stops after refusals and refused credentials each have their own.
The breaker opens when the cloud does not answer, or answers that it cannot (`Unavailable`). While it is open at most
two requests a minute try, each of them live: the newest batch, no synthetic point. After a success requests are let
through one at a time, then two, four, ... so that a cloud that just got up is not run over.
"""

from __future__ import annotations

from collections import deque
from typing import Final

# --- systemic --------------------------------------------------------------------------------------------------------

# When it is not a point that is wrong but the whole: the cloud refuses batch after batch. Pure.
#
# A batch is *fruitless* if nothing of it was accepted: every point was listed as bad, or it was refused as a whole and
# so was every part of it that was tried. One such batch may be bad. Three in a row, or more than half of all batches
# for a minute, are a setting, a format or a region, so the pool stops: it keeps everything, says so in the cloud's
# words, and tries one batch a minute until something of one is accepted.
#
# Until then no fruitless batch may be convicted: the pool keeps each one as a suspect until another batch is accepted.
# Then it is bad indeed, and dies; but if that ends a stop, the suspects are sent again first, and only those that are
# fruitless once more die. During a stop each try is another batch, so that bad ones cannot keep it up.

STOP_AFTER: Final = 3
"""Fruitless batches in a row."""
STOP_SHARE: Final = 0.5
"""Of the batches of the last minute, for a minute."""
_TYPE_WORDS: Final = ("type", "aggregat")


class RefusalBreaker:
    """State: outcomes of the last minute, and a hold."""

    def __init__(self, *, minute: float = 60.0) -> None:
        """Make it not stopped; `minute` is what counts as one, in seconds."""
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
        """Return seconds until a batch may leave; 0 says now."""
        return self._hold.wait(now, in_flight)

    def leave(self, now: float) -> None:
        """Count a batch that leaves; during a stop the next one follows a minute later."""
        if self.stopped:
            self._hold.begin(now + self._minute)

    def fruitless(self, now: float) -> bool:
        """Count a batch of which nothing was accepted; return whether a stop begins with it."""
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
    """Return what a person could do about the cloud's words; "" if nothing is known.

    The newest user guide of the service says that only type 1 is accepted today.
    """
    return 'try [cloud] output = "raw"' if any(word in detail.lower() for word in _TYPE_WORDS) else ""


OPEN_AFTER: Final = 5
"""Failures in a row."""
OUTCOMES: Final = 20
OPEN_SHARE: Final = 0.5
"""Of the last 20."""
BUSY: Final = 0.02
"""Seconds until somebody looks again who waits for an answer to come in."""
_FIRST_TRY: Final = 1 / 6
"""Of a minute: within it comes the first try; further ones come after half a minute to a whole one."""


class ProbeTimer:
    """State: whether sending is held, and when the next single request may try."""

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
        """Hold from now on, or go on holding; the next request may try at that moment."""
        self._try_at = try_at

    def end(self) -> None:
        """Let everybody send."""
        self._try_at = None

    def wait(self, now: float, in_flight: int) -> float:
        """Return seconds until a request may leave; while held, one at a time."""
        if self._try_at is None:
            return 0.0
        return max(self._try_at - now, BUSY if in_flight else 0.0)


class Breaker:
    """State: the last outcomes, a hold, and how many requests may be on their way after it."""

    def __init__(self, *, minute: float = 60.0) -> None:
        """Make it closed; `minute` is what counts as one, in seconds: less in tests with short windows."""
        self._minute = minute
        self._failed: deque[bool] = deque(maxlen=OUTCOMES)
        self._in_row = 0
        self._hold = ProbeTimer()
        self._limit = 0
        """Requests on their way at a time while sending starts again; 0: any number."""

    def __repr__(self) -> str:
        """Report the state."""
        return f"<Breaker {'open' if self.is_open else 'closed'}, {self._in_row} failures in a row>"

    @property
    def is_open(self) -> bool:
        """Whether the cloud counts as down."""
        return self._hold.active

    def wait(self, now: float, in_flight: int) -> float:
        """Return seconds until a request may leave; 0 says now.

        Args:
            now: monotonic seconds.
            in_flight: requests that wait for an answer.
        """
        if self._limit and in_flight >= self._limit:
            return BUSY
        return self._hold.wait(now, in_flight)

    def leave(self, now: float, dice: float) -> None:
        """Count a request that leaves; the next try, should this one fail, comes half a minute later at the least."""
        if self.is_open:
            self._hold.begin(now + self._minute * (0.5 + dice / 2))

    def failed(self, now: float, dice: float) -> None:
        """Count a request that was not answered, or with a 5xx."""
        self._failed.append(True)
        self._in_row += 1
        often = len(self._failed) == OUTCOMES and sum(self._failed) >= OUTCOMES * OPEN_SHARE
        if not self.is_open and (self._in_row >= OPEN_AFTER or often):
            self._hold.begin(now + self._minute * _FIRST_TRY * dice)
            self._limit = 0

    def succeeded(self) -> None:
        """Count an answer of a cloud that is up, whatever it says."""
        self._failed.append(False)
        self._in_row = 0
        if self.is_open:
            self._hold.end()
            self._failed.clear()
            self._limit = 1
        elif self._limit:
            self._limit = self._limit * 2 if self._limit < OUTCOMES else 0
