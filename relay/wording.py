r"""Untrusted text made safe to display, and the format of numbers, sizes and times in the output of commands.

Invariant: no returned text can move a cursor, colour, reverse or hide what stands beside it. Control characters (C0,
DEL, C1), separators of lines and paragraphs, bidi overrides and isolates, and every other character that Unicode calls
not printable become escapes: `\x9b`, `\u202e`. Letters of every script stay as they are.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime


def escape(text: bytes) -> str:
    r"""Return bytes as printable ASCII: `\xff`, `\n`."""
    return text.decode("latin-1").encode("unicode_escape").decode("ascii")


def printable(text: str) -> str:
    """Return a text in one line, its unprintable characters escaped."""
    return text if text.isprintable() else "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def printable_lines(text: str) -> str:
    """Return a text of several lines, its unprintable characters escaped but for line feeds."""
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def printable_toml(text: str) -> str:
    r"""Return the source of a TOML string with `\u` and `\U` escapes, which TOML reads as the same characters."""
    return "".join(char if char.isprintable() else _toml_escape(ord(char)) for char in text)


def printable_json(text: str) -> str:
    r"""Return a line of JSON with `\u` escapes, which JSON reads as the same characters.

    Unprintable characters occur inside strings only: outside of them a line of JSON has no white space but spaces.
    """
    return "".join(char if char.isprintable() else _json_escape(char) for char in text)


def _toml_escape(number: int) -> str:
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


# --- numbers, sizes, times -------------------------------------------------------------------------------------------

# Numbers, sizes and times as commands print them.


def number(value: int) -> str:
    """Group digits: 184 201."""
    return f"{value:,}".replace(",", " ")


def plural(count: int, word: str) -> str:
    """Return `1 letter`, `2 letters`, `1 000 copies`."""
    many = f"{word[:-1]}ies" if word.endswith("y") and word[-2] not in "aeiou" else f"{word}s"
    return f"{number(count)} {word if count == 1 else many}"


def as_size(size: float) -> str:
    """Return bytes: `512 B`, `1.5 KiB`."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def as_time(seconds: float) -> str:
    """Return a wall time as RFC 3339 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(seconds))


def as_utc(seconds: float) -> datetime:
    """Return a wall time as a date in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def from_iso(text: str) -> float:
    """Return the wall time of a text in ISO 8601."""
    return datetime.fromisoformat(text).timestamp()


def as_hour(moment: float) -> str:
    """Return HH:MM:SS, or HH:MM on a full minute, in local time."""
    return time.strftime("%H:%M:%S" if int(moment) % 60 else "%H:%M", time.localtime(moment))


_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def as_duration(seconds: float) -> str:
    """Return a duration in its two largest units: `3 d 4 h`, `12 min`, `45 s`."""
    left = round(seconds)
    first = next((place for place, (_, size) in enumerate(_UNITS) if left >= size), len(_UNITS) - 1)
    parts: list[str] = []
    for unit, size in _UNITS[first : first + 2]:
        count, left = divmod(left, size)
        if count or not parts:
            parts.append(f"{count} {unit}")
    return " ".join(parts)


def as_clock(moment: float) -> str:
    """Return HH:MM:SS in local time."""
    return time.strftime("%H:%M:%S", time.localtime(moment))


def as_window(start: float, seconds: int) -> str:
    """Return the start of a window in local time: HH:MM, with seconds if windows are not whole minutes."""
    return time.strftime("%H:%M:%S" if seconds % 60 else "%H:%M", time.localtime(start))


def as_minute(moment: float, now: float) -> str:
    """Return HH:MM in local time, with the date unless the moment is within half a day of `now`."""
    return time.strftime("%H:%M" if abs(now - moment) < 43_200 else "%Y-%m-%d %H:%M", time.localtime(moment))
