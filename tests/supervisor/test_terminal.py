"""A relay that was started in a terminal ends with the terminal, and reloads on SIGHUP while the terminal is open."""

from __future__ import annotations

import json
import os
import pty
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.relay import environment

if TYPE_CHECKING:
    from pathlib import Path


def started(tmp_path: Path, *, ignores: bool) -> tuple[int, int]:
    """Start a relay on a terminal of its own; return its pid and our end of the terminal when it is ready."""
    log = tmp_path / "log"
    environ = environment("http://127.0.0.1:1", tmp_path / "state")
    pid, terminal = pty.fork()
    if pid == 0:
        if ignores:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        output = os.open(log, os.O_WRONLY | os.O_CREAT)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.execve(sys.executable, [sys.executable, "-m", "relay", "run"], environ)
    wait_for(log, '"admin"')
    return pid, terminal


def wait_for(log: Path, text: str) -> None:
    until = time.monotonic() + 40
    while not (log.exists() and text in log.read_text()):
        assert time.monotonic() < until, log.read_text() if log.exists() else "no log"
        time.sleep(0.05)


@pytest.mark.parametrize("ignores", [False, True], ids=["plain", "nohup"])
def test_the_end_of_the_terminal_is_a_stop_but_with_nohup(ignores, tmp_path):
    pid, terminal = started(tmp_path, ignores=ignores)
    log = tmp_path / "log"
    try:
        os.kill(pid, signal.SIGHUP)
        wait_for(log, '"reloaded"')
        os.close(terminal)
        if ignores:
            os.kill(pid, signal.SIGHUP)
            while log.read_text().count('"reloaded"') < 2:
                time.sleep(0.05)
            os.kill(pid, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    events = [json.loads(line)["event"] for line in log.read_text().splitlines() if line.startswith("{")]
    assert events[-1] == "stopped"
