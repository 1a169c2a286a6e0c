"""sd_notify in both directions, and who is believed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import pytest

from relay.notify import Notifier
from relay.supervisor.messages import Messages


def read(messages: Messages) -> list:
    deadline = time.monotonic() + 5
    while not (found := messages.read()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found


@pytest.fixture
def messages():
    messages = Messages()
    yield messages
    messages.close()


def test_what_is_said_comes_with_the_pid_of_who_said_it(messages):
    notifier = Notifier.take({"NOTIFY_SOCKET": messages.address}, pid=os.getpid())
    notifier.ready("fine")
    [message] = read(messages)
    assert message == (os.getpid(), ["READY=1", "STATUS=fine"])
    code = f"from relay.notify import Notifier; Notifier({messages.address!r}).send('READY=1')"
    other = subprocess.Popen([sys.executable, "-c", code])
    assert other.wait() == 0
    [message] = read(messages)
    assert message.pid == other.pid != os.getpid()
    notifier.reloading()
    [message] = read(messages)
    assert message.assignments[0] == "RELOADING=1"
    assert int(message.assignments[1].removeprefix("MONOTONIC_USEC=")) == pytest.approx(time.monotonic() * 1e6, rel=0.1)


def test_a_manager_with_a_path(tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        environ = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}
        notifier = Notifier.take(environ, pid=7)
        assert environ == {}
        assert notifier.watchdog == 30
        assert Notifier.take(dict(notifier.environ()), pid=8).watchdog == 30
        notifier.stopping("bye")
        assert manager.recv(1000) == b"STOPPING=1\nSTATUS=bye"
    notifier.stopping("nobody listens any more")


@pytest.mark.parametrize("environ", [{}, {"WATCHDOG_USEC": "5"}, {"NOTIFY_SOCKET": "@nobody-there-at-all"}])
def test_nobody_to_tell_is_no_failure(environ):
    Notifier.take(dict(environ), pid=1).ready()


def test_a_watchdog_of_another_process_is_not_ours():
    assert Notifier.take({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, pid=7).watchdog == 0
