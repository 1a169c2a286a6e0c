"""The grammar of a StatsD line: the readable specification.

Owned here: the meaning of a line, and the one reason for which it is rejected. Invariant (I1): a line is accepted or
rejected as a whole. Pure: bytes in, values out. Parsing takes about 5 us a line, so python/hotpath.py parses only lines
that it has not seen before. Does not know: series, windows, senders.

    line     = name ":" value *( ":" value ) "|" type *( "|" section )
    section  = "@" rate | "#" tags | "c:" id | "T" seconds | "e:" data | "card:" level | anything
    event    = "_e{" bytes "," bytes "}:" title "|" text *( "|" section )
    check    = "_sc|" name "|" ( "0" | "1" | "2" | "3" ) *( "|" section )

Blanks, tabs and carriage returns at the end of a line, an event or a check are ignored.
"""

from __future__ import annotations

import math
import re
from typing import Final, NamedTuple

from relay import limits
from relay.model import Kind

KINDS: Final = {
    b"c": Kind.COUNTER,
    b"g": Kind.GAUGE,
    b"ms": Kind.TIMER,
    b"h": Kind.TIMER,
    b"d": Kind.TIMER,
    b"s": Kind.SET,
}
_NUMBER: Final = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
NUMBER_BYTES: Final = 64
"""Longest number, in bytes. No measurement is longer, and converting 65,000 digits would stall the loop."""
_SMALLEST_RATE: Final = 1e-300
TIMESTAMP: Final = re.compile(rb"[0-9]{1,12}")
BLANKS: Final = b" \t\r"
"""Bytes ignored at the end of a line."""
_EVENT: Final = re.compile(rb"_e\{([0-9]+),([0-9]+)\}:|_sc\|")
_LENGTH_DIGITS: Final = 9
"""Maximum number of digits of an event's announced length; a longer one exceeds any datagram."""
_STATUSES: Final = (b"0", b"1", b"2", b"3")
_KNOWN_SECTIONS: Final = (b"c:", b"e:", b"card:")


class Group(NamedTuple):
    """Values that share a type and its sections; a line has one group, except in the older form `name:1|c:2|ms`."""

    kind: Kind
    values: tuple[bytes, ...]
    """Numbers as received, already checked (a sign may make a gauge's number a delta); for a set, its one member."""
    tags: bytes
    """The sections after `|#`, joined by commas."""
    weight: float
    """1 / sample rate; 1 for gauges and sets."""
    timestamp: int | None
    ignored: int
    """Number of sections of an unknown type."""
    unread: int
    """Number of tags beyond the limit of bytes that are read."""


class Line(NamedTuple):
    """A line that is accepted."""

    name: bytes
    groups: tuple[Group, ...]


def read_number(text: bytes) -> float | None:
    """Return the number in `text` by the strict grammar; None for any other text and for infinity."""
    if len(text) > NUMBER_BYTES or _NUMBER.fullmatch(text) is None:
        return None
    number = float(text)
    return None if math.isinf(number) else number


def is_event(line: bytes) -> bool:
    """Return whether the line is a DogStatsD event or service check; these are counted and make no metric.

    Pass the line with its trailing blanks: those within an event's announced length belong to its text.
    """
    return _has_prefix(line) and find_event_error(line) is None


def find_event_error(line: bytes) -> int | None:
    """Return the offset of the first byte that breaks the form of an event or a check; None if the form is right."""
    match = _EVENT.match(line)
    if match is None:
        return 0
    return _find_check_error(line.rstrip(BLANKS)) if match[1] is None else _find_error_in_event(line, match)


def _has_prefix(line: bytes) -> bool:
    return line.startswith(b"_") and _EVENT.match(line) is not None


def _find_error_in_event(line: bytes, match: re.Match[bytes]) -> int | None:
    """Check `title|text` against the announced lengths, and the byte after it."""
    if max(len(match[1]), len(match[2])) > _LENGTH_DIGITS or not int(match[1]):
        return match.start(1)
    bar = match.end() + int(match[1])
    end = bar + 1 + int(match[2])
    if line[bar : bar + 1] != b"|" or end > len(line):
        return match.start(1)
    return end if line[end:].rstrip(BLANKS)[:1] not in (b"", b"|") else None


def _find_check_error(line: bytes) -> int | None:
    """Check `_sc|name|status`."""
    _, name, *others = line.split(b"|")
    if not name:
        return len(b"_sc|")
    return None if others and others[0] in _STATUSES else min(len(line), len(b"_sc||") + len(name))


def parse(line: bytes) -> Line | str:
    """Parse one line without its line feed; the line must not be one that `is_event` accepts.

    Returns:
        The line, or the reason why it is rejected: empty_name, no_value, bad_value, bad_type, bad_rate, bad_timestamp,
        bad_event.
    """
    if _has_prefix(line):
        return "bad_event"
    line = line.rstrip(BLANKS)
    name, colon, rest = line.partition(b":")
    if not name:
        return "empty_name"
    if not colon:
        return "no_value"
    values, *fields = rest.split(b"|")
    groups: list[Group] = []
    start = 0
    while True:
        end, last, next_values = end_of_group(fields, start)
        type_, *sections = [*fields[start:end], last]
        group = _read_group(values, type_, sections)
        if isinstance(group, str):
            return group
        groups.append(group)
        if next_values is None:
            return Line(name, tuple(groups))
        values, start = next_values, end + 1


def end_of_group(fields: list[bytes], start: int) -> tuple[int, bytes, bytes | None]:
    """Find the last field of the group that starts at `start`.

    Neither a type nor a rate contains a colon, so a colon in one begins the next value, as in `1|c:2|ms` and
    `1|c|@0.1:2|ms`. Every field is inspected once, however many groups a hostile line has.

    Returns:
        The field's index, the field up to that colon, and the next value if there is one.
    """
    for index in range(start, len(fields)):
        field = fields[index]
        if b":" in field and (index == start or field.startswith(b"@")):
            last, _, next_values = field.partition(b":")
            return index, last, next_values
    end = max(start, len(fields) - 1)
    return end, fields[end] if end < len(fields) else b"", None


def _read_group(values: bytes, type_: bytes, sections: list[bytes]) -> Group | str:
    if not values:
        return "no_value"
    kind = KINDS.get(type_)
    if kind is None:
        return "bad_type"
    read = _read_values(kind, values)
    if read is None:
        return "no_value" if b"::" in b":%b:" % values else "bad_value"
    return _read_sections(kind, read, sections)


def _read_values(kind: Kind, values: bytes) -> tuple[bytes, ...] | None:
    if kind is Kind.SET:
        return (values,)
    packed = tuple(values.split(b":"))
    return packed if all(read_number(value) is not None for value in packed) else None


def _read_sections(kind: Kind, values: tuple[bytes, ...], sections: list[bytes]) -> Group | str:
    tags: list[bytes] = []
    weight, timestamp, ignored = 1.0, None, 0
    for section in sections:
        match section[:1]:
            case b"#":
                tags.append(section[1:])
            case b"@":
                weight = _weight(read_number(section[1:]))
            case b"T":
                timestamp = int(section[1:]) if TIMESTAMP.fullmatch(section, 1) else -1
            case _:
                ignored += not section.startswith(_KNOWN_SECTIONS)
    if not weight:
        return "bad_rate"
    if timestamp == -1:
        return "bad_timestamp"
    read, unread = _cut(b",".join(tags))
    return Group(kind, values, read, _effective(weight, kind), timestamp, ignored, unread)


def _cut(tags: bytes) -> tuple[bytes, int]:
    """Return the whole tags within the first `limits.SECTION_READ` bytes, and the number of the others."""
    if len(tags) <= limits.SECTION_READ:
        return tags, 0
    end = max(0, tags.rfind(b",", 0, limits.SECTION_READ + 1))
    return tags[:end], tags.count(b",", end) + (tags[end : end + 1] != b",")


def _effective(weight: float, kind: Kind) -> float:
    """Return the weight that applies: 1 for gauges and sets, which ignore the sample rate."""
    return 1.0 if kind in (Kind.GAUGE, Kind.SET) else weight


def is_rate(text: bytes) -> bool:
    """Return whether a text is a valid sample rate."""
    return _weight(read_number(text)) > 0


def _weight(rate: float | None) -> float:
    """Return 1 / rate, which stays finite for a tiny rate; 1 for `@0`; 0 for an invalid rate."""
    if rate is None or rate < 0:
        return 0.0
    return 1.0 / max(rate, _SMALLEST_RATE) if rate else 1.0
