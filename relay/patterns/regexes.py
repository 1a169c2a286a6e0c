"""Regexes on names; the only engine is google-re2 (`pip install 'statsd-relay[re2]'`).

RE2 matches in time linear in the name for every regex, and has the syntax of Go, so regexes of other daemons keep their
meaning. Python's engine takes exponential time for some regexes that other daemons accept, and a check for these would
also refuse harmless ones.
"""

from __future__ import annotations

import re
import warnings
from importlib import import_module
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any, Final

from relay import limits
from relay.patterns import NoEngineError, PatternError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PARSE_ERRORS: Final = (re.error, ValueError, OverflowError, RecursionError, Warning)


class Regex:
    """State: none; a compiled regex.

    Args:
        text: the regex.
        re2: the module google-re2; None if it is not installed.

    Raises:
        NoEngineError: google-re2 is not installed.
        PatternError: the regex is invalid.
    """

    def __init__(self, text: str, re2: Any | None) -> None:  # noqa: ANN401 - a module without types
        if re2 is None:
            raise NoEngineError("is a regex, and google-re2 is not installed", "pip install 'statsd-relay[re2]'")
        pattern = _compile(text, re2)
        self.groups: int = pattern.groups
        self.names: Mapping[str, int] = dict(pattern.groupindex)
        """Name of a named capture -> its number."""
        # A name may be tried on a thousand regexes; a search for a literal text is far cheaper than two `.*`.
        self._needed = _find_needed(text)
        self._find: Callable[[str], re.Match[str] | None] = pattern.search

    def captures(self, name: str) -> tuple[str, ...] | None:
        """Return the captures in a name, "" for a group that did not take part; None if the name does not match.

        A name beyond `limits.NAME_BYTES` matches no regex: even linear time is too long for 64 KiB.
        """
        found = self._find(name) if len(name) <= limits.NAME_BYTES and self._needed in name else None
        return None if found is None else tuple(group or "" for group in found.groups())


def find_re2() -> Any | None:  # noqa: ANN401 - a module without types
    """Return the module google-re2; None if it is not installed."""
    try:
        return import_module("re2")
    except ImportError:
        return None


def _compile(text: str, re2: Any) -> Any:  # noqa: ANN401 - see above
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        message = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else error
        raise PatternError(
            f"is not a valid regex: {message}", r"a literal dot is \.; in quotes '...' a backslash stands alone"
        ) from error


def _find_needed(text: str) -> str:
    """Return a literal text that every match contains; "" if Python cannot parse the regex or it ignores case."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            parsed = _parser.parse(text, re.ASCII)
    except _PARSE_ERRORS:
        return ""
    return "" if _every_flag(parsed, parsed.state.flags) & re.IGNORECASE else _longest(parsed)


def _every_flag(parsed: Any, flags: int) -> int:  # noqa: ANN401 - a parsed regex has no public type
    for operator, argument in parsed:
        if operator is sre.SUBPATTERN:
            flags |= _every_flag(argument[3], argument[1])
        elif operator in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            flags |= _every_flag(argument[2], 0)
        elif operator is sre.BRANCH:
            for branch in argument[1]:
                flags |= _every_flag(branch, 0)
    return flags


def _longest(parsed: Any) -> str:  # noqa: ANN401 - a parsed regex has no public type
    longest = run = ""
    for operator, argument in parsed:
        run = run + chr(argument) if operator is sre.LITERAL else ""
        inner = _longest(argument[3]) if operator is sre.SUBPATTERN else ""
        longest = max(longest, run, inner, key=len)
    return longest
