"""Globs on dotted names, `web.*.request.**`, and the tree that finds the first of many for a name.

A part is a text, `*` for exactly one part, or, at the end, `**` for one or more; parts may be empty. Each level of the
tree is a part, so a name walks down all globs at once, and those whose parts differ from its own cost nothing.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.patterns import PatternError

if TYPE_CHECKING:
    from collections.abc import Sequence

NEVER: Final = sys.maxsize
"""Number of the glob that matches when none does."""


class Glob(NamedTuple):
    """A pattern, read."""

    parts: tuple[str, ...]
    """Without a final `**`."""
    is_open: bool
    """It ends in `**`."""
    stars: tuple[int, ...] = ()
    """Which parts of a name are captures; that of `**` is all that is left."""

    @classmethod
    def parse(cls, text: str) -> Glob:
        """Read a glob.

        Raises:
            PatternError: a star beside other text in a part, or `**` before the end.
        """
        parts = text.split(".")
        for number, part in enumerate(parts, 1):
            if part == "**" and number < len(parts):
                raise PatternError("** must be the last part", "write * for each part before the end")
            if "*" in part and part not in ("*", "**"):
                fix = f"a star is a whole part; for pieces of one use regex = '{_as_regex(parts)}'"
                raise PatternError(f'part "{part}" has a star beside other text', fix)
        is_open = parts[-1] == "**"
        stars = tuple(number for number, part in enumerate(parts) if part in ("*", "**"))
        return cls(tuple(parts[:-1] if is_open else parts), is_open, stars)

    @property
    def groups(self) -> int:
        """How many captures it has: one for each star, and one for `**`."""
        return len(self.stars)

    def captures(self, name: str) -> tuple[str, ...]:
        """Return what the stars stand for in a name that it matches."""
        if not self.stars:
            return ()
        parts = name.split(".", len(self.parts))
        return tuple([parts[number] for number in self.stars])


def _as_regex(parts: Sequence[str]) -> str:
    pieces = ["(.+)" if part == "**" else re.escape(part).replace(r"\*", "([^.]*)") for part in parts]
    return "^" + r"\.".join(pieces) + "$"


class _Node:
    """State: the parts that may come next, and the least numbers of the globs that end here and below."""

    __slots__ = ("end", "least", "literals", "rest", "star")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.star: _Node | None = None
        self.end = NEVER
        """Of globs whose last part was the one before."""
        self.rest = NEVER
        """Of globs with `**` here."""
        self.least = NEVER
        """Of all that go through here."""

    def child(self, part: str) -> _Node:
        """Return the node of a part, made if need be."""
        if part != "*":
            return self.literals.setdefault(part, _Node())
        self.star = self.star or _Node()
        return self.star


class GlobTree:
    """State: the globs that were added, each with a number; a lower number goes first."""

    def __init__(self) -> None:
        self._root = _Node()
        self._depth = 0

    def __repr__(self) -> str:
        """Report the depth."""
        return f"<GlobTree {self._depth} parts deep>"

    def add(self, glob: Glob, number: int) -> None:
        """Add a glob."""
        node = self._root
        node.least = min(node.least, number)
        for part in glob.parts:
            node = node.child(part)
            node.least = min(node.least, number)
        if glob.is_open:
            node.rest = min(node.rest, number)
        else:
            node.end = min(node.end, number)
        self._depth = max(self._depth, len(glob.parts))

    def first(self, name: str) -> int:
        """Return the least number of a glob that matches a name; NEVER if none does."""
        # Deeper than the deepest glob only `**` reaches: a name of 60,000 dots is not cut into as many parts.
        parts = name.split(".", self._depth)
        best, node, depth, last = NEVER, self._root, 0, len(parts)
        waiting: list[tuple[_Node, int]] = []
        while True:  # the same walk as below, for every new name: only where a text and a star both fit, one waits
            following = None
            if node.least < best and depth < last:
                best, following = min(best, node.rest), node.literals.get(parts[depth])
                depth += 1
                if following is None:
                    following = node.star
                elif node.star is not None:
                    waiting.append((node.star, depth))
            elif node.least < best:
                best = min(best, node.end)
            if following is None:
                if not waiting:
                    return best
                following, depth = waiting.pop()
            node = following

    def covering(self, glob: Glob) -> int:
        """Return the least number of a glob that matches every name this one matches; NEVER if none does."""
        return self._walk(glob.parts, is_open=glob.is_open)

    def _walk(self, parts: Sequence[str], *, is_open: bool) -> int:
        """Go down by a name's parts, or by a glob's: there a star meets stars alone, as no text is called `*`."""
        best, waiting = NEVER, [(self._root, 0)]
        while waiting:
            node, depth = waiting.pop()
            if node.least >= best:
                continue
            if depth == len(parts):
                best = min(best, node.rest if is_open else node.end)
                continue
            if node.rest != NEVER:
                best = min(best, node.rest)
            if node.star is not None:
                waiting.append((node.star, depth + 1))
            literal = node.literals.get(parts[depth])
            if literal is not None:
                waiting.append((literal, depth + 1))
        return best
