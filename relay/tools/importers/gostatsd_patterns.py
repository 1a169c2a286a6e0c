"""Patterns of gostatsd's filters: a name, a prefix of names, or a regex, each possibly inverted.

gostatsd's filters match a name with `namespace` and a dot before it; our rules match the received name. So the
namespace is removed from each pattern, and a pattern outside of the namespace matches nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEGAL: Final = re.compile(r"[A-Za-z0-9._-]*")
"""Characters of a name after gostatsd's rewriting, which precedes its filters."""


class Region(NamedTuple):
    """One name, or all names with a prefix; two regions are disjoint, or one contains the other."""

    text: str
    is_open: bool
    """Whether the region is all names that begin with `text`."""

    def holds(self, other: Region) -> bool:
        """Say whether every name of another region is in this one."""
        return other.text.startswith(self.text) if self.is_open else self == other

    def pattern(self) -> dict[str, str]:
        """Return `match` or `regex` of a rule."""
        if not self.is_open:
            return {"match": self.text}
        if not self.text or self.text.endswith("."):
            return {"match": f"{self.text}**"}
        return {"regex": f"^{self.text.replace('.', '[.]')}"}


EVERY_NAME: Final = Region("", is_open=True)


class Match(NamedTuple):
    """One entry of `match-metrics` or `exclude-metrics`."""

    region: Region | None = None
    """None: the entry matches nothing, or is a regex."""
    regex: str = ""
    is_inverted: bool = False

    @classmethod
    def parse(cls, text: str, namespace: str) -> Match:
        """Parse an entry; `namespace` ends in its dot."""
        is_inverted = text.startswith("!")
        text = text.removeprefix("!")
        if text.startswith("regex:"):
            return cls(regex=text.removeprefix("regex:"), is_inverted=is_inverted)
        return cls(_region(text, namespace), is_inverted=is_inverted)

    def fits(self, region: Region) -> bool:
        """Say whether the entry matches the names of a region that are in no narrower region."""
        return (self.region is not None and self.region.holds(region)) != self.is_inverted


def _region(text: str, namespace: str) -> Region | None:
    is_open = text.endswith("*")
    text = text.removesuffix("*")
    if not _LEGAL.fullmatch(text.removeprefix(namespace)):
        return None
    if text.startswith(namespace) and (is_open or text != namespace):
        return Region(text.removeprefix(namespace), is_open)
    return EVERY_NAME if is_open and namespace.startswith(text) else None


def narrowest_first(regions: Sequence[Region]) -> list[Region]:
    """Return each region once, before every region that contains it."""
    return sorted(dict.fromkeys(regions), key=lambda region: (-len(region.text), region.is_open))
