"""The ledger: counters of every line, sample and point, and their balance.

The hot path counts lines and samples of the open window (`Tally`); the ledger counts everything after that. Stocks
(spooled, in flight) are read from the spool and the sender pool, never derived from counters: otherwise
`Books.imbalance` could not find a miscount. Invariant I5: the books balance in any snapshot.

`WindowHistory` has the newest 60 windows, with the outcome of their points. Outcomes of other windows (older, or of an
earlier process) are in the counters alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from relay.wording import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relay.model import Kind, Series, Tally

    MetricKey = tuple[str, Kind, str]
    """The fields of model.Metric: making one for each series would take twice as long."""


class Durations:
    """State: a histogram of seconds."""

    BOUNDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

    def __init__(self) -> None:
        self._counts = [0] * (len(self.BOUNDS) + 1)
        self.sum = 0.0
        self.last = 0.0
        """The latest duration, in seconds."""

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(self.BOUNDS, seconds)] += 1
        self.sum += seconds
        self.last = seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Return (upper bound, number of durations up to it): cumulative as in Prometheus, `+Inf` last."""
        names = [*map(str, self.BOUNDS), "+Inf"]
        return list(zip(names, accumulate(map(float, self._counts)), strict=True))


METRICS_MAX: Final = 10_000
"""Metrics that are counted one by one in a window; the series of further ones are counted together."""


class MetricCounts:
    """State: the number of series and of samples of each metric in one closed window."""

    def __init__(self) -> None:
        self.series: dict[MetricKey, int] = {}
        """Series by metric; at most METRICS_MAX metrics."""
        self.samples: dict[MetricKey, int] = {}
        """Samples of these metrics."""
        self.others = 0
        """Series of metrics beyond METRICS_MAX."""

    def add_series(self, series: Series) -> None:
        """Count a series."""
        key, counts = (series.metric, series.kind, series.namespace), self.series
        if key in counts:
            counts[key] += 1
        elif len(counts) < METRICS_MAX:
            counts[key] = 1
        else:
            self.others += 1

    def add_samples(self, series: Series, samples: int) -> None:
        """Count samples of a series that was counted."""
        key = (series.metric, series.kind, series.namespace)
        if key in self.series:
            self.samples[key] = self.samples.get(key, 0) + samples

    @property
    def total(self) -> int:
        """The number of series."""
        return sum(self.series.values()) + self.others


WINDOWS_MAX: Final = 60


@dataclass(slots=True, eq=False, kw_only=True)
class WindowRecord:
    """State: what became of the points of one closed window; the other fields do not change."""

    start: int
    """Unix seconds; the id of the window."""
    seconds: int
    stored_at: float
    """Wall time at which it was stored; its points may be sent from then on."""
    late: float
    """Seconds from its end until it was stored."""
    lines: int
    """Received since the window before was stored."""
    rejected: Mapping[str, int]
    """Rejected lines since the window before, by reason."""
    kernel_drops: int
    """Packets that the kernel dropped since the window before."""
    samples: int
    samples_dropped: Mapping[str, int]
    """Samples dropped since the window before, by reason."""
    series: int
    points: int
    """Points in its requests."""
    requests: int
    new_series: int = 0
    """Series that the window before had not; 0 for the first window of a process."""
    delivered: int = 0
    refused: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    """Points dropped after the window was stored, by reason."""
    first_answer_at: float = 0.0
    """Wall time of the first answer to one of its requests; 0: none so far."""

    @property
    def waiting(self) -> int:
        """Points that are in the spool or in flight."""
        return self.points - self.delivered - self.refused - sum(self.dropped.values())


class WindowHistory:
    """State: the newest windows."""

    def __init__(self) -> None:
        self._windows: deque[WindowRecord] = deque(maxlen=WINDOWS_MAX)

    def __len__(self) -> int:
        """Return the number of windows kept."""
        return len(self._windows)

    def __iter__(self) -> Iterator[WindowRecord]:
        """Iterate over the windows in the order in which they were stored, oldest first."""
        return iter(self._windows)

    @property
    def last(self) -> WindowRecord | None:
        """The window that was stored last."""
        return self._windows[-1] if self._windows else None

    def get(self, start: int) -> WindowRecord | None:
        """Return a window by its id; the newest first, as most answers are about it."""
        return next((window for window in reversed(self._windows) if window.start == start), None)

    def add(self, window: WindowRecord) -> None:
        """Add a window that is stored now."""
        self._windows.append(window)

    def answered(self, start: int, wall: float) -> None:
        """Record an answer of the cloud, whatever it says, to a request of the window."""
        window = self.get(start)
        if window and not window.first_answer_at:
            window.first_answer_at = wall

    def sent(self, start: int, *, delivered: int, refused: int) -> None:
        """Count points of a window that the cloud accepted and refused."""
        if window := self.get(start):
            window.delivered += delivered
            window.refused += refused

    def dropped(self, start: int, points: int, *, reason: str) -> None:
        """Count points of a window that the relay dropped."""
        if window := self.get(start):
            window.dropped[reason] = window.dropped.get(reason, 0) + points


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class Ledger:
    """State: monotonic counters, but for stocks and what is said to be the latest.

    Every path that loses something increments one of these first.
    """

    samples_closed: int = 0
    samples_recovered: int = 0
    """Samples of windows that had ended when a start found their checkpoint; the tally has the open window's."""
    samples_closing: int = 0
    """Stock: samples of windows handed out by the hot path and not yet stored."""
    samples_dropped: Counter[str] = field(default_factory=Counter)
    """By reason: name_collision, stop_without_state, other_host. The tally has what the hot path drops."""
    points_created: int = 0
    points_recovered: int = 0
    """Points found in the spool at the start."""
    points_replayed: int = 0
    points_delivered: int = 0
    points_refused: int = 0
    points_refused_by_reason: Counter[str] = field(default_factory=Counter)
    """The sum is `points_refused`."""
    points_dropped: Counter[str] = field(default_factory=Counter)
    windows_dropped: int = 0
    """Whole windows dropped by the spool."""
    dead_letters: int = 0
    """Stock: dead letters kept on disk and in memory."""
    dead_letters_dropped: int = 0
    """Dead letters deleted at the size limit, or never written to disk."""
    requests: Counter[str] = field(default_factory=Counter)
    """By HTTP status; `error`: no answer; `internal_error`: the relay itself failed."""
    requests_failed: Counter[str] = field(default_factory=Counter)
    """Requests that are sent again because no answer came, or none that says what was stored; by cause."""
    requests_ambiguous: int = 0
    refusals_unmatched: int = 0
    """Entries in the cloud's lists of bad points that match no point of the request, or more than one."""
    request_seconds: Durations = field(default_factory=Durations)
    request_bytes: int = 0
    """Size of the latest request."""
    accepted_at: float = 0.0
    """Wall time of the latest answer that accepted a request; 0: none so far."""
    failed_at: float = 0.0
    """Wall time of the latest request that failed or was refused; 0: none so far."""
    windows_closed: int = 0
    close_seconds: float = 0.0
    close_late: float = 0.0
    """Seconds from the end of the last window until it was stored."""
    windows_late: int = 0
    """Windows stored later after their end than daemon/windows/records.py allows."""
    delivery_lag: float = 0.0
    """Seconds from the start of a window to the delivery of its batch; of the batch delivered last."""
    clock_skew: float = 0.0
    """Seconds that this machine's clock is ahead of the cloud's, by the cloud's latest answer."""
    is_clock_compared: bool = False
    """Whether an answer of the cloud had a date."""
    names_rewritten: int = 0
    tags_dropped: int = 0
    values_clamped: int = 0
    """Statistics outside the range of the API."""
    examples: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Log fields of one example each of `rewritten`, `unsent`, `clamped`; removed once logged."""
    last_examples: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """The latest example of each; it stays."""
    admin_refused: int = 0
    """Requests of the admin port refused for want of access."""
    windows: WindowHistory = field(default_factory=WindowHistory)
    """The newest closed windows, with the outcome of their points."""

    def add_example(self, kind: str, fields: Mapping[str, str]) -> None:
        """Keep an example of a change, for the log and for the findings."""
        self.examples[kind] = self.last_examples[kind] = fields

    def deliver_points(self, window: int, *, delivered: int, refused: Mapping[str, int]) -> None:
        """Count points that the cloud accepted, and points that it refused for good, by reason."""
        self.points_delivered += delivered
        self.points_refused += sum(refused.values())
        self.points_refused_by_reason.update(refused)
        self.windows.sent(window, delivered=delivered, refused=sum(refused.values()))

    def drop_points(self, window: int, points: int, *, reason: str) -> None:
        """Count points of a stored window that are dropped."""
        self.points_dropped[reason] += points
        self.windows.dropped(window, points, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The terms of the three equations (lines, samples, points) at one moment (README, "What happens when")."""

    received: int
    accepted: int
    events: int
    rejected: Mapping[str, int]
    samples_accepted: int
    samples_closed: int
    samples_open: int
    samples_dropped: Mapping[str, int]
    created: int
    recovered: int
    replayed: int
    delivered: int
    refused: int
    dropped: Mapping[str, int]
    spooled: int
    in_flight: int

    def imbalance(self) -> int:
        """Return the sum of the absolute differences of the three equations; it must be 0 in any snapshot."""
        lines = self.received - self.accepted - self.events - sum(self.rejected.values())
        samples = self.samples_accepted - self.samples_closed - self.samples_open - sum(self.samples_dropped.values())
        points_in = self.created + self.recovered + self.replayed
        points_out = self.delivered + self.refused + sum(self.dropped.values()) + self.spooled + self.in_flight
        return abs(lines) + abs(samples) + abs(points_in - points_out)

    def __str__(self) -> str:
        """Return the three equations, one a line."""
        n = number
        rejected = sum(self.rejected.values())
        lost = sum(self.samples_dropped.values())
        dropped = sum(self.dropped.values())
        return (
            f"lines    {n(self.received)} received == {n(self.accepted)} accepted + {n(self.events)} events"
            f" + {n(rejected)} rejected\n"
            f"samples  {n(self.samples_accepted)} accepted == {n(self.samples_closed)} closed"
            f" + {n(self.samples_open)} open + {n(lost)} dropped\n"
            f"points   {n(self.created)} created + {n(self.recovered)} recovered + {n(self.replayed)} replayed\n"
            f"      == {n(self.delivered)} delivered + {n(self.refused)} refused + {n(dropped)} dropped"
            f" + {n(self.spooled)} spooled + {n(self.in_flight)} in flight"
        )


def balance(tally: Tally, ledger: Ledger, *, spooled: int, in_flight: int) -> Books:
    """Return the books of this moment; evaluate the arguments without an await in between."""
    return Books(
        received=tally.received,
        accepted=tally.accepted,
        events=tally.events,
        rejected=dict(tally.rejected),
        samples_accepted=tally.samples_accepted + ledger.samples_recovered,
        samples_closed=ledger.samples_closed,
        samples_open=tally.samples_open + ledger.samples_closing,
        samples_dropped=dict(Counter(tally.samples_dropped) + ledger.samples_dropped),
        created=ledger.points_created,
        recovered=ledger.points_recovered,
        replayed=ledger.points_replayed,
        delivered=ledger.points_delivered,
        refused=ledger.points_refused,
        dropped=dict(ledger.points_dropped),
        spooled=spooled,
        in_flight=in_flight,
    )
