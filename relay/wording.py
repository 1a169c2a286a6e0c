r"""Text of others as people may see it: nothing in it moves a cursor, colours, reverses or hides what stands beside it.

Control characters (C0, DEL, C1), separators of lines and paragraphs, bidi overrides and isolates, and whatever else
Unicode calls not printable are shown by their escapes: `\x9b`, `\u202e`. Letters of every script stay as they are.
"""

from __future__ import annotations

import time


def escape(text: bytes) -> str:
    r"""Return bytes as printable ASCII: `\xff`, `\n`."""
    return text.decode("latin-1").encode("unicode_escape").decode("ascii")


def printable(text: str) -> str:
    """Return a text of one line."""
    return text if text.isprintable() else "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def printable_lines(text: str) -> str:
    """Return a text of several lines: line feeds stay."""
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def printable_toml(text: str) -> str:
    r"""Return the source of a string of TOML with `\u` and `\U` escapes, which mean the same there."""
    return "".join(char if char.isprintable() else _toml_escape(ord(char)) for char in text)


def printable_json(text: str) -> str:
    r"""Return a line of JSON with `\u` escapes, which mean the same in its strings; elsewhere JSON has spaces alone."""
    return "".join(char if char.isprintable() else _json_escape(char) for char in text)


def _toml_escape(number: int) -> str:
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


# --- wording ---------------------------------------------------------------------------------------------------------

# What commands write for people: numbers, sizes and times, and no character that a terminal would obey.


def number(value: int) -> str:
    """Group digits: 184 201."""
    return f"{value:,}".replace(",", " ")


def plural(count: int, word: str) -> str:
    """Return `1 letter`, `2 letters`, `1 000 letters`."""
    return f"{number(count)} {word}" if count == 1 else f"{number(count)} {word}s"


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


def as_hour(moment: float) -> str:
    """Return HH:MM:SS, or HH:MM on a full minute, in local time."""
    return time.strftime("%H:%M:%S" if int(moment) % 60 else "%H:%M", time.localtime(moment))
