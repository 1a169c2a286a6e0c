"""The grammar of a StatsD line: the readable specification.

Owned here: what a line means, and the one reason why it is rejected. A line is all or nothing (I1). Pure: bytes in,
values out; about 5 us a line, which is why python/hotpath.py only comes here for lines that it has not seen before.

    line     = name ":" value *( ":" value ) "|" type *( "|" section )
    section  = "@" rate | "#" tags | "c:" id | "T" seconds | "e:" data | "card:" level | anything
    event    = "_e{" bytes "," bytes "}:" title "|" text *( "|" section )
    check    = "_sc|" name "|" ( "0" | "1" | "2" | "3" ) *( "|" section )

Blanks, tabs and carriage returns at the end of any of them mean nothing.
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
"""A longer number is nobody's measurement, and reading 65,000 digits would stall the loop."""
_SMALLEST_RATE: Final = 1e-300
TIMESTAMP: Final = re.compile(rb"[0-9]{1,12}")
BLANKS: Final = b" \t\r"
"""At a line's end they mean nothing."""
_EVENT: Final = re.compile(rb"_e\{([0-9]+),([0-9]+)\}:|_sc\|")
_LENGTH_DIGITS: Final = 9
"""A length of more fits nowhere."""
_STATUSES: Final = (b"0", b"1", b"2", b"3")
_KNOWN_SECTIONS: Final = (b"c:", b"e:", b"card:")


class Group(NamedTuple):
    """Values that share a type and its sections; a line has one, except in the older form `name:1|c:2|ms`."""

    kind: Kind
    values: tuple[bytes, ...]
    """Numbers, already checked, as they came (a gauge's sign may make it a delta); a set's one member."""
    tags: bytes
    """The sections after `|#`, joined by commas."""
    weight: float
    """1 / sample rate; 1 for gauges and sets."""
    timestamp: int | None
    ignored: int
    """Sections nobody knows."""
    unread: int
    """Tags beyond those that are read."""


class Line(NamedTuple):
    """A line that is accepted."""

    name: bytes
    groups: tuple[Group, ...]


def read_number(text: bytes) -> float | None:
    """Return the number that `text` is by the strict grammar; None for anything else, infinity included."""
    if len(text) > NUMBER_BYTES or _NUMBER.fullmatch(text) is None:
        return None
    number = float(text)
    return None if math.isinf(number) else number


def is_event(line: bytes) -> bool:
    """Say whether the line is a DogStatsD event or service check; these are counted and make no metric.

    It must have what stands at its end: blanks that an event's announced length covers belong to its text.
    """
    return _has_prefix(line) and find_event_fault(line) is None


def find_event_fault(line: bytes) -> int | None:
    """Return the byte at which what begins as an event or a check turns out to be none; None if it is one."""
    match = _EVENT.match(line)
    if match is None:
        return 0
    return _find_check_fault(line.rstrip(BLANKS)) if match[1] is None else _find_fault_in_event(line, match)


def _has_prefix(line: bytes) -> bool:
    return line.startswith(b"_") and _EVENT.match(line) is not None


def _find_fault_in_event(line: bytes, match: re.Match[bytes]) -> int | None:
    """Read `title|text` of the lengths announced, and what follows."""
    if max(len(match[1]), len(match[2])) > _LENGTH_DIGITS or not int(match[1]):
        return match.start(1)
    bar = match.end() + int(match[1])
    end = bar + 1 + int(match[2])
    if line[bar : bar + 1] != b"|" or end > len(line):
        return match.start(1)
    return end if line[end:].rstrip(BLANKS)[:1] not in (b"", b"|") else None


def _find_check_fault(line: bytes) -> int | None:
    """Read `_sc|name|status` and what follows."""
    _, name, *others = line.split(b"|")
    if not name:
        return len(b"_sc|")
    return None if others and others[0] in _STATUSES else min(len(line), len(b"_sc||") + len(name))


def parse(line: bytes) -> Line | str:
    """Read one line, without its line feed, that `is_event` is not said of.

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

    A type holds no colon, and neither does a rate: what follows one there is the next value, as in `1|c:2|ms` and
    `1|c|@0.1:2|ms`. Every field is looked at once, however many groups a hostile line has.

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
    """Return the tags that are read, whole ones, and how many others there are."""
    if len(tags) <= limits.SECTION_READ:
        return tags, 0
    end = max(0, tags.rfind(b",", 0, limits.SECTION_READ + 1))
    return tags[:end], tags.count(b",", end) + (tags[end : end + 1] != b",")


def _effective(weight: float, kind: Kind) -> float:
    """A rate means nothing to gauges and sets."""
    return 1.0 if kind in (Kind.GAUGE, Kind.SET) else weight


def is_rate(text: bytes) -> bool:
    """Say whether a sample rate can be read."""
    return _weight(read_number(text)) > 0


def _weight(rate: float | None) -> float:
    """Return 1 / rate; `@0` is taken as 1; 0 for what is no rate. A tiny rate's inverse stays finite."""
    if rate is None or rate < 0:
        return 0.0
    return 1.0 / max(rate, _SMALLEST_RATE) if rate else 1.0
