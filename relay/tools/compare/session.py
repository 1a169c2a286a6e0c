"""The phases of one comparison: what it waits for, and when it ends. Pure: time is an argument.

The span begins with the first window that opens after a flush was received and its names were understood. The
comparison ends when the relay has sent the last window of the span, and the old daemon every flush that may hold
samples of that window.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from relay.tools.compare.flushes import SILENCE
from relay.tools.compare.time_range import TimeRange
from relay.tools.compare.totals import Metric, fold_window

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from relay.tools.compare.flushes import Flushes

_CLOSE: Final = 15.0
"""Seconds after the end of a window in which the relay must send it."""
_FLUSHES: Final = 2.0
"""Longest wait for flushes after the end of the span: this many flush intervals, and _GRACE seconds."""
_GRACE: Final = 5.0
_INTERVAL: Final = 10.0
"""Seconds between flushes, assumed after a single flush: statsd's default."""


class Phase(Enum):
    """A phase of the comparison."""

    NO_FLUSH = "the old daemon has not sent anything"
    UNREADABLE = "the naming scheme of the old daemon is not detected"
    BEFORE = "the span has not begun"
    WITHIN = "the span goes on"
    AFTER = "the last flush and the last window are waited for"
    DONE = "both sides are complete, or nothing more comes"
    FAILED = "there is nothing to compare"


class Session:
    """State: the phase, the span, and the relay's totals; the flushes have the old daemon's totals.

    Args:
        seconds: length of a window.
        open_id: id of the window that is open at the beginning.
        duration: seconds to compare, rounded up to whole windows.
        flushes: the old daemon's flushes.
    """

    def __init__(self, *, seconds: int, open_id: int, duration: float, flushes: Flushes) -> None:
        self.seconds = seconds
        """Length of a window."""
        self.windows = max(1, math.ceil(duration / seconds))
        """Number of windows to compare."""
        self._flushes = flushes
        self._patience = open_id + (1 + self.windows) * seconds
        """Unix time at which the session fails without a flush: the end of a span that had begun at once."""
        self.phase = Phase.NO_FLUSH
        self.span: TimeRange | None = None
        self.metrics: dict[str, Metric] = {}
        self.closed = 0
        """Windows of the span received from the relay."""

    def add_window(self, start: int, points: Iterable[Mapping[str, Any]]) -> None:
        """Add a window that the relay has closed, if it belongs to the span."""
        if self.span and self.span.start <= start < self.span.end:
            self.closed += 1
            fold_window(self.metrics, points)

    def update(self, now: float) -> Phase:
        """Update the phase for wall time `now`, and return it."""
        if self.span is None:
            self._begin(now)
        if self.span is not None:
            self.phase = self._phase(self.span, now)
        return self.phase

    def _begin(self, now: float) -> None:
        """Set the span once the namespaces are known; fail when the wait is over."""
        if self._flushes.detect_namespaces(now):
            start = (int(now) // self.seconds + 1) * self.seconds
            self.span = self._flushes.span = TimeRange(start, start + self.windows * self.seconds)
        elif now >= self._patience:
            self.phase = Phase.FAILED
        elif self._flushes.touched and now - self._flushes.touched > SILENCE:
            self.phase = Phase.UNREADABLE

    def _phase(self, span: TimeRange, now: float) -> Phase:
        if now < span.start:
            return Phase.BEFORE
        if now < span.end:
            return Phase.WITHIN
        interval = self._flushes.clock.interval or _INTERVAL
        has_flushes = self._flushes.is_past(span.end, now) or now > span.end + _FLUSHES * interval + _GRACE
        if has_flushes and self.closed == self.windows:
            self._flushes.finish()
            return Phase.DONE
        gives_up = now > span.end + _CLOSE and self.closed < self.windows
        return Phase.FAILED if gives_up else Phase.AFTER

    def sentence(self, now: float) -> str:
        """Return the progress as a sentence for the user."""
        flushes, span = self._flushes, self.span
        if span is None:
            left = max(0, math.ceil(self._patience - now))
            return f"{self.phase.value} yet ({left} s left)"
        if now < span.start:
            return f"the next window begins in {math.ceil(span.start - now)} s"
        if now < span.end:
            through = f"{int(now - span.start)} of {span.end - span.start} s"
            return f"comparing: {through}, windows {self.closed} of {self.windows}, flushes {flushes.counted}"
        if self.closed < self.windows:
            return f"waiting for the relay to close window {self.closed + 1} of {self.windows}"
        return "waiting for the flushes that hold the end of the last window"
