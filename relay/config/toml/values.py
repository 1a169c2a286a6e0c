"""Finds where a value of a TOML text stands, and each element of a list. Pure; the text is valid TOML."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|' + r"'''.*?'{3,5}|" + r'"(?:[^"\\\n]|\\.)*"|' + r"'[^'\n]*'|#[^\n]*|[\[\]{},]|\s+|"
    r"""[^\s\[\]{},#"']+""",
    re.DOTALL,
)
"""A string, a comment, a bracket, a comma, blanks, or a bare word."""


class Span(NamedTuple):
    """Offsets in the text, the end exclusive."""

    start: int
    end: int


def find_value(text: str, start: int) -> Span:
    """Return the span of the value that follows an equals sign; `start` is the offset behind the sign."""
    depth, first = 0, start
    for token in _tokens(text, start):
        if not depth:
            first = token.start()
        depth += _deeper(token[0])
        if not depth:
            return Span(first, token.end())
    return Span(first, len(text))


def find_elements(text: str, start: int) -> list[Span]:
    """Return the spans of the elements of the list that follows an equals sign; empty if the value is no list."""
    tokens = _tokens(text, start)
    first = next(tokens, None)
    found: list[Span] = []
    depth, is_inside = int(first is not None and first[0] == "["), False
    for token in tokens if depth else ():
        if depth == 1 and token[0] in (",", "]"):
            is_inside = False
            if token[0] == "]":
                break
            continue
        depth += _deeper(token[0])
        begins = found.pop().start if is_inside else token.start()
        found.append(Span(begins, token.end()))
        is_inside = True
    return found


def _tokens(text: str, start: int) -> Iterator[re.Match[str]]:
    """Yield the tokens but for blanks and comments."""
    return (token for token in _TOKEN.finditer(text, start) if not token[0].isspace() and token[0][0] != "#")


def _deeper(token: str) -> int:
    return (token in ("[", "{")) - (token in ("]", "}"))
