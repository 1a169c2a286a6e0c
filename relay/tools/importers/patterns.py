"""Converts patterns and templates of other daemons to those of a `[[rule]]`."""

from __future__ import annotations

import re
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from relay.patterns import NoEngineError, PatternError
from relay.patterns.regexes import Regex, find_re2

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relay.tools.importers.config_builder import ConfigBuilder
    from relay.tools.importers.readers.tree import Node

_EVERY_NAME: Final = frozenset({".", ".*", ".+", "^.*$", "^.+$", "^.*", ".*$", "^.+", ".+$"})
_GO: Final = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\}|)", re.ASCII)
"""A capture as regexp.Expand of Go reads it: the longest run of letters, digits and underscores."""
_FORMATTER: Final = re.compile(r"\$\{?([a-zA-Z0-9_$]+)\}?")
"""A capture of a glob as statsd_exporter reads it."""
_DIGITS_MAX: Final = 8
_TAGS_MAX: Final = 4
"""Dimensions that the API allows besides `host`."""


class NoRule(ValueError):  # noqa: N818 - an outcome, not a failure
    """A pattern or template that no rule can express; the text is the reason."""


class Pattern(NamedTuple):
    """The pattern of a rule."""

    key: str
    """`match` or `regex`."""
    text: str
    groups: int
    names: dict[str, int]
    """Named captures of a regex, with their numbers."""

    def whole(self) -> Pattern:
        """Return the same regex with the whole match as its first capture."""
        return Pattern(self.key, f"({self.text})", self.groups + 1, {key: n + 1 for key, n in self.names.items()})


class Filled(NamedTuple):
    """A template of a rule."""

    text: str
    empty: tuple[str, ...]
    """References to captures that the pattern does not have; they expand to nothing."""


def from_glob(text: str) -> Pattern:
    """Convert a glob in which `*` matches a part between two dots, or a piece of it."""
    parts = text.split(".")
    if all(part == "*" or "*" not in part for part in parts):
        return Pattern("match", text, parts.count("*"), {})
    pieces = (re.escape(part).replace(r"\*", "([^.]*)") for part in parts)
    return Pattern("regex", f"^{'[.]'.join(pieces)}$".replace(r"\-", "-"), text.count("*"), {})


def from_regex(text: str, *, anchored: bool = False) -> Pattern:
    """Convert a regex of Go, which RE2 reads alike; `anchored`: put `^` and `$` around it.

    Raises:
        NoRule: the text is not a regex.
    """
    if text in _EVERY_NAME:
        return Pattern("match", "**", 0, {})
    if anchored:
        text = f"{'' if text.startswith('^') else '^'}{text}{'' if _ends_with_dollar(text) else '$'}"
    try:
        regex = Regex(text, find_re2())
    except NoEngineError as error:
        raise NoRule(f"it {error}: {error.fix}, and import again") from error
    except PatternError as error:
        raise NoRule(f"it {error}") from error
    return Pattern("regex", text, regex.groups, dict(regex.names))


def _ends_with_dollar(text: str) -> bool:
    """Return whether the last character of a regex is an unescaped `$`."""
    return text.endswith("$") and (len(text) - len(text[:-1].rstrip("\\"))) % 2 == 1


def go_template(text: str, pattern: Pattern, *, offset: int = 0) -> Filled:
    """Convert a template that Go expands for a regex to captures as `${1}`; `offset` is added to their numbers.

    Raises:
        NoRule: the template has `$0` or a literal `$`, which templates of rules do not have.
    """
    empty: list[str] = []

    def replaced(match: re.Match[str]) -> str:
        name = match[2] or match[3]
        if name is None:
            raise NoRule(f'"{text}" has a $ that is not a capture')
        if name == "0" and not offset:
            raise NoRule("$0, the whole match, is not a capture of a rule")
        # Go does not take a name with a leading zero for a number.
        number = 0 if name.startswith("0") else _number(name)
        index = number + offset if number or name == "0" else pattern.names.get(name, -1)
        if 0 < index <= pattern.groups:
            return f"${{{index}}}"
        empty.append(match[0])
        return ""

    return Filled(_GO.sub(replaced, text), tuple(empty))


def has_whole(text: str) -> bool:
    """Return whether a template of Go has `$0`, the whole match."""
    return any("0" in (match[2], match[3]) for match in _GO.finditer(text))


def glob_template(text: str, pattern: Pattern) -> Filled:
    """Convert a template that statsd_exporter fills for a glob: it replaces one capture after the other, everywhere.

    Raises:
        NoRule: templates of rules cannot express the result.
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
        raise NoRule(f'statsd_exporter does not expand "{text}" as it reads')
    pieces[1::2] = [f"${{{number}}}" for number in pieces[1::2]]
    return Filled("".join(pieces), tuple(empty))


def _number(text: str) -> int:
    """Return the number of a capture; 0 for a name, and for a number that no pattern has."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX else 0


def filler(pattern: Pattern, texts: Sequence[str], *, is_glob: bool) -> tuple[Pattern, Callable[[str], Filled]]:
    """Return the pattern that the templates need, and the function that converts a template.

    If a template has `$0`, the whole match of the regex becomes its first capture.

    Args:
        pattern: the pattern of the names.
        texts: every template that will be converted.
        is_glob: whether templates are filled as by statsd_exporter for a glob, or as by Go for a regex.
    """
    if is_glob:
        return pattern, lambda text: glob_template(text, pattern)
    if pattern.key != "regex" or not any(map(has_whole, texts)):
        return pattern, lambda text: go_template(text, pattern)
    whole = pattern.whole()
    return whole, lambda text: go_template(text, whole, offset=1)


def rule_effect(
    pattern: Pattern, name: Node, tags: Node | None, *, is_glob: bool
) -> tuple[Pattern, dict[str, Any], list[str]]:
    """Return the pattern, `metric` and `tags` of the rule of a mapping, and a remark on captures without a text.

    Raises:
        NoRule: templates of rules cannot express a template.
    """
    texts = tags.texts if tags else {}
    pattern, fill = filler(pattern, [name.text, *texts.values()], is_glob=is_glob)
    metric, filled = fill(name.text), {key: fill(text) for key, text in texts.items()}
    empty = dict.fromkeys(capture for one in (metric, *filled.values()) for capture in one.empty)
    left = {key: one.text for key, one in filled.items() if one.text}
    remarks = [f"{' and '.join(empty)}: no such capture, so empty, as before"] if empty else []
    return pattern, {"metric": metric.text} | ({"tags": left} if left else {}), remarks


def report_tags(builder: ConfigBuilder, what: str, tags: Node | None, noun: str) -> None:
    """Report a mapping with more tags than a point has."""
    if tags and len(tags.members) > _TAGS_MAX:
        became = "four of them are sent beside host: series that differ only in the others become one"
        builder.report("by hand", tags, f"{what}: {len(tags.members)} {noun}", became)


def literal_start(pattern: Pattern) -> str:
    """Return the literal prefix of all names that an anchored pattern matches; empty if it cannot be determined."""
    if pattern.key == "match":
        return pattern.text.partition("*")[0]
    found: list[str] = []
    try:
        parsed = _parser.parse(pattern.text)
    except (re.error, ValueError, OverflowError, RecursionError):  # a syntax that only RE2 knows
        return ""
    for operator, argument in () if parsed.state.flags & re.IGNORECASE else parsed:
        if operator is sre.LITERAL:
            found.append(chr(argument))
        elif operator is not sre.AT:
            break
    return "".join(found)


def has_alternatives(text: str) -> bool:
    """Return whether a regex has a `|` outside of brackets: an anchor put around it would bind to one branch only."""
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
