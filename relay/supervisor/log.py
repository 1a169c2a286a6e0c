"""Where log lines go, and the supervisor's log, without the libraries of the worker's log.

`LogStream` never blocks; the worker's log uses it, too. log_format.py has the formats.
"""

from __future__ import annotations

import os
import re
import select
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TextIO

from relay.supervisor.log_format import WIDTH, TextFormat, as_date, as_json
from relay.wording import printable

if TYPE_CHECKING:
    from collections.abc import Callable

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_COLOURS: Final = {"error": "31", "warning": "33", "note": "36"}
_LEVEL_WORD: Final = re.compile(rf"(?<=^\d\d:\d\d:\d\d  )({'|'.join(_COLOURS)})\b")


class LogStream:
    """State: a stream, the incomplete line, and the number of lost lines.

    A full pipe must neither end the relay nor block its event loop. Lines for which the stream has no room are lost.
    The next lines that can be written are preceded by one with the number of lost lines. Lines of one event are written
    at once, so that the supervisor's and the worker's do not mix.

    Args:
        stream: where the lines go.
        is_text: the format of the line about lost lines.
        copy: gets each line too, also a lost one.
    """

    def __init__(self, stream: TextIO, *, is_text: bool, copy: Callable[[str], object] | None = None) -> None:
        self._stream = stream
        self._copy = copy or (lambda _: None)
        self._is_text = is_text
        self._incomplete = ""
        self._lost = 0

    @property
    def width(self) -> int:
        """Columns of the terminal; 80 if the stream is none."""
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or WIDTH
        except (OSError, ValueError):
            return WIDTH

    def write(self, text: str) -> None:
        """Write the complete lines; hold the incomplete one."""
        *lines, self._incomplete = f"{self._incomplete}{text}".split("\n")
        lines = [printable(line) for line in lines]
        for line in lines:
            self._copy(line)
        if lines:
            self._write_lines([self._paint(line) for line in lines])

    def flush(self) -> None:
        """Do nothing: complete lines are never buffered."""

    def _write_lines(self, lines: list[str]) -> None:
        lost = self._lost
        if lost and self._try_write(self._loss(lost)):
            self._lost -= lost  # another thread may have added to it
        if self._lost or not self._try_write("\n".join(lines)):
            self._lost += len(lines)

    def _loss(self, lines: int) -> str:
        event, fields = "log lines are lost, their reader is too slow", {"log_lines": lines}
        if self._is_text:
            return TextFormat(date=as_date(time.time())).render(
                "warning", event, fields, now=time.time(), width=self.width
            )
        return as_json("warning", event, fields, now=time.time())

    def _paint(self, line: str) -> str:
        """Colour the level's word on a terminal. The line is escaped before, so that it has no colour of its own."""
        return _LEVEL_WORD.sub(_in_colour, line) if self._is_text and has_colour(self._stream) else line

    def _try_write(self, line: str) -> bool:
        """Write a line if there is room; return False if not. A write error counts as written: it is not retried."""
        left = f"{line}\n".encode(errors="backslashreplace")
        try:
            descriptor = self._stream.fileno()
        except (OSError, ValueError):
            self._stream.write(f"{line}\n")  # in memory
            return True
        with suppress(OSError):  # the reader has closed the pipe, or the disk is full
            while left:
                if not _has_room(descriptor):
                    return False
                left = left[os.write(descriptor, left[: select.PIPE_BUF]) :]
        return True


def _has_room(descriptor: int) -> bool:
    """Return whether a write of PIPE_BUF bytes would not block."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))


def has_colour(stream: TextIO) -> bool:
    """Return whether a stream is a terminal on which colour is wanted (no-color.org, TERM)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()


def _in_colour(word: re.Match[str]) -> str:
    return f"\x1b[{_COLOURS[word[0]]}m{word[0]}\x1b[0m"


def wants_text(form: str) -> bool:
    """Return whether `[log] format` means text: "auto" is text on a terminal and JSON elsewhere."""
    return form == "text" or (form == "auto" and sys.stderr.isatty())


class SupervisorLog:
    """State: the format, the least important level, and the date that the reader knows from the worker's first line."""

    def __init__(self, *, is_text: bool, level: str, date: str = "") -> None:
        self._is_text = is_text
        self._level = LEVELS[level]
        self._format = TextFormat(date=date)

    def info(self, event: str, **fields: Any) -> None:  # noqa: ANN401 - log fields are any scalars
        """Log a change of state."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:  # noqa: ANN401
        """Log an event that loses data, or may."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:  # noqa: ANN401
        """Log an event after which data does not flow."""
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        if LEVELS[level] < self._level:
            return
        stream = LogStream(sys.stderr, is_text=self._is_text)
        if self._is_text:
            line = self._format.render(level, event, fields, now=time.time(), width=stream.width)
        else:
            line = as_json(level, event, fields, now=time.time())
        stream.write(f"{line}\n")
