"""The rollup of one series in one window, while samples are still being added.

A cell collects values in the list `pending` and folds them into its statistics in bulk: `append` is the cheapest
operation per line in Python, and sum, min and max over a list cost a tenth of the same arithmetic per line. Every
reader of a cell folds it first. Sums saturate at the largest finite float, since the API carries neither infinity nor
NaN.

Does not know: its series, the other cells, the bounds of memory.
"""

from __future__ import annotations

import math
from typing import Final

from relay import limits
from relay.hotpath.sketch import Distinct, Sketch
from relay.model import Kind, Rollup

_FINITE: Final = 1.7976931348623157e308
CELL_BYTES: Final = 600
_ENTRY_BYTES: Final = 90
"""Bytes of a float in a tuple in a list, of a bin in a dict or of a hash in a set: measured, rounded up."""


def clamp_to_finite(value: float) -> float:
    """Replace an infinity by the largest finite float of its sign. The value must not be NaN."""
    return value if -_FINITE <= value <= _FINITE else min(max(value, -_FINITE), _FINITE)


class Cell:
    """State: the running statistics, the values not folded yet, and a sketch (timer) or a set."""

    __slots__ = (
        *("count", "total", "low", "high", "last", "last_at", "received_at"),
        *("kind", "pending", "pending_at", "samples", "exported", "weight", "sketch", "distinct"),
    )

    def __init__(self, kind: Kind, exact_samples: int = limits.QUANTILE_EXACT) -> None:
        self.kind = kind
        self.samples = 0
        """Number of samples, without the pending ones."""
        self.exported = 0
        """Number of samples at the last export."""
        self.count = 0.0
        self.total = 0.0
        self.low = math.inf
        self.high = -math.inf
        self.last = 0.0
        self.last_at = -math.inf
        """Time of `last`: its receive time; for a gauge with a timestamp, the timestamp."""
        self.received_at = 0.0
        """Receive time of `last`; 0: received before this process started."""
        self.pending: list[float] = []
        self.pending_at: float | None = None
        """Gauges: receive time of the last pending value. None for other types: `fold` then uses its argument `now`."""
        self.weight: float | None = None
        """Weight of all pending values; None before the first one, NaN after a second weight."""
        self.sketch = Sketch(exact_samples) if kind is Kind.TIMER else None
        self.distinct = Distinct() if kind is Kind.SET else None

    def size(self) -> int:
        """Return an estimate of the memory in use, in bytes."""
        entries = len(self.pending)
        if self.sketch is not None:
            entries += self.sketch.size()
        if self.distinct is not None:
            return CELL_BYTES + self.distinct.size() * (_ENTRY_BYTES if self.distinct.hashes is not None else 1)
        return CELL_BYTES + entries * _ENTRY_BYTES

    def shrink(self) -> None:
        """Switch to the approximate forms, to free memory."""
        if self.sketch is not None and self.sketch.exact:
            self.sketch.coarsen()
        if self.distinct is not None and len(self.distinct.hashes or ()) > limits.QUANTILE_EXACT:
            self.distinct.coarsen()

    def register_weight(self, weight: float, now: float) -> bool:
        """Register a weight; return whether its values may go to `pending`.

        At the second weight the pending values are folded, and the result is False from then on. All identities of a
        series share `pending`, so `last` follows receive order.
        """
        if self.weight is None:
            self.weight = weight
        elif self.weight != weight:
            self.fold(now)
            self.weight = math.nan
        return self.weight == weight

    def fold(self, now: float) -> None:
        """Add the pending values to the statistics; `now` is the receive time of the latest datagram."""
        if self.pending:
            weight = self.weight if self.weight is not None else 1.0
            self.add(self.pending, weight, now if self.pending_at is None else self.pending_at)
            self.pending.clear()

    def is_empty(self) -> bool:
        """Return whether the cell has no sample; a rejected line may have created it."""
        return not (self.samples or self.pending)

    def is_changed(self) -> bool:
        """Return whether the cell changed since its last export."""
        return bool(self.pending) or self.samples != self.exported

    def latest(self) -> float:
        """Return the last value received; the cell must have one."""
        return self.pending[-1] if self.pending else self.last

    def latest_at(self) -> float:
        """Return the time of a gauge's last value received; the cell must have one."""
        return self.pending_at if self.pending and self.pending_at is not None else self.last_at

    def add(self, values: list[float], weight: float, now: float, at: float | None = None) -> None:
        """Add values of one weight. The caller folds pending values first: they were received earlier.

        Args:
            values: values in receive order; at least one.
            weight: weight of each value.
            now: receive time.
            at: timestamp of a gauge's values; None: `now`.
        """
        self.samples += len(values)
        self.count = clamp_to_finite(self.count + len(values) * weight)
        self.total = clamp_to_finite(self.total + clamp_to_finite(clamp_to_finite(sum(values)) * weight))
        low, high = min(values), max(values)
        self.low = min(low, self.low)
        self.high = max(high, self.high)
        self.last, self.last_at, self.received_at = values[-1], now if at is None else at, now
        if self.sketch is not None:
            self.sketch.extend(values, weight, low, high)

    def add_member(self, member: bytes, now: float) -> None:
        """Add one member of a set."""
        if self.distinct is not None:
            self.samples += 1
            self.last_at = now
            self.distinct.add(member)

    def merge(self, other: Cell) -> None:
        """Add another cell's samples; both must be folded. Merging is commutative, and associative up to rounding."""
        if (other.last_at, other.last) > (self.last_at, self.last):
            self.adopt_last(other)
        self._merge_all_but_last(other)

    def merge_gauge(self, other: Cell) -> None:
        """Add samples of a gauge that waited for its name. `last` becomes the value received last."""
        if not self.samples or (other.received_at, other.last) > (self.received_at, self.last):
            self.adopt_last(other)
        self._merge_all_but_last(other)

    def adopt_last(self, other: Cell) -> None:
        """Copy `last` and its times from another cell."""
        self.last, self.last_at, self.received_at = other.last, other.last_at, other.received_at

    def _merge_all_but_last(self, other: Cell) -> None:
        self.samples += other.samples
        self.count = clamp_to_finite(self.count + other.count)
        self.total = clamp_to_finite(self.total + other.total)
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)
        if self.sketch is not None and other.sketch is not None:
            self.sketch.merge(other.sketch)
        if self.distinct is not None and other.distinct is not None:
            self.distinct.merge(other.distinct)

    def shift(self, base: float) -> None:
        """Add the base to the values of relative gauge samples."""
        self.total = clamp_to_finite(self.total + self.count * base)
        self.low, self.high, self.last = (clamp_to_finite(value + base) for value in (self.low, self.high, self.last))

    def rollup(self) -> Rollup:
        """Return the rollup. The cell must be folded and must not change while the rollup is in use."""
        if self.distinct is not None:
            size = float(self.distinct.cardinality())
            return Rollup(samples=self.samples, count=1.0, sum=size, min=size, max=size, last=size)
        return Rollup(
            samples=self.samples,
            count=self.count,
            sum=self.total,
            min=self.low,
            max=self.high,
            last=self.last,
            quantiles=self.sketch,
        )
