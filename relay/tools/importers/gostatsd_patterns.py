"""Patterns of gostatsd's filters: a name, what names begin with, or a regex, each of which may be turned round.

Filters there see a name behind `namespace` and a dot; rules here see it as it is received. So the namespace is taken
off each pattern, and one that no name of that namespace can fit fits nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEGAL: Final = re.compile(r"[A-Za-z0-9._-]*")
"""What gostatsd leaves of a name before filters see it."""


class Region(NamedTuple):
    """One name, or all names with a beginning: any two are disjoint, or one holds the other."""

    text: str
    is_open: bool
    """All names that begin so."""

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
    """None: nothing, or a regex."""
    regex: str = ""
    is_inverted: bool = False

    @classmethod
    def parse(cls, text: str, namespace: str) -> Match:
        """Read an entry; `namespace` has its dot."""
        is_inverted = text.startswith("!")
        text = text.removeprefix("!")
        if text.startswith("regex:"):
            return cls(regex=text.removeprefix("regex:"), is_inverted=is_inverted)
        return cls(_region(text, namespace), is_inverted=is_inverted)

    def fits(self, region: Region) -> bool:
        """Say whether the names of a region fit that are in no narrower one."""
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
    """Return each region once, every one before those that hold it."""
    return sorted(dict.fromkeys(regions), key=lambda region: (-len(region.text), region.is_open))
