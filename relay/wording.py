r"""Text of others as people may see it: nothing in it moves a cursor, colours, reverses or hides what stands beside it.

Control characters (C0, DEL, C1), separators of lines and paragraphs, bidi overrides and isolates, and whatever else
Unicode calls not printable are shown by their escapes: `\x9b`, `\u202e`. Letters of every script stay as they are.
"""

from __future__ import annotations


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
