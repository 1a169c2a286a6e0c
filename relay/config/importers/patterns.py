"""Patterns and templates of other daemons in terms of a `[[rule]]`."""

from __future__ import annotations

import re
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Final, NamedTuple

_EVERY_NAME: Final = frozenset({".", ".*", ".+", "^.*$", "^.+$", "(.*)", "(.+)", "^.*", ".*$", "^.+", ".+$"})
_CAPTURE: Final = re.compile(r"\$(?:(\d+)|\{(\d+)\}|\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*)|(.|$))")
_GO_ONLY: Final = re.compile(r"\[\[:\^?\w+:\]\]|\[:\w+:\]|\\[pPQEzC]|\(\?[a-z]*[U]")


class Unsayable(ValueError):  # noqa: N818 - an outcome, not a failure of ours
    """No rule says this; the text is why."""


class Pattern(NamedTuple):
    """How a rule is to match."""

    key: str
    """`match` or `regex`."""
    text: str
    groups: int
    names: dict[str, int]
    """Named captures of a regex."""


def from_glob(text: str) -> Pattern:
    """Read a pattern in which `*` stands for what is between dots, or for a piece of that."""
    parts = text.split(".")
    if all(part == "*" or "*" not in part for part in parts):
        return Pattern("match", text, parts.count("*"), {})
    pieces = (re.escape(part).replace(r"\*", "([^.]*)") for part in parts)
    return Pattern("regex", f"^{'[.]'.join(pieces)}$".replace(r"\-", "-"), text.count("*"), {})


def from_regex(text: str, *, anchored: bool = False) -> Pattern:
    """Read a regex of Go's; `anchored`: it must match the whole name.

    Raises:
        Unsayable: it means something else here, or nothing.
    """
    if text in _EVERY_NAME and "(" not in text:
        return Pattern("match", "**", 1, {})
    if found := _GO_ONLY.search(text):
        raise Unsayable(f"{found[0]} is Go's alone")
    if anchored and not (text.startswith("^") and text.endswith("$") and not text.endswith(r"\$")):
        text = f"^(?:{text})$" if "|" in text else f"^{text.removeprefix('^')}$"
    try:
        compiled = re.compile(text, re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise Unsayable(f"no regex: {error}") from error
    return Pattern("regex", text, compiled.groups, dict(compiled.groupindex))


def template(text: str, pattern: Pattern) -> str:
    """Return a text with captures as `${1}`.

    Raises:
        Unsayable: it has one that the pattern has not, or the whole name.
    """

    def replaced(match: re.Match[str]) -> str:
        number, name = match[1] or match[2], match[3] or match[4]
        if match[5] is not None:
            raise Unsayable(f'"{text}" has a $ that is no capture')
        index = int(number) if number else pattern.names.get(name, -1)
        if index == 0:
            raise Unsayable("$0, the whole name, is no capture here")
        if not 0 < index <= pattern.groups:
            raise Unsayable(f'"{text}" has a capture that "{pattern.text}" has not')
        return f"${{{index}}}"

    return _CAPTURE.sub(replaced, text)


def literal_start(pattern: Pattern) -> str:
    """Return what every name that a pattern matches from its start begins with, as far as that is plain."""
    if pattern.key == "match":
        return pattern.text.partition("*")[0]
    found: list[str] = []
    for operator, argument in _parser.parse(pattern.text):
        if operator is sre.LITERAL:
            found.append(chr(argument))
        elif operator is not sre.AT:
            break
    return "".join(found)
