"""In which order statsd_exporter tries its globs, and which of them it never does.

It keeps them in a tree of parts for each class. A glob that comes to a place where another one was before, to its end
or through it to a longer one, gets no place of its own: it is never found, and what ends there goes as late as it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_CLASSES: Final = ("counter", "gauge", "timer")


class Glob(NamedTuple):
    """A mapping's pattern."""

    text: str
    type: str
    """Empty: every class."""


class Place(NamedTuple):
    """When a glob is tried."""

    rank: int
    """A lower one goes first; -1: never."""
    is_exact: bool
    """It is the same for every class."""


def places(globs: Sequence[Glob]) -> list[Place]:
    """Return the place of each."""
    ranks: list[list[int]] = [[] for _ in globs]
    for class_ in _CLASSES:
        for number, rank in enumerate(_ranks(globs, class_)):
            if globs[number].type in ("", class_):
                ranks[number].append(rank)
    return [Place(max(found, default=-1), len(set(found)) == 1) for found in ranks]


def _ranks(globs: Sequence[Glob], class_: str) -> list[int]:
    ranks = [-1] * len(globs)
    passed: set[tuple[str, ...]] = set()
    ends: dict[tuple[str, ...], int] = {}
    for number, glob in enumerate(globs):
        if glob.type not in ("", class_):
            continue
        parts = tuple(glob.text.split("."))
        if parts not in passed:
            ends[parts] = number
        if parts in ends:
            ranks[ends[parts]] = number
        passed.update(parts[:length] for length in range(1, len(parts) + 1))
    return ranks
