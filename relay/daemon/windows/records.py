"""Records each stored window: in the history, with what was received and lost since the one before; and logs losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.hotpath.explain import explain
from relay.ledger import WindowRecord
from relay.loss_log import CounterDeltas, log_late_window, log_quota, log_window_losses

if TYPE_CHECKING:
    from relay.daemon.app import Relay
    from relay.daemon.windows.reports import WindowReports
    from relay.window.protocols import WindowReport

_LATE: Final = 2.0
"""Seconds after its end by which a window is stored. A later window is reported, see _LATE_SHARE."""
_LATE_SHARE: Final = 0.1
"""Share of a window's length that storing it may take: 100,000 series take some seconds of a minute."""


class WindowRecorder:
    """State: the counters as of the last stored window, for its record and for the log."""

    def __init__(self, relay: Relay, reports: WindowReports) -> None:
        self._relay = relay
        self._reports = reports
        self._recorded, self._logged = CounterDeltas(), CounterDeltas()

    def record(self, closed: WindowReport) -> None:
        """Record a window that is stored now; call it once for each."""
        relay = self._relay
        ledger, loss_log = relay.context.ledger, relay.context.loss_log
        record = self._make_record(closed)
        ledger.windows.add(record)
        relay.cardinality.record(closed)
        self._reports.add(record)
        if closed.late > max(_LATE, _LATE_SHARE * record.seconds):
            ledger.windows_late += 1
            log_late_window(loss_log, closed.start, seconds=closed.late, closing=relay.closer.closing - 1)
        if closed.over_quota:
            needed, allowed = closed.over_quota
            log_quota(loss_log, needed=needed, allowed=allowed)
        tally, rejects = relay.hotpath.tally(), relay.hotpath.rejects()
        log_window_losses(self._logged, loss_log, tally=tally, ledger=ledger, rejects=rejects, explain=explain)

    def _make_record(self, closed: WindowReport) -> WindowRecord:
        relay, since_last = self._relay, self._recorded.since_last
        books = relay.status.books()
        return WindowRecord(
            start=closed.start,
            seconds=relay.config.window.seconds,
            stored_at=relay.context.clock.wall(),
            late=closed.late,
            lines=since_last("received", books.received),
            rejected=self._recorded.grown("rejected", books.rejected),
            kernel_drops=since_last("kernel", sum(listener.kernel_drops for listener in relay.listeners)),
            samples=closed.samples,
            samples_dropped=self._recorded.grown("dropped", books.samples_dropped),
            series=closed.series,
            new_series=closed.new_series,
            points=closed.points,
            requests=closed.requests,
        )
