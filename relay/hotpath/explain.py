"""Finds the byte at which a rejected line breaks the grammar, and explains the reason in words.

Used by the log and by `send`, never on the hot path. It follows the same steps as `parse` in line.py but keeps
positions; a test compares both. Pure.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

from relay import limits
from relay.hotpath.line import (
    BLANKS,
    KINDS,
    TIMESTAMP,
    end_of_group,
    find_event_error,
    is_event,
    is_rate,
    parse,
    read_number,
)
from relay.model import Kind
from relay.wording import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBER_SO_FAR: Final = re.compile(rb"[+-]?[0-9]*\.?[0-9]*(?:(?<=[0-9.])[eE][+-]?[0-9]*)?")
_CONTEXT: Final = 60
"""Number of bytes shown before the error in a long line."""

EXPLANATIONS: Final = {
    "empty_name": "there is no name, or nothing legal is left of it",
    "no_value": "a value is missing: NAME:VALUE|TYPE",
    "bad_value": "not a number, too large for one, or longer than 64 bytes",
    "bad_type": "the type must be one of c g ms h d s",
    "bad_rate": "a sample rate must be a number and not negative",
    "bad_timestamp": "a timestamp must be 1 to 12 digits, in seconds",
    "bad_event": "an event is _e{TITLE,TEXT}:title|text with their bytes, a check _sc|name|STATUS with 0 to 3",
    "reserved_name": "names that begin like this are the relay's own: [telemetry] prefix",
    "truncated": "it was cut off here: the packet was too long, or the connection ended within the line",
    "line_too_long": "longer than [listen] line_limit, or a frame longer than 65,507 bytes",
    "source_denied": "the sender is in no network of [listen] allow",
    "series_limit": "a gauge without a series of its own cannot be changed by + or -: a limit of [limits] is reached",
    "internal_error": "a mistake of the relay itself; please report it",
}
"""Explanation of each reason of rejected lines."""


class LineError(NamedTuple):
    """The reason why a line is rejected, and the offset of the byte that breaks the grammar."""

    reason: str
    at: int


class _Field(NamedTuple):
    at: int
    text: bytes


def find_error(line: bytes) -> LineError | None:
    """Return the first error of a line by the grammar; None if the grammar accepts the line."""
    if is_event(line):
        return None
    if parse(line) == "bad_event":
        return LineError("bad_event", find_event_error(line) or 0)
    line = line.rstrip(BLANKS)
    if line[:1] in (b"", b":"):
        return LineError("empty_name", 0)
    if b":" not in line:
        return LineError("no_value", len(line))
    errors = (_find_in_group(values, kind, sections) for values, kind, *sections in _groups(line))
    return next(filter(None, errors), None)


def sections(line: bytes) -> list[list[bytes]]:
    """Return the sections of each group of an accepted line, as received."""
    return [[field.text for field in fields] for _, _, *fields in _groups(line.rstrip(BLANKS))]


def _groups(line: bytes) -> Iterator[list[_Field]]:
    """Yield the fields of each group: values, type, and the sections."""
    name, _, rest = line.partition(b":")
    texts = rest.split(b"|")
    places = [*accumulate((len(text) + 1 for text in texts), initial=len(name) + 1)][1:]
    values, fields, start = _Field(len(name) + 1, texts[0]), texts[1:], 0
    while True:
        end, last, more = end_of_group(fields, start)
        at = min(places[end], len(line))
        yield [values, *map(_Field, places[start:end], fields[start:end]), _Field(at, last)]
        if more is None:
            return
        values, start = _Field(at + len(last) + 1, more), end + 1


def explain(line: bytes, reason: str) -> tuple[int | None, str]:
    """Explain the rejection of a line.

    Args:
        line: the rejected line, or only its beginning.
        reason: the reason of the rejection.

    Returns:
        The offset of the byte in error, None if there is no single one; and the explanation in words.
    """
    error = find_error(line)
    at = error.at if error and error.reason == reason else None
    if at is None and reason in ("empty_name", "reserved_name"):
        at = 0
    elif reason == "truncated":
        at = len(line)
    return at, EXPLANATIONS.get(reason, reason)


def show(line: bytes, at: int) -> tuple[str, int]:
    """Return the part of a line around byte `at`, control characters escaped, and the column of that byte in it."""
    start = max(0, at - _CONTEXT) if len(line) > limits.REJECT_BYTES else 0
    return escape(line[start : start + limits.REJECT_BYTES]), len(escape(line[start:at]))


def _find_in_group(values: _Field, kind: _Field, sections: list[_Field]) -> LineError | None:
    if not values.text:
        return LineError("no_value", values.at)
    if kind.text not in KINDS:
        return LineError("bad_type", kind.at)
    error = None if KINDS[kind.text] is Kind.SET else _find_in_values(values)
    return error or _find_in_sections(sections)


def _find_in_values(values: _Field) -> LineError | None:
    texts = values.text.split(b":")
    packed = list(map(_Field, accumulate((len(text) + 1 for text in texts), initial=values.at), texts))
    bad = [value for value in packed if read_number(value.text) is None]
    missing = [value for value in bad if not value.text]
    if missing:
        return LineError("no_value", missing[0].at)
    return LineError("bad_value", bad[0].at + _end_of_number(bad[0].text)) if bad else None


def _find_in_sections(sections: list[_Field]) -> LineError | None:
    """Find a bad rate, then a bad timestamp; of several rates or timestamps only the last one counts."""
    rates = [field for field in sections if field.text.startswith(b"@")]
    if rates and not is_rate(rates[-1].text[1:]):
        return LineError("bad_rate", rates[-1].at + 1 + _end_of_number(rates[-1].text[1:]))
    times = [field for field in sections if field.text.startswith(b"T")]
    if times and not TIMESTAMP.fullmatch(times[-1].text, 1):
        digits = len(times[-1].text) - len(times[-1].text[1:].lstrip(b"0123456789"))
        return LineError("bad_timestamp", times[-1].at + (1 if digits == len(times[-1].text) > 1 else digits))
    return None


def _end_of_number(text: bytes) -> int:
    """Return the offset of the first byte that breaks the grammar of a number; 0: too long, too large or negative."""
    match = _NUMBER_SO_FAR.match(text)
    stop = match.end() if match else 0
    is_whole = stop == len(text) and text[-1:].isdigit()
    return 0 if is_whole else stop
