"""Checks of the environment variables by which a process of the relay, or a service manager, passes parameters.

They are checked before anything else is done. A wrong value, set by hand or left behind by another program, ends in one
message. Code that reads a variable later can rely on a number in its range, or a descriptor of its kind.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.listener.socket_activation import INGEST, SUCCESSOR, SUPERVISOR, TEXT, unusable
from relay.supervisor.notify import ADDRESS_BYTES, CHANNEL
from relay.supervisor.plan import PLAN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SHOWN: Final = 60
"""Characters of a value in a message."""


class _Rule(NamedTuple):
    """The condition of a value: in words, and as a function."""

    words: str
    is_kept: Callable[[str], bool]


def _number(most: int, *, least: int = 0) -> Callable[[str], bool]:
    """Return a function that tells whether a text is a whole number in a range."""
    digits = len(str(most))
    return lambda text: text.isascii() and text.isdecimal() and len(text) <= digits and least <= int(text) <= most


_is_descriptor: Final = _number((1 << 31) - 1)
_PID: Final = _Rule("the number of a process", _number(1 << 22))  # PID_MAX_LIMIT of Linux


def _is_anonymous(text: str) -> bool:
    """Return whether a text is the descriptor of an anonymous file: only such files have seals."""
    try:
        return _is_descriptor(text) and fcntl.fcntl(int(text), fcntl.F_GET_SEALS) >= 0
    except OSError:
        return False


def _is_socket(text: str) -> bool:
    try:
        return _is_descriptor(text) and stat.S_ISSOCK(os.fstat(int(text)).st_mode)
    except OSError:
        return False


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _is_address(text: str) -> bool:
    return text[0] in "/@" and len(text) > 1 and len(os.fsencode(text)) <= ADDRESS_BYTES


_TEXT_FILE: Final = _Rule("the descriptor of an anonymous file", _is_anonymous)
_RULES: Final = {
    PLAN: _TEXT_FILE,
    TEXT: _TEXT_FILE,
    CHANNEL: _Rule("the descriptor of a socket", _is_socket),
    SUPERVISOR: _PID,
    SUCCESSOR: _Rule("a JSON object", _is_object),
    INGEST: _Rule("a JSON object", _is_object),
    "LISTEN_PID": _PID,
    "WATCHDOG_PID": _PID,
    "WATCHDOG_USEC": _Rule("a number of microseconds, 10^4 to 10^15", _number(10**15, least=10**4)),
    "NOTIFY_SOCKET": _Rule(f"a path from / on or a name after @, at most {ADDRESS_BYTES} bytes", _is_address),
}
"""LISTEN_FDS is checked where the sockets are taken, and only if LISTEN_PID is this process."""


def check_variables(environ: Mapping[str, str]) -> None:
    """Check the variables that are set.

    Raises:
        RelayError: RLY102, names the first variable with a wrong value.
    """
    for name, rule in _RULES.items():
        value = environ.get(name, "")
        if value and not rule.is_kept(value):
            raise unusable(name, f"must be {rule.words}, not {value[:_SHOWN]!a}")
