"""The supervisor's few log lines, in the relay's two formats, without the libraries of the worker's log."""

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
    """State: a stream, what is left of a line, and how many lines the stream did not take.

    No relay may end because nobody reads its log, nor wait for who reads it: a full pipe would hold the event loop. A
    line for which there is no room at once is lost, and the next one that is taken follows a word of how many were.
    """

    def __init__(self, stream: TextIO, *, is_text: bool) -> None:
        self._stream = stream
        self._is_text = is_text
        self._begun = ""
        self._lost = 0

    def __repr__(self) -> str:
        """Report the stream."""
        return f"<LogStream {self._stream!r}, {self._lost} lines lost>"

    def write(self, text: str) -> None:
        """Write the lines that are complete by now."""
        *lines, self._begun = f"{self._begun}{text}".split("\n")
        for line in lines:
            self._write_line(line)

    def flush(self) -> None:
        """Nothing that is complete waits."""

    def _write_line(self, line: str) -> None:
        line = printable(line)
        told = self._lost
        if told and self._is_taken(self._loss(told)):
            self._lost -= told
        if self._lost or not self._is_taken(line):
            self._lost += 1

    def _loss(self, lines: int) -> str:
        event = "log lines lost, what reads the log is too slow"
        if self._is_text:
            return f"{event} lines={lines}"
        return json.dumps({"lines": lines, "event": event, "level": "warning", "timestamp": _stamp(time.time())})

    def _is_taken(self, line: str) -> bool:
        """Write a line if that is possible; say whether there was room for it, and whether it is worth another try."""
        left = f"{line}\n".encode(errors="backslashreplace")
        try:
            descriptor = self._stream.fileno()
        except (OSError, ValueError):
            self._stream.write(f"{line}\n")  # in memory
            return True
        with suppress(OSError):  # who read it has gone, or the disk is full
            while left:
                if not _has_room(descriptor):
                    return False
                left = left[os.write(descriptor, left[: select.PIPE_BUF]) :]
        return True


def _has_room(descriptor: int) -> bool:
    """Say whether a write of PIPE_BUF bytes does not wait."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))


def _stamp(now: float) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1e6):06d}Z"


def wants_text(form: str) -> bool:
    """Say what `[log] format` comes to: text on a terminal, JSON elsewhere, unless it says which."""
    return form == "text" or (form == "auto" and sys.stderr.isatty())


class SupervisorLog:
    """State: the format and the least important level."""

    def __init__(self, *, is_text: bool, level: str) -> None:
        self._is_text = is_text
        self._level = LEVELS[level]

    def __repr__(self) -> str:
        """Report the format."""
        return f"<SupervisorLog {'text' if self._is_text else 'json'}>"

    def info(self, event: str, **fields: object) -> None:
        """A change of state."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Something that costs data, or may."""
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
