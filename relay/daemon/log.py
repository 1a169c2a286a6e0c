"""structlog's set-up."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO, cast

import structlog

from relay import limits
from relay.supervisor.log import LogStream, wants_text
from relay.wording import escape

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

    from relay.config.schema import Log

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def is_text(log: Log) -> bool:
    """Text on a terminal, JSON elsewhere, unless the configuration says which."""
    return wants_text(log.format)


def configure_log(log: Log) -> None:
    """Send the relay's log to stderr: stdout belongs to the results of commands."""
    renderer: Processor = (
        _with_caret(structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0))
        if is_text(log)
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _escape,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[log.level]),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", LogStream(sys.stderr, is_text=is_text(log)))),
    )


def _escape(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """User bytes must not move the cursor of whoever reads the log, nor fill it; `at` moves with what is before it."""
    at = event.pop("at", None)
    if at is not None:
        event["column"] = len(escape(event["line"][:at])) + 1
    for key, value in event.items():
        if isinstance(value, bytes):
            event[key] = escape(value[: limits.REJECT_BYTES])
    return event


def _with_caret(render: Processor) -> Processor:
    """Let people see a bad line on a line of its own, with a caret under the place."""

    def show(logger: WrappedLogger, name: str, event: EventDict) -> str:
        line, column = event.get("line", ""), event.get("column", 0)
        below = f"\n      {line}\n      {' ' * (column - 1)}^" if column else ""
        return str(render(logger, name, event)) + below

    return show
