"""Selects the implementation of the hot path; running the slower one unasked is logged (RLY900), never silent."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Unpack

from relay.errors import ExitCode, Problem, RelayError

if TYPE_CHECKING:
    from relay.hotpath.contract import HotPath, HotPathSettings

_NATIVE = "relay.hotpath.native._native"


def has_native() -> bool:
    """Return whether the native hot path is installed."""
    return find_spec(_NATIVE) is not None


def choose_name(wanted: str) -> str:
    """Return the implementation for `[listen] hotpath`: `native` or `python`; `auto` prefers native.

    Raises:
        RelayError: RLY900, `native` was asked for and is not installed.
    """
    if wanted == "native" and not has_native():
        problem = Problem(
            code="RLY900",
            message="the native hot path is not installed",
            fix='install a C compiler and reinstall statsd-relay, or set [listen] hotpath = "python", the slower one',
        )
        raise RelayError(problem, exit_code=ExitCode.CONFIGURATION)
    return "native" if wanted != "python" and has_native() else "python"


def make_hotpath(name: str, **settings: Unpack[HotPathSettings]) -> HotPath:
    """Return a new hot path; `name` comes from `choose_name`. Only its own module is imported, for a fast start."""
    if name == "native":
        from relay.hotpath.native._native import NativeHotPath  # noqa: PLC0415

        return NativeHotPath(**settings)
    from relay.hotpath.python.hotpath import PythonHotPath  # noqa: PLC0415

    return PythonHotPath(**settings)


def log_hotpath(wanted: str, name: str) -> None:
    """Warn if the Python hot path runs without having been configured."""
    if wanted == "auto" and name == "python":
        import structlog  # noqa: PLC0415 - the supervisor's child imports this module and logs nothing

        fix = 'install a C compiler and reinstall, or set [listen] hotpath = "python" to accept the slower one'
        structlog.get_logger("relay").warning("the native hot path is not installed", code="RLY900", fix=fix)
