"""The records in the frames of partial.py, and the check that a hot path can have written them.

The checksum of a frame has no key, so a frame with a correct checksum may still be forged. Every record is checked
before it is used: counts are within what can arrive, numbers are finite, weights are positive, samples, bins and set
members fit their containers, and only containers of the record's kind are present. kernel/record.c has the same rules;
both change together.

Does not know: frames on disk, windows, the table.
"""

from __future__ import annotations

from itertools import chain
from math import inf, isfinite
from typing import TYPE_CHECKING, Final

import msgspec

from relay import limits
from relay.model import Kind, Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SAMPLES_MAX: Final = 1 << 40
"""Maximum number of samples of a record: 100 times what arrives in an hour, so that sums of records do not overflow."""
_WINDOW_MAX: Final = 1 << 53
_BINS: Final = range(-1_036, 35_490)
"""Valid bin indexes: from the bin of 1e-9 to that of the greatest finite number."""
_REGISTERS: Final = 1 << limits.SET_PRECISION
_RANK_MAX: Final = 64 - limits.SET_PRECISION + 1
_HASHES: Final = 1 << 64
_TEXT_BYTES: Final = 65_535


class SketchState(msgspec.Struct, frozen=True, array_like=True):
    """A quantile sketch."""

    exact: list[tuple[float, float]] | None
    positive: dict[int, float]
    negative: dict[int, float]
    zero: float
    low: float
    high: float

    def is_valid(self) -> bool:
        """Return whether the state is valid: either samples or bins, with finite bounds."""
        if not -inf < self.low <= self.high < inf:
            return False
        if self.exact is not None:
            return not (self.positive or self.negative or self.zero) and _are_samples(self.exact)
        return 0 <= self.zero < inf and _are_bins(self.positive) and _are_bins(self.negative)


class RollupRecord(msgspec.Struct, frozen=True, array_like=True):
    """One cell of a window."""

    metric: str
    dimensions: tuple[tuple[str, str], ...]
    kind: Kind
    derived: bool
    samples: int
    count: float
    total: float
    low: float
    high: float
    last: float
    last_at: float
    sketch: SketchState | None
    hashes: list[int] | None
    registers: bytes
    namespace: str = ""
    """Last field; absent in files of releases without namespaces of series."""

    def series(self) -> Series:
        """Return the series of this cell."""
        return Series(self.metric, self.dimensions, self.kind, self.derived, self.namespace)

    def is_valid(self) -> bool:
        """Return whether a hot path can have written this record; one without samples marks a deleted series."""
        if self.samples == 0:
            return _is_name(self)
        numbers = all(map(isfinite, (self.count, self.total, self.last, self.last_at)))
        is_possible = _is_name(self) and 0 < self.samples <= _SAMPLES_MAX and numbers and self.count >= 0
        return is_possible and (self._is_valid_set() if self.kind is Kind.SET else self._is_valid_number())

    def _is_valid_number(self) -> bool:
        if self.hashes is not None or self.registers or not -inf < self.low <= self.high < inf:
            return False
        return self.sketch is None or (self.kind is Kind.TIMER and self.sketch.is_valid())

    def _is_valid_set(self) -> bool:
        if self.sketch is not None:
            return False
        if self.hashes is None:
            return len(self.registers) == _REGISTERS and max(self.registers) <= _RANK_MAX
        return not self.registers and len(self.hashes) <= limits.SET_EXACT and _are_hashes(self.hashes)


class GaugeRecord(msgspec.Struct, frozen=True, array_like=True):
    """The base of a gauge's deltas."""

    metric: str
    dimensions: tuple[tuple[str, str], ...]
    derived: bool
    value: float
    updated: int
    """Id of the window that received the last sample."""
    namespace: str = ""
    """As in RollupRecord."""
    at: float | None = None
    """Time of the value; absent in files of older releases."""

    def series(self) -> Series:
        """Return the series of this base."""
        return Series(self.metric, self.dimensions, Kind.GAUGE, self.derived, self.namespace)

    def known_at(self) -> float:
        """Return the time of the value; if it is absent, the start of its window."""
        return float(self.updated) if self.at is None else self.at

    def is_valid(self) -> bool:
        """Return whether a hot path can have written this record."""
        is_id = -_WINDOW_MAX <= self.updated <= _WINDOW_MAX
        return _is_name(self) and is_id and isfinite(self.value) and isfinite(self.known_at())


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """Up to 256 records of one window."""

    window: int
    rollups: list[RollupRecord] = []
    gauges: list[GaugeRecord] = []
    host: str = ""
    """Host of the relay that wrote the file; only in the first frame of a checkpoint, absent in older releases."""

    def count_invalid(self) -> int:
        """Return the number of records that no hot path can have written."""
        rollups = sum(not record.is_valid() for record in self.rollups)
        return rollups + sum(not record.is_valid() for record in self.gauges)

    def without_invalid(self) -> Frame:
        """Return the frame without the records that no hot path can have written."""
        rollups = [record for record in self.rollups if record.is_valid()]
        gauges = [record for record in self.gauges if record.is_valid()]
        return msgspec.structs.replace(self, rollups=rollups, gauges=gauges)


def _is_name(record: RollupRecord | GaugeRecord) -> bool:
    """Return whether the texts are short enough and free of NUL, with which the kernel joins them."""
    texts = (record.namespace, *(text for pair in record.dimensions for text in pair))
    sizes = len(record.metric.encode()), len("\0".join(texts).encode())
    return max(sizes) <= _TEXT_BYTES and not any("\0" in text for text in (record.metric, *texts))


def _are_samples(samples: list[tuple[float, float]]) -> bool:
    if len(samples) > limits.EXACT_MOST or not all(map(isfinite, chain.from_iterable(samples))):
        return False
    return all(weight > 0 for _, weight in samples)


def _are_bins(weights: Mapping[int, float]) -> bool:
    is_small = len(weights) <= limits.SKETCH_BINS
    return is_small and all(index in _BINS and 0 < weight < inf for index, weight in weights.items())


def _are_hashes(hashes: Iterable[int]) -> bool:
    return all(0 <= hashed < _HASHES for hashed in hashes)
