"""Names that are similar to a name: for a name that never came."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Final

from relay.clock import paced

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relay.clock import Clock

_LISTED: Final = 3
_SIMILAR: Final = 0.6
"""Least similarity, as in difflib.get_close_matches."""
_CHARACTERS: Final = 100
"""Characters that are compared: the time grows with their square."""


async def near_names(name: str, names: Iterable[str], clock: Clock) -> list[str]:
    """Return up to three of the names that are similar to one, the most similar first; paced.

    Args:
        name: what was asked for.
        names: what is known; bounded by the caller.
        clock: paces the comparisons.
    """
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(name[:_CHARACTERS])
    found: list[tuple[float, str]] = []
    async for other in paced(clock, names):
        if other == name:
            continue
        matcher.set_seq1(other[:_CHARACTERS])
        if matcher.real_quick_ratio() >= _SIMILAR and matcher.quick_ratio() >= _SIMILAR:
            ratio = matcher.ratio()
            if ratio >= _SIMILAR:
                found = sorted([*found, (ratio, other)], key=lambda one: (-one[0], one[1]))[:_LISTED]
    return [other for _, other in found]
