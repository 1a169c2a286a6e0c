"""The sorted samples of one timer in one window, exact (`ExactSamples`) or in bins (`BinnedSamples`). Pure.

Up to the bound of the hot path (limits.QUANTILE_EXACT_STATSD) every sample is kept, and the statistics are exact.
Beyond it, each value is accurate to 1 %, and the number of samples in a bin is derived from their weight. This number
is right if all samples have the same sample rate.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from operator import mul
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from relay import limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.model import Rollup

_WEIGHT_MAX: Final = 1e300
"""Largest weight; the smallest is its reciprocal. Sums of thousands of either do not overflow."""


class Part(NamedTuple):
    """A part of the sorted samples."""

    values: Sequence[float]
    counts: Sequence[float] | None
    """Number of samples of each value; None: one each."""
    bound: float
    """The last value of the part, next to the other samples."""

    def sum(self) -> float:
        """Return the sum of the samples."""
        return sum(self.values) if self.counts is None else math.fsum(map(mul, self.values, self.counts))

    def squares(self) -> float:
        """Return the sum of the squared samples."""
        return self._replace(values=list(map(mul, self.values, self.values))).sum()


class Distribution(Protocol):
    """The samples of one timer and window."""

    n: int

    def least(self, k: int) -> Part:
        """Return the k least samples; k is 1 to n."""
        ...

    def greatest(self, k: int) -> Part:
        """Return the k greatest samples; k is 1 to n."""
        ...

    def below(self, limit: float) -> int:
        """Return the number of samples less than `limit`."""
        ...


class ExactSamples:
    """State: every sample, in ascending order."""

    def __init__(self, values: Sequence[float]) -> None:
        self._values = values
        self.n = len(values)

    def least(self, k: int) -> Part:
        """See Distribution."""
        return Part(self._values[:k], None, self._values[k - 1])

    def greatest(self, k: int) -> Part:
        """See Distribution."""
        return Part(self._values[-k:], None, self._values[-k])

    def below(self, limit: float) -> int:
        """See Distribution."""
        return bisect_left(self._values, limit)


class BinnedSamples:
    """State: values in ascending order, and the samples of each: weights, scaled to sum up to the number of samples."""

    def __init__(self, values: Sequence[float], weights: Sequence[float], rollup: Rollup) -> None:
        self.n = rollup.samples
        # The API takes no larger values, and infinities of both signs would add up to NaN.
        self._values = [min(max(value, -limits.VALUE_MAX), limits.VALUE_MAX) for value in values]
        finite = [min(max(weight, 1 / _WEIGHT_MAX), _WEIGHT_MAX) for weight in weights]
        scale = self.n / math.fsum(finite)
        self._counts = [weight * scale for weight in finite]
        self._low, self._high = rollup.min, rollup.max

    def least(self, k: int) -> Part:
        """See Distribution."""
        part = _first(self._values, self._counts, k)
        return part._replace(bound=self._high) if k == self.n else part

    def greatest(self, k: int) -> Part:
        """See Distribution."""
        part = _first(self._values[::-1], self._counts[::-1], k)
        return part._replace(bound=self._low) if k == self.n else part

    def below(self, limit: float) -> int:
        """See Distribution."""
        return round(math.fsum(self._counts[: bisect_left(self._values, limit)]))


def _first(values: Sequence[float], counts: Sequence[float], k: int) -> Part:
    """Return the first k samples; a remainder below half a sample is a rounding error."""
    reached = 0.0
    taken: list[float] = []
    for count in counts:
        taken.append(min(count, k - reached))
        reached += count
        if reached > k - 0.5:
            break
    return Part(values[: len(taken)], taken, values[len(taken) - 1])


def distribution(rollup: Rollup) -> Distribution | None:
    """Return the samples of a timer; None for a rollup without samples of a timer."""
    values, weights = rollup.quantiles.ascending() if rollup.quantiles is not None else ([], None)
    if not values:
        return None
    return ExactSamples(values) if weights is None else BinnedSamples(values, weights, rollup)


def rank(percentile: float, n: int) -> int:
    """Return how many of n samples a percentile covers, rounded like JavaScript's Math.round; 0: skip it."""
    exact = abs(percentile) / 100 * n
    whole = math.floor(exact)
    return 1 if n == 1 else whole + (exact - whole >= 0.5)


def median(samples: Distribution) -> float:
    """Return the middle sample, or the mean of the two middle ones."""
    middle = samples.n // 2
    upper = samples.least(middle + 1).bound
    return upper if samples.n % 2 else (samples.least(middle).bound + upper) / 2


def deviation(samples: Distribution) -> float:
    """Return the standard deviation of a population (divided by n)."""
    whole = samples.least(samples.n)
    mean = whole.sum() / samples.n
    return math.sqrt(whole._replace(values=[value - mean for value in whole.values]).squares() / samples.n)
