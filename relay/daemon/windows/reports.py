"""When a window is reported: as soon as it is settled, at a deadline, or early while there is a problem.

A window is settled when none of its points waits. Its line comes at the latest 5 s after the time over which its
requests are spread, and within 2 s of its close while data does not flow. Windows are reported in their order, each
once, the rest at the stop.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from relay.loss_log import lost_samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.context import Context
    from relay.ledger import WindowRecord

_INTERVAL: Final = 0.25
_GRACE: Final = 5.0
"""Seconds after the last request of a window was due until its line is written, whatever became of its points."""
_EARLY: Final = 1.5
"""Seconds from the close until the line while there is a problem; `_INTERVAL` more is below the promised 2 s."""


class WindowReporter(Protocol):
    """Gets the windows."""

    def closed(self, window: WindowRecord, *, lost: int) -> None:
        """Report a window, and what was lost since the one before."""


class WindowReports:
    """State: the windows that are not reported yet, and the dropped points as of the last report.

    Args:
        spread: seconds over which the requests of a window are spread; it may change at a reload.
        has_problem: returns whether data does not flow.
    """

    def __init__(
        self,
        reporter: WindowReporter,
        context: Context,
        *,
        spread: Callable[[], float],
        has_problem: Callable[[], bool],
    ) -> None:
        self._reporter = reporter
        self._clock, self._ledger = context.clock, context.ledger
        self._spread = spread
        self._has_problem = has_problem
        self._waiting: deque[tuple[float, WindowRecord]] = deque()
        """Monotonic time of the close, and the window. The deadline bounds their number."""
        self._dropped = 0

    def add(self, window: WindowRecord) -> None:
        """Add a window that is stored now."""
        self._waiting.append((self._clock.monotonic(), window))

    async def run(self) -> None:
        """Report windows until cancelled."""
        while True:
            self.report_due()
            await self._clock.sleep(_INTERVAL)

    def report_due(self) -> None:
        """Report the windows that are settled, and those that are due."""
        while self._waiting and self._is_due(*self._waiting[0]):
            self._report(self._waiting.popleft()[1])

    def report_all(self) -> None:
        """Report all windows: the relay stops."""
        while self._waiting:
            self._report(self._waiting.popleft()[1])

    def _is_due(self, closed_at: float, window: WindowRecord) -> bool:
        if not window.waiting:
            return True
        limit = _EARLY if self._has_problem() else self._spread() + _GRACE
        return self._clock.monotonic() - closed_at >= limit

    def _report(self, window: WindowRecord) -> None:
        dropped = sum(self._ledger.points_dropped.values())
        points, self._dropped = dropped - self._dropped, dropped
        samples = lost_samples(window.samples_dropped)
        rejected = sum(window.rejected.values())
        self._reporter.closed(window, lost=window.kernel_drops + rejected + samples + points)
