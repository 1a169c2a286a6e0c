"""The relay's own figures in the cloud: points of each window, named `[telemetry] prefix` and the figure.

They follow the points of the window in its last request, are stored with them, and wait with them: an outage delays
them, and loses none. So a window has one value for each (I8), over retries and restarts too. No rule, prefix or
percentile applies to them. They count as created points; they are made of no samples.

A counter's value is what was counted since the last point of this process. What a process counts after its last window
is in no point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay import limits
from relay.daemon.build import make_encoder
from relay.daemon.egress import pack_requests
from relay.loss_log import CounterDeltas, lost_samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from relay.admin.answers.finding import Overall
    from relay.daemon.app import Relay
    from relay.daemon.health.watch import Health
    from relay.model import Batch, ClosedWindow, Point

COUNTERS: Final = {
    "lines": "Lines received.",
    "rejected_lines": "Lines rejected.",
    "lost_samples": "Samples dropped, without those that a rule or the console drops.",
    "kernel_drops": "Packets that the kernel dropped.",
    "points": "Points made, these included.",
    "delivered_points": "Points that the cloud accepted.",
    "lost_points": "Points that the cloud refused for good, or that the relay dropped.",
    "failed_requests": "Requests that failed and are sent again.",
}
"""Figure -> what it counts since the last point."""
GAUGES: Final = {
    "up": "Always 1. Alert on missing data.",
    "series": "Series of the window.",
    "series_percent": "Series in percent of [limits] series.",
    "waiting_points": "Points of earlier windows that wait.",
    "oldest_waiting_seconds": "Age of the oldest of these windows in seconds; 0 without one.",
    "quota_percent": "Requests of the window in percent of [cloud] requests_per_minute.",
    "spool_percent": "Bytes that wait in percent of [spool] max.",
    "level": "0: nothing is wrong, 1: a warning, 2: a problem. `statsd-relay status` names it.",
}
"""Figure -> what it says at the close."""
LEVELS: Final[Mapping[Overall, int]] = {"ok": 0, "note": 0, "warning": 1, "problem": 2}


class SelfMetrics:
    """State: the counters at the last point.

    Args:
        relay: its stages are read.
        publish: passes the points of users to subscribers.
    """

    def __init__(self, relay: Relay, *, publish: Callable[[Iterable[Point], int], Iterable[Point]]) -> None:
        self._relay = relay
        self._publish = publish
        self._deltas = CounterDeltas()
        self.health: Health | None = None
        """None until the relay is open: a window that a start recovers is judged as ok."""

    def pack(self, points: Iterable[Point], window: ClosedWindow) -> Iterator[Batch]:
        """Pack the points of a window, which subscribers get too, and then the relay's own unless they are off."""
        published = self._publish(points, window.start)
        to_cloud = self._relay.config.telemetry.to_cloud
        return pack_requests(self._follow(published, window) if to_cloud else published, window.start)

    def _follow(self, points: Iterable[Point], window: ClosedWindow) -> Iterator[Point]:
        count = 0
        for point in points:
            count += 1
            yield point
        yield from self._own(window, points=count)

    def _own(self, window: ClosedWindow, *, points: int) -> Iterator[Point]:
        points += len(COUNTERS) + len(GAUGES)
        figures = {**self._gauges(window, points), **self._grown(points)}
        encoder, namer = make_encoder(self._relay.config), self._relay.namer
        for name, value in figures.items():
            yield encoder.encode_single(namer.own_series(name), value, window.start)

    def _grown(self, points: int) -> dict[str, float]:
        relay, ledger, books = self._relay, self._relay.context.ledger, self._relay.status.books()
        counts = {
            "lines": books.received,
            "rejected_lines": sum(books.rejected.values()),
            "lost_samples": lost_samples(books.samples_dropped),
            "kernel_drops": sum(listener.kernel_drops for listener in relay.listeners),
            "points": books.created + points,
            "delivered_points": books.delivered,
            "lost_points": books.refused + sum(books.dropped.values()),
            "failed_requests": sum(ledger.requests_failed.values()),
        }
        return {name: self._deltas.since_last(name, count) for name, count in counts.items()}

    def _gauges(self, window: ClosedWindow, points: int) -> dict[str, float]:
        config, spool, wall = self._relay.config, self._relay.spool, self._relay.context.clock.wall()
        series, oldest = len(window.series), spool.oldest_window
        requests, allowed = -(-points // limits.POINTS_PER_REQUEST), config.cloud.requests_per_minute
        return {
            "up": 1,
            "series": series,
            "series_percent": _percent(series, config.limits.series),
            "waiting_points": spool.points + spool.leased,
            "oldest_waiting_seconds": 0 if oldest is None else round(max(0.0, wall - oldest), 1),
            "quota_percent": _percent(requests, allowed * window.seconds / limits.WINDOW_SECONDS),
            "spool_percent": _percent(spool.bytes, spool.limit_bytes),
            "level": LEVELS[self.health.level] if self.health else 0,
        }


def _percent(part: float, whole: float) -> float:
    return round(100 * part / whole, 2) if whole else 0.0
