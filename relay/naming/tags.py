"""Reading tags: the `|#` section and the four styles of tags inside names.

Everything here works on decoded text; what is legal for the API is decided afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from relay.naming.dimensions import are_legal, legal_pairs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

INTERNAL = "dd.internal."
_KNOWN: Final = 1_000
_KNOWN_BYTES: Final = 512
"""Longer sections are read each time: what is known must be bounded."""


class Section(NamedTuple):
    """The tags after `|#`."""

    tags: Sequence[tuple[str, str]]
    """As received."""
    pairs: Mapping[str, str]
    """Legal ones, which nobody changes."""
    are_legal: bool
    """They were legal as received."""


NO_TAGS: Final = Section((), {}, are_legal=True)


class Sections:
    """State: the newest sections with what they say; a fleet has many more names than different sections."""

    def __init__(self) -> None:
        self._known: dict[bytes, Section] = {b"": NO_TAGS}

    def __repr__(self) -> str:
        """Report the size."""
        return f"<Sections {len(self._known)}>"

    def read(self, text: bytes) -> Section:
        """Return what a section says."""
        found = self._known.get(text)
        if found is None:
            tags = list(section_tags(text.decode("utf-8", "replace")))
            found = Section(tags, legal_pairs(tags), are_legal(tags))
            if len(text) <= _KNOWN_BYTES:
                if len(self._known) >= _KNOWN:
                    self._known.clear()
                self._known[text] = found
        return found


def section_tags(section: str) -> Iterator[tuple[str, str]]:
    """Yield the pairs of a `|#` section: split at the first colon; a bare tag is `true`; empty entries are nothing."""
    for entry in section.split(","):
        key, colon, value = entry.partition(":")
        if entry and not entry.startswith(INTERNAL):
            yield key, value if colon else "true"


def split_inline(name: str, dialects: Collection[str]) -> tuple[str, list[tuple[str, str]]]:
    """Return the name without its inline tags, and the tags; a part without `=` stays in the name.

    graphite `name;k=v;l=w` · influx `name,k=v,l=w` · librato `name#k=v,l=w` · signalfx `name[k=v,l=w]rest`.
    """
    tags: list[tuple[str, str]] = []
    if "signalfx" in dialects and "[" in name:
        name = _split_brackets(name, tags)
    if "librato" in dialects and "#" in name:
        name, _, listed = name.partition("#")
        name += _take(listed.split(","), "#", tags)
    for dialect, separator in (("graphite", ";"), ("influx", ",")):
        if dialect in dialects and separator in name:
            name, *parts = name.split(separator)
            name += _take(parts, separator, tags)
    return name, tags


def _split_brackets(name: str, tags: list[tuple[str, str]]) -> str:
    before, _, after = name.partition("[")
    listed, closed, rest = after.partition("]")
    return before + _take(listed.split(","), "[", tags) + rest if closed else name


def _take(parts: list[str], separator: str, tags: list[tuple[str, str]]) -> str:
    """Move the parts that are pairs to `tags`; return the others as they stood in the name."""
    kept = ""
    for part in parts:
        key, equals, value = part.partition("=")
        if equals and key:
            tags.append((key, value))
        else:
            kept += separator + part
    return kept
