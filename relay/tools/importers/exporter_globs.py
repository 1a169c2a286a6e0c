"""The order in which statsd_exporter tries its globs, and the globs that it never matches.

It keeps the globs of each class in a tree of their parts. If the node of a glob exists already, as the end of an
earlier glob or on the way to a longer one, the glob is never matched. An earlier glob that ends at the node gets its
rank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_CLASSES: Final = ("counter", "gauge", "timer")


class Glob(NamedTuple):
    """The pattern of a mapping."""

    text: str
    type: str
    """Empty: every class."""


class GlobRank(NamedTuple):
    """The position of a glob in the order."""

    rank: int
    """Lower ranks are tried first; -1: never."""
    is_exact: bool
    """The rank is the same for every class of the glob."""


def rank_globs(globs: Sequence[Glob]) -> list[GlobRank]:
    """Return the rank of each glob."""
    ranks: list[list[int]] = [[] for _ in globs]
    for class_ in _CLASSES:
        for number, rank in enumerate(_ranks(globs, class_)):
            if globs[number].type in ("", class_):
                ranks[number].append(rank)
    return [GlobRank(max(found, default=-1), len(set(found)) == 1) for found in ranks]


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
