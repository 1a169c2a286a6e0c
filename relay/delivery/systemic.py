"""When it is not a point that is wrong but the whole: the cloud refuses batch after batch. Pure.

A batch is *fruitless* if nothing of it was accepted: every point was listed as bad, or it was refused as a whole and so
was every part of it that was tried. One such batch may be bad. Three in a row, or more than half of all batches for a
minute, are a setting, a format or a region, so the pool stops: it keeps everything, says so in the cloud's words, and
tries one batch a minute until something of one is accepted.

Until then no fruitless batch may be convicted: the pool keeps each one as a suspect until another batch is accepted.
Then it is bad indeed, and dies; but if that ends a stop, the suspects are sent again first, and only those that are
fruitless once more die. During a stop each try is another batch, so that bad ones cannot keep it up.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from relay.delivery.breaker import Hold

STOP_AFTER: Final = 3
"""Fruitless batches in a row."""
STOP_SHARE: Final = 0.5
"""Of the batches of the last minute, for a minute."""
_TYPE_WORDS: Final = ("type", "aggregat")


class Systemic:
    """State: outcomes of the last minute, and a hold."""

    def __init__(self, *, minute: float = 60.0) -> None:
        """Make it not stopped; `minute` is what counts as one, in seconds."""
        self._minute = minute
        self._outcomes: deque[tuple[float, bool]] = deque(maxlen=10_000)
        """(moment, whether it was fruitless)."""
        self._in_row = 0
        self._mostly_since: float | None = None
        self._hold = Hold()

    def __repr__(self) -> str:
        """Report the state."""
        return f"<Systemic {'stopped' if self.stopped else 'sending'}, {self._in_row} fruitless in a row>"

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
