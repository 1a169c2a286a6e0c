"""The ledger: counters of every line, sample and point, and their balance.

The hot path counts lines and samples of the open window (`Tally`); the ledger counts everything after that. Stocks
(spooled, in flight) are read from the spool and the sender pool, never derived from counters: otherwise
`Books.imbalance` could not find a miscount. Invariant I5: the books balance in any snapshot.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.model import Tally


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
    points_dropped: Counter[str] = field(default_factory=Counter)
    windows_dropped: int = 0
    """Whole windows dropped by the spool."""
    dead_letters: int = 0
    """Stock: dead letters kept on disk and in memory."""
    dead_letters_dropped: int = 0
    """Dead letters deleted at the size limit, or never written to disk."""
    requests: Counter[str] = field(default_factory=Counter)
    """By HTTP status; `error`: no answer; `internal_error`: the relay itself failed."""
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
    """Windows stored later after their end than daemon/app.py allows."""
    delivery_lag: float = 0.0
    """Seconds from the start of a window to the delivery of its batch; of the batch delivered last."""
    clock_skew: float = 0.0
    """Seconds that this machine's clock is ahead of the cloud's, by the cloud's latest answer."""
    names_rewritten: int = 0
    tags_dropped: int = 0
    values_clamped: int = 0
    """Statistics outside the range of the API."""
    examples: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Log fields of one example each of `rewritten`, `unsent`, `clamped`; removed once logged."""


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
