"""Lines made ahead for a steady load, and what a number of them adds up to. Pure; draws come in as an argument.

A round of datagrams is made once and sent over and over, so that sending costs next to nothing and totals are exact:
series i has type i modulo the types, and takes its turn with all others.
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
"""Lines of a round, so that values vary even if series are few."""
_VALUES: Final = 1_000


@dataclass(slots=True)
class Total:
    """What lines of one type add up to.

    `sum`: of counters and timers, their values; of gauges, the last values of all series; of sets, the distinct
    members of all series.
    """

    lines: int = 0
    series: int = 0
    sum: int = 0


@dataclass(slots=True)
class _Tally:
    """Lines of one type, while they are read."""

    lines: int = 0
    values: int = 0
    last: dict[str, int] = field(default_factory=dict)
    members: set[tuple[str, str]] = field(default_factory=set)


class Mix:
    """State: one round of datagrams.

    Args:
        types: StatsD's, of `TYPES`; a word may be repeated to have more of it.
        series: how many names there are.
        lines: in each datagram.
        draw: a whole number from 0 up to its argument.
        tags: written on every line, `k:v,k:v`; empty: none.
        name: every name begins with it.

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

    def __repr__(self) -> str:
        """Report the size of a round."""
        return f"<Mix of {len(self.datagrams)} datagrams, {self.lines} lines each>"

    def totals(self, sent: int) -> dict[str, Total]:
        """Return what the first `sent` datagrams add up to, by type; a round is followed by the same round."""
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
    """Add so many rounds and a part of one."""
    last = whole.last | part.last
    sums = {"g": sum(last.values()), "s": len(whole.members | part.members)}
    return Total(
        lines=whole.lines * rounds + part.lines,
        series=len(last),
        sum=sums.get(kind, whole.values * rounds + part.values),
    )
