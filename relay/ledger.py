"""The ledger: one place where every line, sample and point is accounted for, and the log that tells of losses.

Lines and samples of the open window are counted by the hot path (`Tally`); this ledger counts what happens afterwards.
The stock figures (spooled, in flight) come from the spool and the pool themselves, never from the counters, so that
`Books.imbalance` can really find a mistake.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from relay import limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from relay.clock import Clock
    from relay.model import RejectedLine, Tally


class Durations:
    """State: a histogram of seconds, cumulative like Prometheus wants it."""

    BOUNDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

    def __init__(self) -> None:
        self._counts = [0] * (len(self.BOUNDS) + 1)
        self.sum = 0.0
        self.last = 0.0
        """The latest."""

    def __repr__(self) -> str:
        """Report the count."""
        return f"<Durations {sum(self._counts)}>"

    def observe(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(self.BOUNDS, seconds)] += 1
        self.sum += seconds
        self.last = seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Return (upper bound, how many were at most that long), `+Inf` last."""
        names = [*map(str, self.BOUNDS), "+Inf"]
        return list(zip(names, accumulate(map(float, self._counts)), strict=True))


class Ledger:
    """State: monotonic counters only. Every path that loses something increments one of these first."""

    def __init__(self) -> None:
        self.samples_closed = 0
        self.samples_recovered = 0
        """Of windows that were over when a start found their checkpoint; those of the open one are in the tally."""
        self.samples_closing = 0
        """Stock: samples of windows handed out by the hot path and not yet stored."""
        self.samples_dropped: Counter[str] = Counter()
        """name_collision, stop_without_state, other_host; what the hot path drops is in its tally."""
        self.points_created = 0
        self.points_recovered = 0
        """Found in the spool at start."""
        self.points_replayed = 0
        self.points_delivered = 0
        self.points_refused = 0
        self.points_dropped: Counter[str] = Counter()
        self.windows_dropped = 0
        """Whole windows that the spool had to drop."""
        self.dead_letters = 0
        """Stock: letters that are kept, on disk and in memory."""
        self.dead_letters_dropped = 0
        """Letters that were not, or no longer."""
        self.requests: Counter[str] = Counter()
        """By HTTP status; `error` where there was none, `internal_error` where the relay itself failed."""
        self.requests_ambiguous = 0
        self.refusals_unmatched = 0
        """Entries of the cloud's lists of bad points that name none of the request, or none for certain."""
        self.request_seconds = Durations()
        self.request_bytes = 0
        """Of the latest."""
        self.accepted_at = 0.0
        """Wall time of the latest answer that took a request; 0: there was none."""
        self.failed_at = 0.0
        """Wall time of the latest request that got another answer, or none; 0: there was none."""
        self.windows_closed = 0
        self.close_seconds = 0.0
        self.close_late = 0.0
        """Seconds from the last window's end until it was stored."""
        self.windows_late = 0
        """Of the last window."""
        self.delivery_lag = 0.0
        """Seconds from the start of its window to the delivery of the last batch."""
        self.clock_skew = 0.0
        """Seconds that this machine is ahead of the cloud, by its last answer."""
        self.names_rewritten = 0
        self.tags_dropped = 0
        self.values_clamped = 0
        """Statistics beyond what the API takes."""
        self.examples: dict[str, Mapping[str, str]] = {}
        """What the log says of one case of `rewritten`, `unsent`, `clamped`; it is gone when it was said."""

    def __repr__(self) -> str:
        """Report the points."""
        dropped = sum(self.points_dropped.values())
        return f"<Ledger {self.points_created} created, {self.points_delivered} delivered, {dropped} dropped>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """All three equations at one moment (README, "What happens when")."""

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
        """Sum of the absolute differences of the three equations; must be 0 in any snapshot."""
        lines = self.received - self.accepted - self.events - sum(self.rejected.values())
        samples = self.samples_accepted - self.samples_closed - self.samples_open - sum(self.samples_dropped.values())
        points_in = self.created + self.recovered + self.replayed
        points_out = self.delivered + self.refused + sum(self.dropped.values()) + self.spooled + self.in_flight
        return abs(lines) + abs(samples) + abs(points_in - points_out)

    def __str__(self) -> str:
        """Three lines for people."""
        rejected = sum(self.rejected.values())
        lost = sum(self.samples_dropped.values())
        dropped = sum(self.dropped.values())
        return (
            f"lines    {self.received} received == {self.accepted} accepted + {self.events} events"
            f" + {rejected} rejected\n"
            f"samples  {self.samples_accepted} accepted == {self.samples_closed} closed + {self.samples_open} open"
            f" + {lost} dropped\n"
            f"points   {self.created} created + {self.recovered} recovered + {self.replayed} replayed =="
            f" {self.delivered} delivered + {self.refused} refused + {dropped} dropped"
            f" + {self.spooled} spooled + {self.in_flight} in flight"
        )


def balance(tally: Tally, ledger: Ledger, *, spooled: int, in_flight: int) -> Books:
    """Take the books at this moment; call it without an await between its arguments."""
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


@dataclass(slots=True)
class _Muted:
    """One (event, reason) of the loss log."""

    next_at: float = 0.0
    suppressed: int = 0


@dataclass(slots=True)
class LossLog:
    """Warnings about loss: at most one line per `interval` seconds per (event, reason), with the suppressed count."""

    clock: Clock
    interval: float = 10.0
    _muted: dict[tuple[str, str], _Muted] = field(default_factory=dict)

    def warn(self, event: str, *, reason: str, **fields: Any) -> None:  # noqa: ANN401 - log fields are any scalars
        """Log `event` unless the same (event, reason) was logged less than `interval` ago."""
        self.warn_once_in(self.interval, event, reason=reason, **fields)

    def warn_once_in(self, seconds: float, event: str, /, *, reason: str, **fields: Any) -> None:  # noqa: ANN401 - see above
        """Log `event` unless the same (event, reason) was logged less than so many seconds ago."""
        muted = self._muted.setdefault((event, reason), _Muted())
        now = self.clock.monotonic()
        if now < muted.next_at:
            muted.suppressed += 1
            return
        if muted.suppressed:
            fields["suppressed"] = muted.suppressed
        muted.next_at, muted.suppressed = now + seconds, 0
        structlog.get_logger("relay").warning(event, reason=reason, **fields)


class LagProbe:
    """State: how late the event loop was when it was last measured, in seconds."""

    INTERVAL: Final = 0.5

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.seconds = 0.0

    def __repr__(self) -> str:
        """Report the lag."""
        return f"<LagProbe {self.seconds:.3f} s>"

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            began = self._clock.monotonic()
            await self._clock.sleep(self.INTERVAL)
            self.seconds = max(0.0, self._clock.monotonic() - began - self.INTERVAL)


@dataclass(slots=True)
class Growth:
    """State: counters as they were when somebody last asked."""

    _seen: dict[str, int] = field(default_factory=dict)

    def since_last(self, name: str, value: int) -> int:
        """Return by how much a counter grew since the last call for its name."""
        before, self._seen[name] = self._seen.get(name, 0), value
        return value - before


class Explain(Protocol):
    """Who can say of a rejected line at which byte it went wrong, if at one, and why in words."""

    def __call__(self, line: bytes, reason: str) -> tuple[int | None, str]:
        """Explain a line."""
        ...


WANTED: Final = frozenset({"rule", "forgotten"})
"""Reasons of dropped samples that somebody asked for, in a rule or on the console: counted, but no warning."""


_BEYOND: Final = f"beyond {limits.VALUE_MAX} or below its negative"
_CLAMPED_SECONDS: Final = 60.0
"""Between two warnings: a gauge below zero of an unsigned client is so in every window."""


def tell_of_window(
    growth: Growth,
    loss_log: LossLog,
    tally: Tally,
    ledger: Ledger,
    rejects: Iterable[RejectedLine],
    explain: Explain,
) -> None:
    """Warn, once a window, of what was lost or changed on the way in; rejected lines with an example and its sender."""
    examples = {rejected.reason: rejected for rejected in rejects}
    for reason, lines in tally.rejected.items():
        grown = growth.since_last(f"rejected {reason}", lines)
        if grown:
            example = examples.get(reason)
            shown = _show(example, explain) if example else {}
            loss_log.warn("RLY301 lines rejected", reason=reason, count=grown, **shown)
    for reason, count in tally.samples_dropped.items():
        grown = growth.since_last(f"dropped {reason}", count)
        if grown and reason not in WANTED:
            loss_log.warn("samples dropped", reason=reason, count=grown)
    _tell_of_changes(growth, loss_log, ledger)


def _tell_of_changes(growth: Growth, loss_log: LossLog, ledger: Ledger) -> None:
    """Warn of what is sent otherwise than it came, with an example of each kind."""
    usual = loss_log.interval
    for kind, event, reason, count, seconds in (
        ("rewritten", "RLY302 names or tags rewritten", "illegal characters", ledger.names_rewritten, usual),
        ("unsent", "RLY303 tags dropped", "the API takes five, 255 bytes in all", ledger.tags_dropped, usual),
        ("clamped", "RLY304 values clamped", _BEYOND, ledger.values_clamped, _CLAMPED_SECONDS),
    ):
        grown = growth.since_last(f"{event} {reason}", count)
        if grown:
            loss_log.warn_once_in(seconds, event, reason=reason, count=grown, **ledger.examples.pop(kind, {}))


def _show(example: RejectedLine, explain: Explain) -> dict[str, Any]:
    """Return what the log says of a line; `at` is the byte where the log puts a caret."""
    at, why = explain(example.line, example.reason)
    sender = f"{example.peer.host}:{example.peer.port}" if example.peer else "a Unix socket"
    return {"why": why, "line": example.line, "at": at, "sender": sender}


def tell_of_late_window(loss_log: LossLog, window: int, seconds: float, *, closing: int) -> None:
    """Warn that a window was stored long after its end."""
    event, fix = (
        "RLY320 a window closed late",
        "see relay_series, relay_loop_lag_seconds and the disk; send fewer series",
    )
    loss_log.warn(event, reason="late", window=window, seconds=round(seconds, 1), closing=closing, fix=fix)


def tell_of_quota(loss_log: LossLog, needed: int, allowed: int) -> None:
    """Warn that a window needs nearly all requests that may leave."""
    event, fix = "RLY403 the quota is nearly used up, percentiles are not sent", "send fewer series, or raise it"
    loss_log.warn(event, reason="quota", requests_needed=needed, requests_allowed=allowed, fix=fix)
