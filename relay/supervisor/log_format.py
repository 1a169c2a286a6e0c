"""The two formats of a log line: JSON for machines, text for people. Supervisor and worker both write them. Pure.

    12:09:02  error RLY120  nothing delivered since 12:07: credentials refused
              cloud  "HTTP 401 the signature does not match"; clock +0.3 s
              fix    replace key JDC_..4F2A in /run/secrets/jdcloud, read every 5 s

Text has local time with seconds. The date and the offset stand in the first line and, alone in a line, after midnight.
JSON has UTC with milliseconds, also for fields that are a time (`TIMES`): a stage passes Unix seconds.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from relay.wording import as_clock, as_size, number, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

TIMES: Final = frozenset({"window", "since", "open_window", "opens_at"})
"""Fields that are Unix seconds."""
SAYS: Final = "_says"
"""Private field: what the text has in place of the event and its fields; the parts of a list stay whole."""
BLOCK: Final = "_block"
"""Private field: the lines that the text has in place of the event, without a time."""
WIDTH: Final = 80
"""Columns of a line if no terminal tells its own."""
_WIDTH_LEAST: Final = 40
_STAMP: Final = 10
"""Columns of the time and the space behind it; lines that continue an event begin below the event."""
_PROSE: Final = ("cloud", "why", "fix", "safe", "next")
"""Fields that are sentences: each begins a line of its own, in this order."""
_OWN: Final = frozenset(
    {"code", "severity", "since", "subject", "more", "line", "column", "sentence", "received", "sent_as", *_PROSE}
)
"""Fields that do not stand among the others."""
_PLAIN: Final = frozenset({"pid", "status"})
"""Numbers that count nothing."""
_LABEL: Final = 6
"""Columns of the name of a field that is a sentence."""

Token: TypeAlias = tuple[str, str]
"""The gap before a word, and the word."""


def as_timestamp(moment: float) -> str:
    """Return Unix seconds as ISO 8601 in UTC with milliseconds."""
    whole, thousandths = divmod(round(moment * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{thousandths:03d}Z"


def as_date(moment: float) -> str:
    """Return the local date and the offset of local time: `2026-11-30 +08:00`."""
    local = time.localtime(moment)
    offset = time.strftime("%z", local)
    return f"{time.strftime('%Y-%m-%d', local)} {offset[:3]}:{offset[3:]}"


def as_json(level: str, event: str, fields: Mapping[str, Any], *, now: float) -> str:
    """Return an event as a line of JSON: timestamp, level, code, event, then the fields."""
    head = {"timestamp": as_timestamp(now), "level": level}
    if fields.get("code"):
        head["code"] = fields["code"]
    rest = {
        name: as_timestamp(value) if name in TIMES else value
        for name, value in fields.items()
        if name != "code" and value is not None and not name.startswith("_")
    }
    return json.dumps({**head, "event": event, **rest}, default=str)


class TextFormat:
    """State: the date that the reader knows.

    Args:
        date: the date that another process has written; empty: the first line has it.
    """

    def __init__(self, *, date: str = "") -> None:
        self._date = date

    def render(self, level: str, event: str, fields: Mapping[str, Any], *, now: float, width: int) -> str:
        """Return the lines of an event, of at most `width` columns unless a word is longer; "" for an empty block."""
        if BLOCK in fields:
            if fields[BLOCK]:
                self._date = as_date(now)
            return "\n".join(map(printable, fields[BLOCK]))
        lines = _lines(level, event, fields, max(_WIDTH_LEAST, width) - _STAMP)
        stamped = (f"{'' if at else as_clock(now):<{_STAMP}}{line}" for at, line in enumerate(lines))
        return "\n".join([*self._new_date(now), *stamped])

    def _new_date(self, now: float) -> list[str]:
        """Return the date, if the reader does not know it."""
        before, self._date = self._date, as_date(now)
        return [] if before == self._date else [self._date]


def _lines(level: str, event: str, fields: Mapping[str, Any], width: int) -> Iterator[str]:
    """Yield the lines of an event, without time and indentation."""
    head = [("", word) for word in _head(level, fields)]
    if SAYS in fields:
        says = fields[SAYS]
        tokens = [*head, *(_words(says) if isinstance(says, str) else (("  ", printable(part)) for part in says))]
    else:
        says = str(fields.get("sentence") or event)
        tokens = [*head, *_words(says, gap="  " if head else "")]
        tokens += [("  ", f"{_label(name)} {text}".strip()) for name, text in _short(fields)]
    yield from wrap(tokens, width)
    yield from _sentences(fields, width)
    yield from _bad_line(fields, width)


def _head(level: str, fields: Mapping[str, Any]) -> list[str]:
    """Return the level's word, if it is no plain information, and the code, as one word."""
    word = "note" if fields.get("severity") == "note" else "" if level == "info" else level
    head = " ".join(part for part in (word, str(fields.get("code") or "")) if part)
    return [head] if head else []


def _short(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the fields that stand beside one another; empty ones are left out."""
    if "severity" in fields:
        return  # the sentence of a finding has them
    if fields.get("received"):
        yield "", printable(f"{fields['received']} -> {fields.get('sent_as')}")
    for name, value in fields.items():
        if name not in _OWN and not name.startswith("_") and value not in (None, "", [], ()):
            yield name, printable(as_text(name, value))


def _sentences(fields: Mapping[str, Any], width: int) -> Iterator[str]:
    """Yield the fields that are sentences; their lines wrap below one another."""
    for name in _PROSE:
        if fields.get(name) and fields[name] != f"explain {fields.get('code')}":
            lines = wrap(_words(str(fields[name])), width - _LABEL - 1)
            yield from (f"{name if at == 0 else '':<{_LABEL}} {line}" for at, line in enumerate(lines))


def _bad_line(fields: Mapping[str, Any], width: int) -> Iterator[str]:
    """Yield a rejected line, or the part of it that fits, with a caret below the faulty byte."""
    line, column = printable(str(fields.get("line") or "")), int(fields.get("column") or 0)
    room = width - _LABEL - 1
    if line:
        begins = max(0, min(column - room // 2, len(line) - room))
        yield f"{'line':<{_LABEL}} {line[begins : begins + room]}"
        if column:
            yield f"{'':<{_LABEL}} {'':{column - 1 - begins}}^"


def _label(name: str) -> str:
    """Return a field's name without its unit, which stands behind the value."""
    return name.removesuffix("_seconds").removesuffix("_bytes").replace("_", " ")


def as_text(name: str, value: object) -> str:
    """Return the value of a field as text; its name says the unit."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if not isinstance(value, int | float) or name in _PLAIN:
        return str(value)
    if name in TIMES:
        return as_clock(value)
    if name.endswith("bytes"):
        return as_size(value)
    unit = " s" if name.endswith("seconds") else ""
    return f"{number(value) if isinstance(value, int) else f'{value:.4g}'}{unit}"


def _words(text: str, *, gap: str = "") -> list[Token]:
    first, *rest = printable(text).split(" ")
    return [(gap, first), *((" ", word) for word in rest)]


def wrap(tokens: Iterable[Token], width: int) -> Iterator[str]:
    """Yield lines of at most `width` columns; a longer word has a line to itself."""
    line = ""
    for gap, word in tokens:
        if line and len(line) + len(gap) + len(word) > width:
            yield line
            line = word
        else:
            line = f"{line}{gap if line else ''}{word}"
    yield line
