"""The supervisor's log lines, in the relay's two formats (text and JSON), without the libraries of the worker's log.

`LogStream` never blocks; the worker's log and its terminal output use it, too.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from contextlib import suppress
from typing import Final, TextIO

from relay.wording import printable

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class LogStream:
    """State: a stream, the incomplete line, and the number of lost lines.

    A full pipe must neither end the relay nor block its event loop. A line for which the stream has no room is lost.
    The next line that can be written is preceded by one with the number of lost lines.
    """

    def __init__(self, stream: TextIO, *, is_text: bool) -> None:
        self._stream = stream
        self._is_text = is_text
        self._incomplete = ""
        self._lost = 0

    def write(self, text: str) -> None:
        """Write the complete lines; hold the incomplete one."""
        *lines, self._incomplete = f"{self._incomplete}{text}".split("\n")
        for line in lines:
            self._write_line(line)

    def flush(self) -> None:
        """Do nothing: complete lines are never buffered."""

    def _write_line(self, line: str) -> None:
        line = printable(line)
        lost = self._lost
        if lost and self._try_write(self._loss(lost)):
            self._lost -= lost  # another thread may have added to it
        if self._lost or not self._try_write(line):
            self._lost += 1

    def _loss(self, lines: int) -> str:
        event = "log lines lost, what reads the log is too slow"
        if self._is_text:
            return f"{event} lines={lines}"
        return json.dumps({"lines": lines, "event": event, "level": "warning", "timestamp": _stamp(time.time())})

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


def _stamp(now: float) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1e6):06d}Z"


def wants_text(form: str) -> bool:
    """Return whether `[log] format` means text: "auto" is text on a terminal and JSON elsewhere."""
    return form == "text" or (form == "auto" and sys.stderr.isatty())


class SupervisorLog:
    """State: the format and the least important level."""

    def __init__(self, *, is_text: bool, level: str) -> None:
        self._is_text = is_text
        self._level = LEVELS[level]

    def info(self, event: str, **fields: object) -> None:
        """Log a change of state."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log an event that loses data, or may."""
        self._write("warning", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        if LEVELS[level] < self._level:
            return
        stamp = _stamp(time.time())
        if self._is_text:
            words = " ".join(f"{key}={value}" for key, value in fields.items())
            line = f"{stamp} [{level:<9}] {event} {words}".rstrip()
        else:
            line = json.dumps({**fields, "event": event, "level": level, "timestamp": stamp})
        LogStream(sys.stderr, is_text=self._is_text).write(f"{line}\n")
