"""Reading tags: the `|#` section and the four styles of tags inside names.

Everything here works on decoded text; what is legal for the API is decided afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from relay import limits
from relay.naming.characters import LEGAL
from relay.naming.dimensions import are_legal, legal_pairs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

INTERNAL = "dd.internal."
_KNOWN: Final = 1_000
_KNOWN_BYTES: Final = 512
"""Longer sections are read each time: what is known must be bounded."""


_PLAIN: Final = LEGAL + b",:"
"""What stands in a section of legal tags with values."""


class Section(NamedTuple):
    """The tags after `|#`."""

    text: str
    """As received, as much as is read."""
    pairs: Mapping[str, str]
    """Legal ones, which nobody changes."""
    are_legal: bool
    """They were legal as received."""
    unread: int = 0
    """How many there were beyond those that are read."""

    @property
    def tags(self) -> Sequence[tuple[str, str]]:
        """The tags as received."""
        return list(section_tags(self.text))


NO_TAGS: Final = Section("", {}, are_legal=True)


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
            found = read_section(text)
            if len(text) <= _KNOWN_BYTES:
                if len(self._known) >= _KNOWN:
                    self._known.clear()
                self._known[text] = found
        return found


def read_section(text: bytes) -> Section:
    """Return what a section says."""
    if not text:
        return NO_TAGS
    unread = text.count(b",") + 1 - limits.TAGS_READ
    if unread <= 0:
        unread = 0
    else:
        text = b",".join(text.split(b",", limits.TAGS_READ)[: limits.TAGS_READ])
    return _read_plain(text, unread) or _read_any(text.decode("utf-8", "replace"), unread)


def _read_plain(text: bytes, unread: int) -> Section | None:
    """Read a section in which all is as it should be: legal keys with legal values; None: it is not one."""
    if text.translate(None, _PLAIN):
        return None
    section = text.decode("ascii")
    if INTERNAL in section:
        return None
    try:
        pairs = dict([entry.split(":") for entry in section.split(",")])
    except ValueError:
        return None
    return None if "" in pairs or "" in pairs.values() else Section(section, pairs, True, unread)


def _read_any(section: str, unread: int) -> Section:
    tags = list(section_tags(section))
    return Section(section, legal_pairs(tags), are_legal(tags), unread)


def section_tags(section: str) -> Iterator[tuple[str, str]]:
    """Yield the pairs of a `|#` section; empty entries are nothing.

    A tag is split at its first colon; one without a colon at its first `=`; a bare one is `true`.
    """
    for entry in section.split(","):
        key, separator, value = entry.partition(":" if ":" in entry else "=")
        if entry and not entry.startswith(INTERNAL):
            yield key, value if separator else "true"


_SEPARATORS: Final = {"graphite": ";", "influx": ",", "librato": "#"}


def separators(dialects: Collection[str]) -> str:
    """Return what may stand between a name and its first inline tag; behind signalfx's bracket the name goes on."""
    return "".join(separator for dialect, separator in _SEPARATORS.items() if dialect in dialects)


def split_inline(name: str, dialects: Collection[str]) -> tuple[str, list[tuple[str, str]]]:
    """Return the name without its inline tags, and the tags; a part without `=` stays in the name.

    What stands behind as many as are read belongs to the value of the last one.

    graphite `name;k=v;l=w` · influx `name,k=v,l=w` · librato `name#k=v,l=w` · signalfx `name[k=v,l=w]rest`.
    """
    tags: list[tuple[str, str]] = []
    if "signalfx" in dialects and "[" in name:
        name = _split_brackets(name, tags)
    if "librato" in dialects and "#" in name:
        name, _, listed = name.partition("#")
        name += _take(listed.split(",", limits.TAGS_READ), "#", tags)
    for dialect, separator in (("graphite", ";"), ("influx", ",")):
        if dialect in dialects and separator in name:
            name, *parts = name.split(separator, limits.TAGS_READ)
            name += _take(parts, separator, tags)
    return name, tags


def _split_brackets(name: str, tags: list[tuple[str, str]]) -> str:
    before, _, after = name.partition("[")
    listed, closed, rest = after.partition("]")
    return before + _take(listed.split(",", limits.TAGS_READ), "[", tags) + rest if closed else name


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
