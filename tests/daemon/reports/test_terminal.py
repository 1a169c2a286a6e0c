"""What a relay shows on a terminal. tests/supervisor/test_terminal.py has its end."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import signal
import socket
import struct
import subprocess
import termios
import time

import pytest

from tests.support.relay import environment, free_port, run

WIDTH = 60


class Terminal:
    """A relay in a session and on a terminal of its own; `text` is what it has shown."""

    def __init__(self, env: dict[str, str]) -> None:
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
        self.process = subprocess.Popen(
            run(),
            env=env,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - one thread
            cwd="/",
        )
        os.close(theirs)
        self.text = ""

    def read_until(self, wanted: str) -> str:
        deadline = time.monotonic() + 60
        while not re.search(wanted, self.text):
            assert time.monotonic() < deadline, self.text
            self.text += os.read(self._ours, 10_000).decode()
        return self.text

    def close(self) -> None:
        os.close(self._ours)


@pytest.fixture
def terminal(tmp_path):
    """A relay on a terminal, with the port that it listens on."""
    port = free_port()
    env = environment("http://127.0.0.1:1", tmp_path / "state", LISTEN_UDP=f"127.0.0.1:{port}", LOG_LEVEL="info")
    env["STATSD_RELAY_LOG_FORMAT"] = "auto"
    terminal = Terminal({**env, "TERM": "xterm"})
    yield terminal, port
    if terminal.process.poll() is None:
        terminal.process.kill()
    terminal.process.wait()


async def test_lines_fit_and_levels_are_coloured(terminal):
    it, port = terminal
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        await asyncio.to_thread(it.read_until, "listening +udp")
        sock.sendto(b"web.time:abc|ms", ("127.0.0.1", port))
    text = await asyncio.to_thread(it.read_until, r"(?s)RLY301.*\^\r\n")
    assert "\x1b[33mwarning\x1b[0m RLY301" in text
    plain = re.sub(r"\x1b\[\d+m", "", text)
    long = [line for line in plain.splitlines() if len(line) > WIDTH]
    assert [line for line in long if len(line[12:].split()) > 1] == [], "a long word is not cut"
    it.process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(it.process.wait, 30)
    it.close()
