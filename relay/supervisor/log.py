"""The supervisor's few log lines, in the relay's two formats, without the libraries of the worker's log."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from typing import Final

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def wants_text(form: str) -> bool:
    """Say what `[log] format` comes to: text on a terminal, JSON elsewhere, unless it says which."""
    return form == "text" or (form == "auto" and sys.stderr.isatty())


class Log:
    """State: the format and the least important level."""

    def __init__(self, *, is_text: bool, level: str) -> None:
        self._is_text = is_text
        self._level = LEVELS[level]

    def __repr__(self) -> str:
        """Report the format."""
        return f"<Log {'text' if self._is_text else 'json'}>"

    def info(self, event: str, **fields: object) -> None:
        """A change of state."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Something that costs data, or may."""
        self._write("warning", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        if LEVELS[level] < self._level:
            return
        now = time.time()
        stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1e6):06d}Z"
        if self._is_text:
            words = " ".join(f"{key}={value}" for key, value in fields.items())
            line = f"{stamp} [{level:<9}] {event} {words}".rstrip()
        else:
            line = json.dumps({**fields, "event": event, "level": level, "timestamp": stamp})
        with suppress(OSError):  # who read it has gone: no reason to let go of the sockets
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
