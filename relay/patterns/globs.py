"""Globs on dotted names, such as `web.*.request.**`, and a tree that finds the first matching glob of many.

A part of a glob is a literal text, `*` for exactly one part of the name, or, at the end, `**` for one or more parts.
Parts may be empty. Each level of the tree is one part, so a lookup checks all globs at once and never visits globs with
a different literal part.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.patterns import PatternError

if TYPE_CHECKING:
    from collections.abc import Sequence

NEVER: Final = sys.maxsize
"""Number returned when no glob matches; greater than every number of a glob."""


class Glob(NamedTuple):
    """A parsed glob."""

    parts: tuple[str, ...]
    """The parts, without a final `**`."""
    is_open: bool
    """Whether the glob ends in `**`."""
    stars: tuple[int, ...] = ()
    """Indexes of the parts that are captures; the capture of `**` is the rest of the name."""

    @classmethod
    def parse(cls, text: str) -> Glob:
        """Parse a glob.

        Raises:
            PatternError: a part mixes a star with other text, or `**` is not at the end.
        """
        parts = text.split(".")
        for number, part in enumerate(parts, 1):
            if part == "**" and number < len(parts):
                raise PatternError("** must be the last part", "write * for each earlier part")
            if "*" in part and part not in ("*", "**"):
                fix = f"a star stands for a whole part; otherwise use regex = '{_as_regex(parts)}'"
                raise PatternError(f'part "{part}" has a star beside other text', fix)
        is_open = parts[-1] == "**"
        stars = tuple(number for number, part in enumerate(parts) if part in ("*", "**"))
        return cls(tuple(parts[:-1] if is_open else parts), is_open, stars)

    @property
    def groups(self) -> int:
        """Number of captures: one for each `*`, and one for `**`."""
        return len(self.stars)

    def captures(self, name: str) -> tuple[str, ...]:
        """Return the captures in a name; the glob must match the name."""
        if not self.stars:
            return ()
        parts = name.split(".", len(self.parts))
        return tuple([parts[number] for number in self.stars])


def _as_regex(parts: Sequence[str]) -> str:
    pieces = ["(.+)" if part == "**" else re.escape(part).replace(r"\*", "([^.]*)") for part in parts]
    return "^" + r"\.".join(pieces) + "$"


class _Node:
    """State: the children by part, and the least numbers of the globs that end here, continue with `**`, or pass."""

    __slots__ = ("end", "least", "literals", "rest", "star")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.star: _Node | None = None
        self.end = NEVER
        """Least number of the globs that end at this node."""
        self.rest = NEVER
        """Least number of the globs that have `**` after this node."""
        self.least = NEVER
        """Least number of all globs that pass through this node."""

    def child(self, part: str) -> _Node:
        """Return the child for a part, created if it is missing."""
        if part != "*":
            return self.literals.setdefault(part, _Node())
        self.star = self.star or _Node()
        return self.star


class GlobTree:
    """State: the added globs, each with a number; the lowest number wins."""

    def __init__(self) -> None:
        self._root = _Node()
        self._depth = 0

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
        """Return the least number of the globs that match a name; NEVER if none does."""
        # Beyond the depth of the tree only `**` matches, so the split stops there: a name may have 60,000 dots.
        parts = name.split(".", self._depth)
        best, node, depth, last = NEVER, self._root, 0, len(parts)
        waiting: list[tuple[_Node, int]] = []
        # The same search as `_walk`, but faster, since it runs for every new name: a node is put on the stack only
        # where a literal and a star both match.
        while True:
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
        """Return the least number of the globs that match every name that `glob` matches; NEVER if none does."""
        return self._walk(glob.parts, is_open=glob.is_open)

    def _walk(self, parts: Sequence[str], *, is_open: bool) -> int:
        """Search by the parts of a glob: its stars match only stars of the tree, since no literal part is `*`."""
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
