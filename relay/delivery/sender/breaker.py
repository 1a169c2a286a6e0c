"""Circuit breakers: while the cloud is down or refuses every batch, only single probes are sent. Pure.

`ProbeTimer` admits one probe at a time. `Breaker` and `RefusalBreaker` each have one, and so has the gate for refused
credentials.

`Breaker` opens when requests get no answer or a 5xx (`Unavailable`). While it is open, at most two requests a minute
probe the cloud. A probe is a live request with the newest batch, not a synthetic point. After a success the number of
concurrent requests is limited to 1, then 2, 4, ..., so that a recovering cloud is not overloaded.

`RefusalBreaker` opens when batch after batch is wholly refused. Then the cause is not a point but a setting, a format
or a region. A batch is wholly refused if the cloud listed every point of it as bad, or refused the whole batch and
every part that was tried. The breaker opens after three such batches in a row, or if they are more than half of all
batches for a minute. While it is open, every batch is kept, the cloud's text is logged, and one batch a minute is
tried. It closes when a point of a batch is accepted.

A wholly refused batch is quarantined (quarantine.py) until another batch is accepted. If that closes the breaker, the
quarantined batches are sent again, and only those that are wholly refused again count as refused. While the breaker is
open, each probe is another batch, so bad batches cannot keep it open.
"""

from __future__ import annotations

from collections import deque
from typing import Final

# --- refusals: the cloud refuses batch after batch -------------------------------------------------------------------

STOP_AFTER: Final = 3
"""Wholly refused batches in a row."""
STOP_SHARE: Final = 0.5
"""Share of wholly refused batches in the last minute; above it for a whole minute, the breaker opens."""
_TYPE_WORDS: Final = ("type", "aggregat")


class RefusalBreaker:
    """State: the outcomes of the last minute, and the timer of the probes."""

    def __init__(self, *, minute: float = 60.0) -> None:
        """Start closed; `minute` is the length of a minute in seconds, shorter in tests."""
        self._minute = minute
        self._outcomes: deque[tuple[float, bool]] = deque(maxlen=10_000)
        """(time, whether the batch was wholly refused)."""
        self._in_row = 0
        self._mostly_refused_since: float | None = None
        self._probe_timer = ProbeTimer()

    @property
    def is_open(self) -> bool:
        """Whether only probes are sent."""
        return self._probe_timer.active

    def wait(self, now: float, in_flight: int) -> float:
        """Return seconds until a batch may be sent; 0 means now."""
        return self._probe_timer.wait(now, in_flight)

    def acquire(self, now: float) -> None:
        """Count a batch that is sent; while open, the next one follows a minute later."""
        if self.is_open:
            self._probe_timer.begin(now + self._minute)

    def all_refused(self, now: float) -> bool:
        """Count a wholly refused batch; return whether the breaker opens with it."""
        self._in_row += 1
        self._count(now, all_refused=True)
        mostly = self._mostly_refused_since is not None and now - self._mostly_refused_since >= self._minute
        if self.is_open or not (self._in_row >= STOP_AFTER or mostly):
            return False
        self._probe_timer.begin(now + self._minute)
        return True

    def accepted(self, now: float) -> bool:
        """Count a batch with accepted points; return whether the breaker closes with it."""
        self._in_row = 0
        self._count(now, all_refused=False)
        was_open = self.is_open
        if was_open:
            self._outcomes.clear()
            self._mostly_refused_since = None
            self._probe_timer.end()
        return was_open

    def _count(self, now: float, *, all_refused: bool) -> None:
        self._outcomes.append((now, all_refused))
        while self._outcomes[0][0] < now - self._minute:
            self._outcomes.popleft()
        bad = sum(all_refused for _, all_refused in self._outcomes)
        if bad <= len(self._outcomes) * STOP_SHARE:
            self._mostly_refused_since = None
        elif self._mostly_refused_since is None:
            self._mostly_refused_since = now


def fix_for(detail: str) -> str:
    """Return a fix to suggest for the cloud's text; "" if none is known.

    The newest user guide of the service says that only type 1 is accepted today.
    """
    return 'try [cloud] output = "raw"' if any(word in detail.lower() for word in _TYPE_WORDS) else ""


# --- outage: the cloud gives no answer, or a 5xx ---------------------------------------------------------------------

OPEN_AFTER: Final = 5
"""Failures in a row."""
OUTCOMES: Final = 20
OPEN_SHARE: Final = 0.5
"""Share of failures among the last `OUTCOMES` requests that opens the breaker."""
POLL: Final = 0.02
"""Polling interval while a request is in flight, in seconds."""
_FIRST_PROBE: Final = 1 / 6
"""The first probe comes within this share of a minute; each further one half a minute to a minute after the last."""


class ProbeTimer:
    """State: when the next probe may be sent; None while all requests may."""

    def __init__(self) -> None:
        self._probe_at: float | None = None

    @property
    def active(self) -> bool:
        """Whether only probes may be sent."""
        return self._probe_at is not None

    def begin(self, probe_at: float) -> None:
        """Admit only probes from now on; the next one may be sent at `probe_at`."""
        self._probe_at = probe_at

    def end(self) -> None:
        """Admit all requests again."""
        self._probe_at = None

    def wait(self, now: float, in_flight: int) -> float:
        """Return seconds until a request may be sent; probes are sent one at a time."""
        if self._probe_at is None:
            return 0.0
        return max(self._probe_at - now, POLL if in_flight else 0.0)


class Breaker:
    """State: the last outcomes, the timer of the probes, and the limit of concurrent requests after an outage."""

    def __init__(self, *, minute: float = 60.0) -> None:
        """Start closed; `minute` is the length of a minute in seconds, shorter in tests with short windows."""
        self._minute = minute
        self._failed: deque[bool] = deque(maxlen=OUTCOMES)
        self._in_row = 0
        self._probe_timer = ProbeTimer()
        self._limit = 0
        """Limit of concurrent requests after an outage; 0: no limit."""

    @property
    def is_open(self) -> bool:
        """Whether the cloud counts as down."""
        return self._probe_timer.active

    def wait(self, now: float, in_flight: int) -> float:
        """Return seconds until a request may be sent; 0 means now.

        Args:
            now: monotonic seconds.
            in_flight: requests awaiting an answer.
        """
        if self._limit and in_flight >= self._limit:
            return POLL
        return self._probe_timer.wait(now, in_flight)

    def acquire(self, now: float, jitter: float) -> None:
        """Count a request that is sent; while open, the next probe follows half a minute to a minute later."""
        if self.is_open:
            self._probe_timer.begin(now + self._minute * (0.5 + jitter / 2))

    def failed(self, now: float, jitter: float) -> None:
        """Count a request without an answer, or with a 5xx."""
        self._failed.append(True)
        self._in_row += 1
        often = len(self._failed) == OUTCOMES and sum(self._failed) >= OUTCOMES * OPEN_SHARE
        if not self.is_open and (self._in_row >= OPEN_AFTER or often):
            self._probe_timer.begin(now + self._minute * _FIRST_PROBE * jitter)
            self._limit = 0

    def succeeded(self) -> None:
        """Count any answer but `Unavailable`, a refusal too: the cloud is up."""
        self._failed.append(False)
        self._in_row = 0
        if self.is_open:
            self._probe_timer.end()
            self._failed.clear()
            self._limit = 1
        elif self._limit:
            self._limit = self._limit * 2 if self._limit < OUTCOMES else 0
