r"""Regexes on names: which may be used, and by which engine.

google-re2 is used where it is installed (`pip install 'statsd-relay[re2]'`): it takes a time linear in the name,
whatever the pattern. Without it Python's own engine is used, which can take for ever, so that a pattern must be proven
harmless first (cost.py). Only what both read in the same way is allowed: `\d`, `\w`, `\s` and `\b` are ASCII's, and
what Python warns of, as `[[:alpha:]]`, is refused.
"""

from __future__ import annotations

import re
import warnings
from importlib import import_module
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any, Final

from relay.patterns import EndlessError, PatternError
from relay.patterns.cost import NAME_LENGTH, starts_once, steps

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS_MOST: Final = 500_000
"""For one name, of about 20 ns: 10 ms. A pattern that is quadratic takes 33,000, a cubic one 3 million."""
_FLAGS: Final = re.ASCII | re.IGNORECASE | re.MULTILINE | re.DOTALL


class Regex:
    """State: none; a pattern, compiled by RE2 or by Python.

    Args:
        text: the regex; `judge` has found nothing wrong with it.
        re2: the module of google-re2; None for Python's engine.

    Raises:
        PatternError: it is no regex.
    """

    def __init__(self, text: str, re2: Any | None) -> None:  # noqa: ANN401 - a module without types
        parsed, flags = _parse(text)
        # A thousand regexes are asked about a name, and a search for a text costs nothing beside what `.*` twice costs.
        self._needed = "" if flags & re.IGNORECASE else _find_needed(parsed)
        pattern = re.compile(text, re.ASCII) if re2 is None else _compile_re2(text, re2)
        self.groups: int = pattern.groups
        self._find: Callable[[str], re.Match[str] | None] = pattern.match if starts_once(parsed) else pattern.search

    def __repr__(self) -> str:
        """Report the captures."""
        return f"<Regex {self.groups} captures>"

    def captures(self, name: str) -> tuple[str, ...] | None:
        """Return what the groups stand for in a name, "" for one without a part in it; None if it does not match."""
        found = self._find(name) if len(name) <= NAME_LENGTH and self._needed in name else None
        return None if found is None else tuple(group or "" for group in found.groups())


def judge(text: str, re2: Any | None) -> Regex:  # noqa: ANN401 - a module without types
    """Return a regex that may be used: with Python's engine, after a millisecond of proof.

    Raises:
        PatternError: it is no regex, or one that not both engines understand.
        EndlessError: Python's engine could take too long for it.
    """
    parsed, flags = _parse(text)
    if re2 is None:
        _refuse_endless(steps(parsed, ignores_case=bool(flags & re.IGNORECASE)))
    return Regex(text, re2)


def find_re2() -> Any | None:  # noqa: ANN401 - a module without types
    """Return the module of google-re2; None where it is not installed."""
    try:
        return import_module("re2")
    except ImportError:
        return None


def _parse(text: str) -> tuple[Any, int]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            parsed = _parser.parse(text, re.ASCII)
    except (re.error, ValueError, OverflowError, RecursionError, Warning) as error:
        raise PatternError(f"is no regex: {error}", r"a dot that is one is \.; quotes '...' need no \\") from error
    flags = _every_flag(parsed, parsed.state.flags)
    if flags & ~_FLAGS:
        raise PatternError("has a flag other than (?i), (?m) and (?s)")
    return parsed, flags


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


def _find_needed(parsed: Any) -> str:  # noqa: ANN401 - a parsed regex has no public type
    """Return the longest text that every match is known to contain, with the case that it is written in."""
    longest = run = ""
    for operator, argument in parsed:
        run = run + chr(argument) if operator is sre.LITERAL else ""
        inner = _find_needed(argument[3]) if operator is sre.SUBPATTERN else ""
        longest = max(longest, run, inner, key=len)
    return longest


def _refuse_endless(bound: float) -> None:
    if bound <= STEPS_MOST:
        return
    how_many = "twice as many steps for each character more" if bound == float("inf") else f"{bound:.0e} steps"
    fix = "write [^.]+ for one part instead of .*, and no quantifier inside another; or install statsd-relay[re2]"
    raise EndlessError(f"can take forever: for a name of {NAME_LENGTH} characters {how_many}", fix)


def _compile_re2(text: str, re2: Any) -> Any:  # noqa: ANN401 - see above
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        raise PatternError(f"is no regex of RE2: {error}") from error
