"""Quantiles and cardinalities in bounded memory: the Python reference for the native implementation.

`Sketch`: exact up to 64 samples, or a higher configured bound; beyond it the DDSketch layout with gamma = 1.01/0.99,
accurate to 1 %. `Distinct`: exact up to 2,048 members; beyond them a HyperLogLog of 2**14 registers with a standard
error of 0.81 %.

Invariant (I3): `merge` of each is commutative, and associative up to rounding. The serialised rollups (partial.py)
contain the state of both. Does not know: series, windows.
"""

from __future__ import annotations

import math
from math import ceil, log
from typing import TYPE_CHECKING, Final

import xxhash

from relay import limits

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOG_GAMMA: Final = math.log((1 + limits.SKETCH_ACCURACY) / (1 - limits.SKETCH_ACCURACY))
_REGISTERS: Final = 1 << limits.SET_PRECISION
_REST_BITS: Final = 64 - limits.SET_PRECISION
_ESTIMATE_MAX: Final = 2.0**64
"""Upper bound of the estimate, since hashes have 64 bits. Without it, full registers would give infinity."""


class Sketch:
    """State: either up to `exact_limit` weighted samples, or weights per logarithmic bin, one side per sign."""

    __slots__ = ("exact", "exact_limit", "high", "low", "negative", "positive", "zero")

    def __init__(self, exact_limit: int = limits.QUANTILE_EXACT) -> None:
        self.exact_limit = exact_limit
        self.exact: list[tuple[float, float]] | None = []
        """Samples as (value, weight); None once the bins are used."""
        self.positive: dict[int, float] = {}
        """Weight by bin; bin i covers gamma**(i-1) < value <= gamma**i."""
        self.negative: dict[int, float] = {}
        self.zero = 0.0
        self.low = math.inf
        self.high = -math.inf

    def size(self) -> int:
        """Return the number of samples or bins held."""
        return len(self.positive) + len(self.negative) if self.exact is None else len(self.exact)

    def extend(self, values: list[float], weight: float, low: float, high: float) -> None:
        """Add finite values of one weight; `low` is the least of them, `high` the greatest."""
        self.low = min(low, self.low)
        self.high = max(high, self.high)
        if self.exact is not None:
            if len(self.exact) + len(values) <= self.exact_limit:
                self.exact.extend([(value, weight) for value in values])
                return
            self.coarsen()
        if low >= limits.SKETCH_ZERO:
            self._bin_positive(values, weight)
        else:
            self._bin([(value, weight) for value in values])

    def coarsen(self) -> None:
        """Move the exact samples into bins; the sketch uses bins from now on."""
        exact, self.exact = self.exact or (), None
        self._bin(exact)

    def merge(self, other: Sketch) -> None:
        """Add another sketch's weights; `other` is not changed."""
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        if self.exact is not None:
            if other.exact is not None and len(self.exact) + len(other.exact) <= self.exact_limit:
                self.exact.extend(other.exact)
                return
            self.coarsen()
        if other.exact is not None:
            self._bin(other.exact)
            return
        for mine, theirs in ((self.positive, other.positive), (self.negative, other.negative)):
            for index, weight in theirs.items():
                mine[index] = mine.get(index, 0.0) + weight
            _collapse(mine)
        self.zero += other.zero

    def quantile(self, q: float) -> float:
        """Return the smallest value at which the cumulative weight reaches q (0..1) of the total; 0 if empty."""
        entries = sorted(self.exact) if self.exact is not None else list(self._ascending())
        target = q * math.fsum(weight for _, weight in entries)
        reached = 0.0
        for value, weight in entries:
            reached += weight
            if reached >= target:
                return min(max(value, self.low), self.high)
        return self.high if entries else 0.0

    def ascending(self) -> tuple[list[float], list[float] | None]:
        """Return the values in ascending order, and their weights; None instead of weights while samples are exact."""
        if self.exact is not None:
            return sorted([value for value, _ in self.exact]), None
        bins = list(self._ascending())
        return [min(max(value, self.low), self.high) for value, _ in bins], [weight for _, weight in bins]

    def _ascending(self) -> Iterable[tuple[float, float]]:
        for index in sorted(self.negative, reverse=True):
            yield -_bin_value(index), self.negative[index]
        if self.zero:
            yield 0.0, self.zero
        for index in sorted(self.positive):
            yield _bin_value(index), self.positive[index]

    def _bin_positive(self, values: list[float], weight: float) -> None:
        """Add positive values, 2.5 times as fast as `_bin`. A third of the time spent on a timer line is spent here."""
        side = self.positive
        for index in [ceil(log(value) / _LOG_GAMMA) for value in values]:
            side[index] = side.get(index, 0.0) + weight
        _collapse(side)

    def _bin(self, samples: Iterable[tuple[float, float]]) -> None:
        for value, weight in samples:
            if -limits.SKETCH_ZERO < value < limits.SKETCH_ZERO:
                self.zero += weight
                continue
            side = self.positive if value > 0 else self.negative
            index = ceil(log(abs(value)) / _LOG_GAMMA)
            side[index] = side.get(index, 0.0) + weight
        _collapse(self.positive)
        _collapse(self.negative)


def _bin_value(index: int) -> float:
    """Return the value of bin `index`; its relative distance to both edges of the bin is 1 %."""
    exponent = index * _LOG_GAMMA
    return math.exp(min(exponent, 709.0)) * (1 - limits.SKETCH_ACCURACY)


def _collapse(side: dict[int, float]) -> None:
    """Merge the bins nearest to zero into one if the side has more than SKETCH_BINS bins."""
    excess = len(side) - limits.SKETCH_BINS
    if excess > 0:
        lowest = sorted(side)[: excess + 1]
        folded = math.fsum(side.pop(index) for index in lowest)
        side[lowest[-1]] = folded


class Distinct:
    """State: either the 64-bit hashes of up to 2,048 members, or the registers of a HyperLogLog."""

    __slots__ = ("hashes", "registers")

    def __init__(self) -> None:
        self.hashes: set[int] | None = set()
        """64-bit hashes of the members; None once the registers are used."""
        self.registers = bytearray()

    def size(self) -> int:
        """Return the number of hashes or registers held."""
        return len(self.registers) if self.hashes is None else len(self.hashes)

    def add(self, member: bytes) -> None:
        """Add one member. Its hash, XXH64 with seed 0, is part of the format in partial.py."""
        hashed = xxhash.xxh64_intdigest(member)
        if self.hashes is not None and len(self.hashes) < limits.SET_EXACT:
            self.hashes.add(hashed)
        else:
            self._add_hash(hashed)

    def _add_hash(self, hashed: int) -> None:
        if self.hashes is None:
            self._register(hashed)
            return
        self.hashes.add(hashed)
        if len(self.hashes) > limits.SET_EXACT:
            self.coarsen()

    def coarsen(self) -> None:
        """Move the exact members into registers; the set uses registers from now on."""
        hashes, self.hashes = self.hashes or (), None
        if not self.registers:
            self.registers = bytearray(_REGISTERS)
        for hashed in hashes:
            self._register(hashed)

    def merge(self, other: Distinct) -> None:
        """Add another set's members; `other` is not changed."""
        if other.hashes is None:
            self.coarsen()
            self.registers = bytearray(map(max, self.registers, other.registers))
        else:
            for hashed in other.hashes:
                self._add_hash(hashed)

    def cardinality(self) -> int:
        """Return the number of distinct members, exact or estimated."""
        return len(self.hashes) if self.hashes is not None else round(_estimate(self.registers))

    def _register(self, hashed: int) -> None:
        index = hashed >> _REST_BITS
        rank = _REST_BITS - (hashed & ((1 << _REST_BITS) - 1)).bit_length() + 1
        self.registers[index] = max(rank, self.registers[index])


def _estimate(registers: bytearray) -> float:
    """Return Ertl's improved raw estimate (arXiv:1702.01284, algorithm 6). It needs no bias tables, at any size."""
    count = [0] * (_REST_BITS + 2)
    for rank in registers:
        count[rank] += 1
    z = _REGISTERS * _tau(1.0 - count[_REST_BITS + 1] / _REGISTERS)
    for rank in range(_REST_BITS, 0, -1):
        z = 0.5 * (z + count[rank])
    z += _REGISTERS * _sigma(count[0] / _REGISTERS)
    return min(_REGISTERS * _REGISTERS / (2.0 * math.log(2.0)) / z, _ESTIMATE_MAX) if z else _ESTIMATE_MAX


def _sigma(x: float) -> float:
    """Return Ertl's sigma: x plus the sum of 2**(k-1) * x**(2**k); x is the share of empty registers."""
    if x == 1.0:
        return math.inf
    y, z, before = 1.0, x, -1.0
    while z != before:
        x *= x
        before = z
        z += x * y
        y += y
    return z


def _tau(x: float) -> float:
    """Return Ertl's tau; 1 - x is the share of full registers."""
    if x in (0.0, 1.0):
        return 0.0
    y, z, before = 1.0, 1.0 - x, -1.0
    while z != before:
        x = math.sqrt(x)
        before = z
        y *= 0.5
        z -= (1.0 - x) ** 2 * y
    return z / 3.0
