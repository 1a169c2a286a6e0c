"""The metrics of closed windows, points, requests and the spool; see metrics.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.core import HistogramMetricFamily

from relay.admin.http.metric_families import counter, gauge, gauges
from relay.delivery.sender.gate import DELIVERY_STATES
from relay.errors import DROPPED_POINTS, FAILED_REQUESTS, REFUSED_POINTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from relay.admin.protocols import Relay

NO_POINTS: Final = dict.fromkeys(DROPPED_POINTS, 0)
NO_REFUSED: Final = dict.fromkeys(REFUSED_POINTS, 0)
NO_REQUESTS: Final = dict.fromkeys(FAILED_REQUESTS, 0)


def delivery_metrics(relay: Relay) -> Iterator[Metric]:
    """Yield every metric of delivery."""
    yield from _windows(relay)
    yield from _last_window(relay)
    yield from _points(relay)
    yield from _requests(relay)
    yield from _spool(relay)


def _windows(relay: Relay) -> Iterator[Metric]:
    ledger, closer, checkpointer = relay.context.ledger, relay.closer, relay.checkpointer
    yield counter("relay_windows_closed", "Windows closed.", ledger.windows_closed)
    interval = checkpointer.interval if checkpointer else 0.0
    yield gauge(
        "relay_checkpoint_interval_seconds",
        "Seconds between two checkpoints of the open window; a crash loses at most one interval.",
        interval,
    )
    yield gauge(
        "relay_window_opens_in_seconds",
        "Seconds until the open window begins; above 0 if earlier ids are committed.",
        closer.opens_in(),
    )
    yield gauge("relay_window_close_seconds", "Seconds that the last close took.", ledger.close_seconds)
    late = "Seconds from the end of the last stored window until it was stored."
    yield gauge("relay_window_late_seconds", late, ledger.close_late)
    yield counter(
        "relay_late_windows", "Windows stored late: by over 2 s, or a tenth of a window.", ledger.windows_late
    )
    yield gauge("relay_windows_closing", "Windows that have ended and are not stored yet.", closer.closing)


def _last_window(relay: Relay) -> Iterator[Metric]:
    last = relay.context.ledger.windows.last
    starts = "Start of the open window."
    yield gauge("relay_open_window_timestamp_seconds", starts, relay.closer.open_id)
    end = "End of the last stored window; 0: none so far."
    yield gauge("relay_last_window_timestamp_seconds", end, last.start + last.seconds if last else 0.0)
    for name, help_, value in (
        ("series", "Series of the last stored window.", last.series if last else 0),
        ("new_series", "Series of the last stored window that the one before had not.", last.new_series if last else 0),
        ("points", "Points of the last stored window.", last.points if last else 0),
        ("requests", "Requests of the last stored window.", last.requests if last else 0),
    ):
        yield gauge(f"relay_window_{name}", help_, value)


def _points(relay: Relay) -> Iterator[Metric]:
    books = relay.status.books()
    outcomes = {
        "created": books.created,
        "recovered": books.recovered,
        "replayed": books.replayed,
        "delivered": books.delivered,
        "refused": books.refused,
        "dropped": sum(books.dropped.values()),
    }
    yield counter(
        "relay_points", "Points, by outcome; refused and dropped ones have metrics by reason.", outcomes, "outcome"
    )
    yield counter("relay_dropped_points", "DATALOSS: points dropped.", {**NO_POINTS, **books.dropped}, "reason")
    ledger = relay.context.ledger
    refused = {**NO_REFUSED, **ledger.points_refused_by_reason}
    yield counter("relay_refused_points", "DATALOSS: points that the cloud refused for good.", refused, "reason")
    waiting = {"spooled": books.spooled, "in_flight": books.in_flight}
    yield gauges("relay_points", "Points spooled, and in flight.", waiting, "state")
    yield gauge("relay_dead_letters", "Dead letters on disk or waiting to be written.", ledger.dead_letters)
    yield counter(
        "relay_dead_letters_dropped",
        "DATALOSS: dead letters deleted at the size limit, or never written to disk.",
        ledger.dead_letters_dropped,
    )
    lag = "Age of the oldest window that is not settled; if all are: from a window's start to its last delivery."
    yield gauge("relay_delivery_lag_seconds", lag, relay.status.delivery_lag)
    last = "Time of the last request that the cloud accepted; 0: none so far."
    yield gauge("relay_last_delivery_timestamp_seconds", last, ledger.accepted_at)


def _requests(relay: Relay) -> Iterator[Metric]:
    ledger = relay.context.ledger
    yield counter("relay_requests", "Requests, by HTTP status, error or internal_error.", ledger.requests, "code")
    failed = {**NO_REQUESTS, **ledger.requests_failed}
    yield counter("relay_failed_requests", "Requests that failed and are sent again, by cause.", failed, "cause")
    yield counter("relay_ambiguous_requests", "Requests that may have been stored.", ledger.requests_ambiguous)
    yield counter(
        "relay_unmatched_refusals",
        "Refusals by the cloud that match no single point of the request.",
        ledger.refusals_unmatched,
    )
    seconds = ledger.request_seconds
    yield HistogramMetricFamily(
        "relay_request_duration_seconds",
        "Duration of requests in seconds.",
        buckets=seconds.buckets(),
        sum_value=seconds.sum,
    )
    yield gauge("relay_requests_in_flight", "Requests that wait for an answer.", relay.pool.requests_in_flight)
    state = relay.pool.delivery_state
    states: dict[str, float] = {each: each == state for each in DELIVERY_STATES}
    yield gauges("relay_delivery_state", "1 for the state in which delivery is, else 0.", states, "state")
    limit = "Requests a minute that the configuration allows."
    yield gauge("relay_requests_per_minute_limit", limit, relay.config.cloud.requests_per_minute)
    yield gauge("relay_rate_limit", "Requests a minute that may be sent now.", relay.pool.per_minute)
    yield gauge("relay_clock_skew_seconds", "Seconds by which this machine is ahead of the cloud.", ledger.clock_skew)


def _spool(relay: Relay) -> Iterator[Metric]:
    spool = relay.spool
    oldest = spool.oldest_window
    age = max(0.0, relay.context.clock.wall() - oldest) if oldest is not None else 0.0
    yield gauge("relay_spool_batches", "Requests that wait to be sent.", spool.batches)
    yield gauge("relay_spool_bytes", "Compressed size of the requests that wait.", spool.bytes)
    yield gauge("relay_spool_oldest_age_seconds", "Age of the oldest window that waits.", age)
    yield gauge("relay_spool_limit_bytes", "Quota of the spool on disk.", spool.limit_bytes)
    dropped = relay.context.ledger.windows_dropped
    yield counter("relay_spool_dropped_windows", "DATALOSS: windows dropped from a full spool.", dropped)
    degraded = relay.status.degraded
    yield gauge("relay_durability_degraded", "1 while the disk refuses writes or is too slow.", degraded)
