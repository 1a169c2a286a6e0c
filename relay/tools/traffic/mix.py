"""Generates the lines of a steady load, and computes the exact totals of any number of them. Pure.

A round of datagrams is made once and sent repeatedly, so that sending is cheap and the totals are exact. Series i has
type i modulo the number of types; the lines of a round visit the series in turn. Random numbers are an argument.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from relay import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TYPES: Final = ("c", "g", "ms", "h", "d", "s")
_ROUND_LEAST: Final = 10_000
"""Minimum number of lines in a round, so that values vary even with few series."""
_VALUES: Final = 1_000


@dataclass(slots=True)
class Total:
    """Totals of the lines of one type.

    `sum` is the sum of the values of counters and timers, the sum of the last values of all gauges, or the number of
    distinct members of all sets.
    """

    lines: int = 0
    series: int = 0
    sum: int = 0


@dataclass(slots=True)
class _Tally:
    """Totals of one type while its lines are counted."""

    lines: int = 0
    values: int = 0
    last: dict[str, int] = field(default_factory=dict)
    members: set[tuple[str, str]] = field(default_factory=set)


class Mix:
    """State: one round of datagrams.

    Args:
        types: types of StatsD, from `TYPES`; a repeated type gets more series.
        series: number of names.
        lines: lines in each datagram.
        draw: returns a random integer from 0 up to, but without, its argument.
        tags: `k:v,k:v`, written on every line; empty: no tags.
        name: prefix of every name.

    Raises:
        ValueError: a datagram would be larger than one can be.
    """

    def __init__(
        self,
        *,
        types: Sequence[str],
        series: int,
        lines: int,
        draw: Callable[[int], int],
        tags: str = "",
        name: str = "load",
    ) -> None:
        self.lines = lines
        self._tail = f"|#{tags}" if tags else ""
        count = -(-max(series, _ROUND_LEAST) // lines) * lines
        names = [f"{name}.{types[number % len(types)]}.{number}" for number in range(series)]
        kinds = [types[number % len(types)] for number in range(series)]
        made = (
            f"{names[number % series]}:{_value(kinds[number % series], draw)}|{kinds[number % series]}{self._tail}"
            for number in range(count)
        )
        self.datagrams = ["\n".join(islice(made, lines)).encode() for _ in range(count // lines)]
        largest = max(map(len, self.datagrams))
        if largest > limits.DATAGRAM_BYTES:
            raise ValueError(f"{lines} lines make {largest:,} bytes; a datagram holds {limits.DATAGRAM_BYTES:,}")

    def totals(self, sent: int) -> dict[str, Total]:
        """Return the totals of the first `sent` datagrams by type, with the round repeated."""
        rounds, rest = divmod(sent, len(self.datagrams))
        whole = self._tally(self.datagrams if rounds else [])
        part = self._tally(self.datagrams[:rest])
        return {
            kind: _add(kind, whole.get(kind, _Tally()), rounds, part.get(kind, _Tally()))
            for kind in TYPES
            if kind in whole or kind in part
        }

    def _tally(self, datagrams: Sequence[bytes]) -> dict[str, _Tally]:
        found: dict[str, _Tally] = {}
        for line in chain.from_iterable(datagram.decode().split("\n") for datagram in datagrams):
            name, _, rest = line.removesuffix(self._tail).partition(":")
            value, _, kind = rest.partition("|")
            tally = found.setdefault(kind, _Tally())
            tally.lines += 1
            tally.last[name] = 0 if kind == "s" else int(value)
            if kind == "s":
                tally.members.add((name, value))
            else:
                tally.values += int(value)
        return found


def _value(kind: str, draw: Callable[[int], int]) -> str:
    return f"u{draw(_VALUES)}" if kind == "s" else str(draw(_VALUES) + 1)


def _add(kind: str, whole: _Tally, rounds: int, part: _Tally) -> Total:
    """Return the totals of `rounds` whole rounds and a part of a round."""
    last = whole.last | part.last
    sums = {"g": sum(last.values()), "s": len(whole.members | part.members)}
    return Total(
        lines=whole.lines * rounds + part.lines,
        series=len(last),
        sum=sums.get(kind, whole.values * rounds + part.values),
    )
