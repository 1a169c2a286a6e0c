"""Which implementation runs: never chosen silently."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from relay.errors import ExitCode, Problem, RelayError
from relay.hotpath.aggregator import PythonHotPath

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.config.schema import Limits, Listen, Window
    from relay.model import Kind, Series


def choose_hotpath(
    listen: Listen, limits: Limits, window: Window, *, max_age: float, catch_all: Callable[[Kind], Series]
) -> PythonHotPath:
    """Make the hot path that `[listen] hotpath` asks for.

    Raises:
        RelayError: RLY900, `native` was asked for and is not installed.
    """
    fix = 'set [listen] hotpath = "python" to accept the slower one'
    if listen.hotpath == "native":
        problem = Problem(code="RLY900", message="the native hot path is not installed", fix=fix)
        raise RelayError(problem, exit_code=ExitCode.CONFIGURATION)
    if listen.hotpath == "auto":
        structlog.get_logger("relay").warning("RLY900 running without the native hot path", fix=fix)
    hotpath = PythonHotPath(
        series_limit=limits.series,
        series_per_metric=limits.series_per_metric,
        memory=limits.memory,
        window_seconds=window.seconds,
        max_age=max_age,
        idle_gauge_ttl=window.idle_gauge_ttl(),
        catch_all=catch_all,
    )
    hotpath.allow(listen.allow)
    return hotpath
