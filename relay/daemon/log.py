"""Configuration of structlog: format, level, and escaping of user bytes. The formats are supervisor/log_format.py's."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import structlog

from relay import limits
from relay.supervisor.log import LEVELS, LogStream, wants_text
from relay.supervisor.log_format import BLOCK, TextFormat, as_date, as_json
from relay.wording import escape

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from structlog.typing import EventDict, Processor, WrappedLogger

    from relay.config.schema import LogConfig


def is_text(log: LogConfig) -> bool:
    """Return whether the log is text: as configured, or by default on a terminal."""
    return wants_text(log.format)


def configure_log(log: LogConfig, *, is_continued: bool = False, copy: Callable[[str], object] | None = None) -> None:
    """Send the relay's log to stderr; stdout is for the results of commands.

    Args:
        log: format and level.
        is_continued: the reader knows the date from an earlier line.
        copy: gets each line too.
    """
    date = as_date(time.time()) if is_continued else ""
    stream = LogStream(sys.stderr, is_text=is_text(log), copy=copy)
    render = _TextRenderer(stream, TextFormat(date=date)) if is_text(log) else _render_json
    structlog.configure(
        processors=[structlog.processors.add_log_level, _escape, render],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[log.level]),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", stream)),
    )


def text_logger(stream: TextIO) -> Any:  # noqa: ANN401 - structlog's loggers have no common type
    """Return a logger that writes text to a stream of its own."""
    target = LogStream(stream, is_text=True)
    render = _TextRenderer(target, TextFormat())
    logger = structlog.PrintLogger(cast("TextIO", target))
    processors: list[Processor] = [structlog.processors.add_log_level, _escape, render]
    return structlog.wrap_logger(
        logger, processors, wrapper_class=structlog.make_filtering_bound_logger(LEVELS["info"])
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


def _render_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    return as_json(event.pop("level"), event.pop("event"), event, now=time.time())


@dataclass(frozen=True, slots=True)
class _TextRenderer:
    """State: the terminal, and the date that its reader knows."""

    stream: LogStream
    text: TextFormat

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> str:
        """Return the lines of an event."""
        if event.get(BLOCK) == []:
            raise structlog.DropEvent
        return self.text.render(event.pop("level"), event.pop("event"), event, now=time.time(), width=self.stream.width)
