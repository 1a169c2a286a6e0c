"""Configuration of structlog: format, level, and escaping of user bytes. The stream is supervisor/log.py's."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO, cast

import structlog

from relay import limits
from relay.supervisor.log import LEVELS, LogStream, wants_text
from relay.wording import escape

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

    from relay.config.schema import LogConfig


def is_text(log: LogConfig) -> bool:
    """Return whether the log is text: as configured, or by default on a terminal."""
    return wants_text(log.format)


def configure_log(log: LogConfig) -> None:
    """Send the relay's log to stderr; stdout is for the results of commands."""
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
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[log.level]),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", LogStream(sys.stderr, is_text=is_text(log)))),
    )


def _escape(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Escape and cut user bytes, so that they cannot control a terminal or fill the log; turn `at` into a column."""
    at = event.pop("at", None)
    if at is not None:
        event["column"] = len(escape(event["line"][:at])) + 1
    for key, value in event.items():
        if isinstance(value, bytes):
            event[key] = escape(value[: limits.REJECT_BYTES])
    return event


def _with_caret(render: Processor) -> Processor:
    """Add a bad line below its event, with a caret under the faulty byte."""

    def show(logger: WrappedLogger, name: str, event: EventDict) -> str:
        line, column = event.get("line", ""), event.get("column", 0)
        below = f"\n      {line}\n      {' ' * (column - 1)}^" if column else ""
        return str(render(logger, name, event)) + below

    return show
