"""Parses tags: the `|#` section, and the four dialects of inline tags in names.

Bounded (I6): at most `limits.TAGS_READ` tags of a section, and of inline tags in each dialect; the cache of sections
has a limit. Does not know: rules, which tags are sent.
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
"""Longest cached section, in bytes; longer ones are parsed each time, so that the cache is bounded."""


_PLAIN: Final = LEGAL + b",:"
"""Bytes of a section in which every tag is legal and has a value."""


class Section(NamedTuple):
    """The tags after `|#`."""

    text: str
    """Text as received, cut to the tags that are read."""
    pairs: Mapping[str, str]
    """Legal pairs; shared by a cache, so they must not be changed."""
    are_legal: bool
    """Whether the tags were legal as received."""
    unread: int = 0
    """Number of tags beyond `limits.TAGS_READ`."""

    @property
    def tags(self) -> Sequence[tuple[str, str]]:
        """The tags as received."""
        return list(section_tags(self.text))


NO_TAGS: Final = Section("", {}, are_legal=True)


class SectionCache:
    """State: a cache of parsed sections; a fleet sends far fewer distinct sections than names."""

    def __init__(self) -> None:
        self._known: dict[bytes, Section] = {b"": NO_TAGS}

    @property
    def size(self) -> int:
        """Number of sections in the cache."""
        return len(self._known)

    def read(self, text: bytes) -> Section:
        """Return the parsed section, from the cache if possible."""
        found = self._known.get(text)
        if found is None:
            found = read_section(text)
            if len(text) <= _KNOWN_BYTES:
                if len(self._known) >= _KNOWN:
                    self._known.clear()
                self._known[text] = found
        return found


def read_section(text: bytes) -> Section:
    """Parse a section of tags."""
    if not text:
        return NO_TAGS
    unread = text.count(b",") + 1 - limits.TAGS_READ
    if unread <= 0:
        unread = 0
    else:
        text = b",".join(text.split(b",", limits.TAGS_READ)[: limits.TAGS_READ])
    return _read_plain(text, unread) or _read_any(text.decode("utf-8", "replace"), unread)


def _read_plain(text: bytes, unread: int) -> Section | None:
    """Parse a section in which every tag has a legal key and a legal value; return None for any other."""
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
    """Yield the pairs of a `|#` section; empty entries and `dd.internal.` tags are skipped.

    A tag is split at its first colon; a tag without a colon at its first `=`. A tag without a value gets `true`.
    """
    for entry in section.split(","):
        key, separator, value = entry.partition(":" if ":" in entry else "=")
        if entry and not entry.startswith(INTERNAL):
            yield key, value if separator else "true"


_SEPARATORS: Final = {"graphite": ";", "influx": ",", "librato": "#"}


def separators(dialects: Collection[str]) -> str:
    """Return the characters that may begin the inline tags at the end of a name.

    signalfx has none: its name continues after the bracket.
    """
    return "".join(separator for dialect, separator in _SEPARATORS.items() if dialect in dialects)


def split_inline(name: str, dialects: Collection[str]) -> tuple[str, list[tuple[str, str]]]:
    """Return the name without its inline tags, and the tags; a part without `=` stays in the name.

    Beyond `limits.TAGS_READ` tags the rest of the text belongs to the last part.

    graphite `name;k=v;l=w` · influx `name,k=v,l=w` · librato `name#k=v,l=w` · signalfx `name[k=v,l=w]rest`.
    """
    tags: list[tuple[str, str]] = []
    if "signalfx" in dialects and "[" in name:
        name = _split_brackets(name, tags)
    if "librato" in dialects and "#" in name:
        name, _, listed = name.partition("#")
        name += _split_pairs(listed.split(",", limits.TAGS_READ), "#", tags)
    for dialect, separator in (("graphite", ";"), ("influx", ",")):
        if dialect in dialects and separator in name:
            name, *parts = name.split(separator, limits.TAGS_READ)
            name += _split_pairs(parts, separator, tags)
    return name, tags


def _split_brackets(name: str, tags: list[tuple[str, str]]) -> str:
    before, _, after = name.partition("[")
    listed, closed, rest = after.partition("]")
    return before + _split_pairs(listed.split(",", limits.TAGS_READ), "[", tags) + rest if closed else name


def _split_pairs(parts: list[str], separator: str, tags: list[tuple[str, str]]) -> str:
    """Append the parts that are pairs to `tags`; return the others as they were in the name."""
    kept = ""
    for part in parts:
        key, equals, value = part.partition("=")
        if equals and key:
            tags.append((key, value))
        else:
            kept += separator + part
    return kept
