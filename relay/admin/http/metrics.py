"""The relay's own metrics, in Prometheus' text format; names and labels are a contract (deploy/REFERENCE.md).

Every figure belongs to the stage that counts it and is read at the moment of a scrape; nothing is stored here. All are
read without an await, so the three equations of the ledger can be computed from one scrape. Those of windows, points
and requests are in delivery_metrics.py.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from relay import __version__
from relay.admin.http.delivery_metrics import delivery_metrics
from relay.admin.http.metric_families import counter, gauge, gauges
from relay.errors import DROPPED_SAMPLES, REJECTED_LINES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.metrics_core import Metric

    from relay.admin.protocols import Relay


NO_LINES: Final = dict.fromkeys(REJECTED_LINES, 0)
NO_SAMPLES: Final = dict.fromkeys(DROPPED_SAMPLES, 0)
"""Every reason is exported from the start: a rate needs the zero before the first loss."""


class RelayCollector(Collector):
    """State: none; the figures are those of the relay's stages."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def describe(self) -> Iterable[Metric]:
        """Return nothing: figures are read at a scrape only."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        yield from self._build()
        yield from self._sockets()
        yield from self._streams()
        yield from self._tees()
        yield from self._lines()
        yield from self._samples()
        yield from self._series()
        yield from delivery_metrics(self._relay)

    def _build(self) -> Iterator[Metric]:
        info = GaugeMetricFamily(
            "relay_build_info", "Version and implementation of the hot path; always 1.", labels=["version", "hotpath"]
        )
        info.add_metric([__version__, self._relay.hotpath.name], 1)
        yield info
        refused = self._relay.context.ledger.admin_refused
        yield counter("relay_admin_refused", "Requests of the admin port refused for want of access.", refused)
        yield gauge(
            "relay_loop_lag_seconds",
            "Seconds by which the event loop was late at the last probe.",
            self._relay.lag.seconds,
        )
        yield gauge(
            "relay_config_last_reload_successful",
            "1 if the file on disk was in force when it was last read, else 0.",
            float(self._relay.status.is_last_reload_successful),
        )
        generation = self._relay.in_force.generation
        yield gauge(
            "relay_config_generation", "1 at the first start, and one more for each applied reload.", generation
        )
        is_up = float(not self._relay.status.is_health_down)
        yield gauge("relay_console_health_up", "The reply of the console's `health`: 1 up, 0 set to down.", is_up)
        problems = GaugeMetricFamily(
            "relay_problem",
            "1 while there is a finding with this code and level; `statsd-relay explain CODE` says what to do.",
            labels=["code", "level"],
        )
        for (code, level), holds in self._relay.health.states().items():
            problems.add_metric([code, level], float(holds))
        yield problems
        imbalance = self._relay.status.books().imbalance()
        yield gauge("relay_ledger_imbalance", "Sum of the differences of the three equations; must be 0.", imbalance)

    def _sockets(self) -> Iterator[Metric]:
        sockets, streams = self._relay.listeners, self._relay.streams.listeners
        received = {one.label: one.datagrams for one in sockets} | {one.label: one.datagrams for one in streams}
        help_ = "Datagrams received; for streams, chunks of lines or frames."
        yield counter("relay_datagrams", help_, received, "listener")
        drops = {one.label: one.kernel_drops for one in sockets}
        yield counter("relay_kernel_drops", "DATALOSS: datagrams the kernel dropped.", drops, "listener")
        waiting = {one.label: one.queue_bytes for one in sockets}
        help_ = "Bytes in the kernel's receive queue."
        yield gauges("relay_receive_queue_bytes", help_, waiting, "listener")
        limits = {one.label: one.limit_bytes for one in sockets}
        help_ = "Bytes at which the kernel's receive queue is full, and datagrams are dropped."
        yield gauges("relay_receive_queue_limit_bytes", help_, limits, "listener")

    def _streams(self) -> Iterator[Metric]:
        streams = self._relay.streams.listeners
        refused = {one.label: one.refused for one in streams}
        help_ = "DATALOSS: connections refused: the sender is not allowed."
        yield counter("relay_stream_refused", help_, refused, "listener")
        idle = {one.label: one.idle_closed for one in streams}
        help_ = "DATALOSS: connections closed because they were idle for too long."
        yield counter("relay_stream_idle_closed", help_, idle, "listener")
        evicted = {one.label: one.evicted for one in streams}
        help_ = "DATALOSS: connections closed at the limit: the longest idle one makes room for another."
        yield counter("relay_stream_evicted", help_, evicted, "listener")
        open_ = {one.label: one.connections for one in streams}
        yield gauges("relay_stream_connections", "Open connections.", open_, "listener")

    def _tees(self) -> Iterator[Metric]:
        counts = {str(number): count for number, count in enumerate(self._relay.tees.counts(), 1)}
        sent, dropped = ({tee: count[at] for tee, count in counts.items()} for at in (0, 1))
        yield counter("relay_tee_datagrams", "Datagrams copied to each tee.", sent, "tee")
        yield counter("relay_tee_dropped", "DATALOSS: copies dropped, of each tee.", dropped, "tee")

    def _lines(self) -> Iterator[Metric]:
        tally = self._relay.hotpath.tally()
        yield gauge("relay_last_packet_timestamp_seconds", "Time of the last packet; 0: none so far.", tally.last_at)
        yield counter("relay_truncated_datagrams", "DATALOSS: datagrams cut by the kernel.", tally.truncated_datagrams)
        yield counter("relay_received_lines", "Lines received.", tally.received)
        yield counter("relay_accepted_lines", "Lines accepted.", tally.accepted)
        yield counter("relay_events", "Events and service checks: recognised, but not metrics.", tally.events)
        yield counter("relay_rejected_lines", "DATALOSS: lines rejected.", {**NO_LINES, **tally.rejected}, "reason")
        yield counter("relay_ignored_sections", "Unknown sections of lines: skipped.", tally.sections_ignored)
        yield counter(
            "relay_rewritten_names",
            "Names and tags rewritten: characters that the API does not allow.",
            self._relay.context.ledger.names_rewritten,
        )
        yield counter(
            "relay_clamped_values",
            "DATALOSS: statistics beyond 9223372036854774784 or its negative; sent as that limit.",
            self._relay.context.ledger.values_clamped,
        )
        yield counter(
            "relay_dropped_tags",
            "Tags not sent: beyond the limit of the API, or of a line.",
            self._relay.context.ledger.tags_dropped + tally.tags_unread,
        )

    def _samples(self) -> Iterator[Metric]:
        tally, books = self._relay.hotpath.tally(), self._relay.status.books()
        moved = {"accepted": books.samples_accepted, "closed": books.samples_closed}
        yield counter("relay_samples", "Samples accepted, and samples of closed windows.", moved, "state")
        yield gauges("relay_samples", "Samples in the open window.", {"open": books.samples_open}, "state")
        yield counter("relay_late_samples", "Samples with a time of another window.", tally.samples_late)
        yield counter(
            "relay_dropped_samples",
            "DATALOSS: samples dropped; the reasons rule and forgotten are intended.",
            {**NO_SAMPLES, **books.samples_dropped},
            "reason",
        )
        yield counter("relay_overflow_samples", "Samples in overflow series.", tally.samples_overflow)
        unnamed = "Samples in the overflow series of a class: no room for their names, or named too late."
        yield counter("relay_unnamed_samples", unnamed, tally.samples_unnamed)

    def _series(self) -> Iterator[Metric]:
        tally = self._relay.hotpath.tally()
        yield gauge("relay_series", "Series of the open window.", tally.series)
        yield gauge("relay_series_limit", "Limit of series in the open window.", self._relay.config.limits.series)
        yield gauge("relay_aliases", "Identities whose name is known.", tally.aliases)
        yield gauge("relay_senders", "Senders that are counted separately.", tally.senders)
        hits = {str(number): count for number, count in enumerate(self._relay.namer.hits, 1)}
        yield counter("relay_rule_hits", "Identities named by each rule, since the rules are in force.", hits, "rule")
        samples = {str(number): one.samples for number, one in self._relay.cardinality.rules().items()}
        help_ = "Samples that each rule took since the rules are in force: of closed windows, or dropped."
        yield counter("relay_rule_samples", help_, samples, "rule")


def make_registry(relay: Relay) -> CollectorRegistry:
    """Return a registry of one relay: without global state, two relays can run in one process."""
    registry = CollectorRegistry()
    registry.register(RelayCollector(relay))
    ProcessCollector(registry=registry)
    return registry


class Scrapes:
    """State: the text of this turn of the event loop, in which hundreds of requests may be answered."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._text: bytes | None = None

    def text(self) -> bytes:
        """Return the text format, made once a turn of the running loop."""
        if self._text is None:
            self._text = generate_latest(self._registry)
            asyncio.get_running_loop().call_soon(self._clear)
        return self._text

    def _clear(self) -> None:
        self._text = None
