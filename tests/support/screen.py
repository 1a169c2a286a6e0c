"""A command on a real terminal: a pty, whose output pyte turns into the lines that a person sees."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import contextmanager

import pyte


class Screen:
    """State: the process, the terminal's other end, and what it shows."""

    def __init__(self, command, *, columns: int, lines: int, environ: dict[str, str]) -> None:
        self.master, self.slave = os.openpty()
        self._set_size(columns, lines)
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            command,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env=environ,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no threads: Ctrl-C needs it
        )
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        """Everything that was written."""

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns: int, lines: int) -> None:
        self._set_size(columns, lines)
        self.screen.resize(lines, columns)
        os.kill(self.process.pid, signal.SIGWINCH)

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def read(self, seconds: float = 0.1) -> None:
        """Take what is written within some time."""
        if select.select([self.master], [], [], seconds)[0]:
            written = os.read(self.master, 65_536)
            self.raw += written
            self._stream.feed(written)

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, condition, *, within: float = 30) -> None:
        """Read until a condition on this screen is true."""
        ends = time.monotonic() + within
        while not condition(self):
            assert time.monotonic() < ends, self.text
            self.read()

    def shows(self, text: str) -> None:
        self.wait_for(lambda screen: text in screen.text)

    def ended(self, within: float = 20) -> int:
        """Wait for the end of the process; return its exit code."""
        ends = time.monotonic() + within
        while self.process.poll() is None:
            assert time.monotonic() < ends, self.text
            self.read(0.05)
        self.read(0.05)
        return self.process.returncode


@contextmanager
def on_terminal(*arguments: str, columns: int = 80, lines: int = 24, **environ: str):
    """Run a command of the relay on a terminal of its own."""
    base = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "TERM": "xterm",
        "LANG": "C.UTF-8",
        "LC_CTYPE": "C.UTF-8",
    }
    command = [sys.executable, "-m", "relay", *arguments]
    screen = Screen(command, columns=columns, lines=lines, environ={**base, "LC_ALL": "C.UTF-8", **environ})
    try:
        yield screen
    finally:
        if screen.process.poll() is None:
            screen.process.kill()
        screen.process.wait()
        os.close(screen.master)
        os.close(screen.slave)
