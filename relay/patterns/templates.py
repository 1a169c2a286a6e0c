"""Templates with captures, such as `web.$2` and `${1}-total`, for the metric and the tags of a rule."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from relay.patterns import PatternError

if TYPE_CHECKING:
    from collections.abc import Sequence

_CAPTURE: Final = re.compile(r"\$(?:([0-9]+)|\{([0-9]+)\})")


class Template:
    """State: none; a template, kept as a format string of `str.format`."""

    __slots__ = ("_text",)

    def __init__(self, text: str, groups: int) -> None:
        """Parse a template for a pattern with `groups` captures.

        Raises:
            PatternError: the pattern lacks a capture, or a `$` does not begin one.
        """
        pieces: list[str] = []
        end = 0
        for found in _CAPTURE.finditer(text):
            number = int(found[1] or found[2])
            if not 0 < number <= groups:
                known = "$1" if groups == 1 else f"$1 to ${groups}"
                fix = f"it has {known}" if groups else "each star or group is a capture, numbered from 1"
                raise PatternError(f'"{text}" has {found[0]}, and the pattern has no such capture', fix)
            pieces += (_literal(text[end : found.start()]), f"{{{number - 1}}}")
            end = found.end()
        self._text = "".join(pieces) + _literal(text[end:])
        if "$" in self._text:
            raise PatternError(f'"{text}" has a $ that begins no capture', "a capture is $1 or ${1}")

    def render(self, captures: Sequence[str]) -> str:
        """Return the text with the captures filled in."""
        return self._text.format(*captures)


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
