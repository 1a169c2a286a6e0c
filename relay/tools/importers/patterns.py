"""Patterns and templates of other daemons in terms of a `[[rule]]`."""

from __future__ import annotations

import re
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.patterns import NoEngineError, PatternError
from relay.patterns.regexes import Regex, find_re2

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_EVERY_NAME: Final = frozenset({".", ".*", ".+", "^.*$", "^.+$", "^.*", ".*$", "^.+", ".+$"})
_GO: Final = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\}|)", re.ASCII)
"""What regexp.Expand of Go takes for a capture: the longest run of letters, digits and underscores."""
_FORMATTER: Final = re.compile(r"\$\{?([a-zA-Z0-9_$]+)\}?")
"""What statsd_exporter takes for a capture of a glob."""
_DIGITS_MOST: Final = 8


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

    def whole(self) -> Pattern:
        """Return the same regex with all that it matches as its first capture."""
        return Pattern(self.key, f"({self.text})", self.groups + 1, {key: n + 1 for key, n in self.names.items()})


class Filled(NamedTuple):
    """A template in our words."""

    text: str
    empty: tuple[str, ...]
    """What it has that is no capture of the pattern, and so is nothing."""


def from_glob(text: str) -> Pattern:
    """Read a pattern in which `*` stands for what is between dots, or for a piece of that."""
    parts = text.split(".")
    if all(part == "*" or "*" not in part for part in parts):
        return Pattern("match", text, parts.count("*"), {})
    pieces = (re.escape(part).replace(r"\*", "([^.]*)") for part in parts)
    return Pattern("regex", f"^{'[.]'.join(pieces)}$".replace(r"\-", "-"), text.count("*"), {})


def from_regex(text: str, *, anchored: bool = False) -> Pattern:
    """Read a regex of Go's, which RE2 reads as Go does; `anchored`: `^` and `$` are put around it.

    Raises:
        Unsayable: it is no regex.
    """
    if text in _EVERY_NAME:
        return Pattern("match", "**", 0, {})
    if anchored:
        text = f"{'' if text.startswith('^') else '^'}{text}{'' if _ends(text) else '$'}"
    try:
        regex = Regex(text, find_re2())
    except NoEngineError as error:
        raise Unsayable(f"it {error}: {error.fix}, and import again") from error
    except PatternError as error:
        raise Unsayable(f"it {error}") from error
    return Pattern("regex", text, regex.groups, dict(regex.names))


def _ends(text: str) -> bool:
    """Say whether its last character is a `$` that means the end."""
    return text.endswith("$") and (len(text) - len(text[:-1].rstrip("\\"))) % 2 == 1


def go_template(text: str, pattern: Pattern, *, offset: int = 0) -> Filled:
    """Return a text that Go expands for a regex, with captures as `${1}`; `offset`: what is to be added to numbers.

    Raises:
        Unsayable: it has the whole name or a `$` itself, which no template of ours has.
    """
    empty: list[str] = []

    def replaced(match: re.Match[str]) -> str:
        name = match[2] or match[3]
        if name is None:
            raise Unsayable(f'"{text}" has a $ that is no capture')
        if name == "0" and not offset:
            raise Unsayable("$0, all that matches, is no capture here")
        # A name with a leading zero is no number to Go.
        number = 0 if name.startswith("0") else _number(name)
        index = number + offset if number or name == "0" else pattern.names.get(name, -1)
        if 0 < index <= pattern.groups:
            return f"${{{index}}}"
        empty.append(match[0])
        return ""

    return Filled(_GO.sub(replaced, text), tuple(empty))


def has_whole(text: str) -> bool:
    """Say whether a text that Go expands has `$0`, all that the regex matches."""
    return any("0" in (match[2], match[3]) for match in _GO.finditer(text))


def glob_template(text: str, pattern: Pattern) -> Filled:
    """Return a text with captures as statsd_exporter fills it for a glob: one after the other, each wherever it is.

    Raises:
        Unsayable: it comes to something there that no template says.
    """
    order, empty, filled = [], [], text.replace("\0", "")
    for match in _FORMATTER.finditer(text):
        number = _number(match[1])
        if 0 < number <= pattern.groups:
            filled = filled.replace(match[0], f"\0{number}\0")
            order.append(number)
        else:
            filled = filled.replace(match[0], "")
            empty.append(match[0])
    pieces = filled.split("\0")
    if list(map(int, pieces[1::2])) != order or "$" in filled or (order and "%" in text):
        raise Unsayable(f'"{text}" is not filled there as it looks')
    pieces[1::2] = [f"${{{number}}}" for number in pieces[1::2]]
    return Filled("".join(pieces), tuple(empty))


def _number(text: str) -> int:
    """Return the number of a capture; 0 for a name, and for what no pattern has."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MOST else 0


def filler(pattern: Pattern, texts: Sequence[str], *, is_glob: bool) -> tuple[Pattern, Callable[[str], Filled]]:
    """Return what fills templates, and the pattern that it needs: for `$0` the whole of a regex is its first capture.

    Args:
        pattern: of the names.
        texts: every template that will be filled.
        is_glob: they are filled as statsd_exporter does it for its globs, not as Go does it for a regex.
    """
    if is_glob:
        return pattern, lambda text: glob_template(text, pattern)
    if pattern.key != "regex" or not any(map(has_whole, texts)):
        return pattern, lambda text: go_template(text, pattern)
    whole = pattern.whole()
    return whole, lambda text: go_template(text, whole, offset=1)


def empty_remarks(captures: Sequence[str]) -> list[str]:
    """Say what becomes nothing."""
    return [f"{' and '.join(captures)}: no such capture, so nothing, as there"] if captures else []


def literal_start(pattern: Pattern) -> str:
    """Return what every name that a pattern matches from its start begins with, as far as that is plain."""
    if pattern.key == "match":
        return pattern.text.partition("*")[0]
    found: list[str] = []
    try:
        parsed = _parser.parse(pattern.text)
    except (re.error, ValueError, OverflowError, RecursionError):  # of RE2 alone
        return ""
    for operator, argument in () if parsed.state.flags & re.IGNORECASE else parsed:
        if operator is sre.LITERAL:
            found.append(chr(argument))
        elif operator is not sre.AT:
            break
    return "".join(found)


def has_alternatives(text: str) -> bool:
    """Say whether a regex has a `|` that is in no brackets, so that what is put around it holds one branch each."""
    depth, in_class, escaped = 0, False, False
    for char in text:
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif in_class:
            in_class = char != "]"
        elif char == "[":
            in_class = True
        elif char in "()":
            depth += 1 if char == "(" else -1
        elif char == "|" and not depth:
            return True
    return False
