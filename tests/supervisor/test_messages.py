"""sd_notify in both directions, and which messages count."""

from __future__ import annotations

import os
import select
import socket
import time

import pytest

from relay.daemon.lifecycle.worker import Worker
from relay.listener.socket_activation import read_text
from relay.supervisor.messages import Messages
from relay.supervisor.protocol import Notifier


@pytest.fixture
def messages():
    messages = Messages()
    yield messages
    messages.close()


@pytest.fixture
def notifier(messages):
    """The sending end of a worker."""
    environ = {}
    messages.give(environ, sockets=5)
    notifier = Notifier.from_environ(environ, pid=os.getpid())
    assert environ == {}
    yield notifier
    notifier._channel.close()


def test_a_message_comes_with_its_descriptor(messages, notifier):
    notifier.ready("fine")
    with socket.create_server(("127.0.0.1", 0)) as sock:
        notifier.send("X=1", descriptor=sock.fileno())
        first, second = messages.read()
        assert first == (["READY=1", "STATUS=fine"], None)
        with socket.socket(fileno=second.descriptor) as copy:
            assert copy.getsockname() == sock.getsockname()
            assert not copy.get_inheritable()
    notifier.reloading()
    [message] = messages.read()
    assert message.assignments[0] == "RELOADING=1"
    assert int(message.assignments[1].removeprefix("MONOTONIC_USEC=")) == pytest.approx(time.monotonic() * 1e6, rel=0.1)


def test_no_process_but_the_worker_can_write(messages):
    """A pair of sockets has no address, so only the worker's messages are in its queue."""
    assert messages._socket.getsockname() == ""
    assert messages._given.getsockname() == ""


def test_an_endless_stream_of_messages_does_not_block_other_events(messages, notifier):
    for _ in range(10_000):
        notifier.ready()
    assert 0 < len(messages.read()) < 1000


def test_a_closed_channel_does_not_wake_the_loop(messages, notifier):
    messages.close_given()
    notifier._channel.close()
    poll = select.poll()
    poll.register(messages, select.POLLIN)
    assert poll.poll(0) == []
    assert messages.read() == []


def test_a_manager_with_a_path(tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        environ = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}
        notifier = Notifier.from_environ(environ, pid=7)
        assert environ == {}
        assert notifier.watchdog == 30
        assert Notifier.from_environ(dict(notifier.environ()), pid=8).watchdog == 30
        notifier.stopping("bye")
        assert manager.recv(1000) == b"STOPPING=1\nSTATUS=bye"
    notifier.stopping("nobody listens any more")


@pytest.mark.parametrize("environ", [{}, {"WATCHDOG_USEC": "5"}, {"NOTIFY_SOCKET": "@nobody-there-at-all"}])
def test_a_missing_manager_is_no_failure(environ):
    Notifier.from_environ(dict(environ), pid=1).ready()


def test_a_watchdog_of_another_process_is_not_ours():
    assert Notifier.from_environ({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, pid=7).watchdog == 0


def test_a_plan_that_cannot_be_sent_is_an_error(messages, notifier):
    """With a full queue the supervisor would start the next worker with the previous plan."""
    worker = Worker(supervisor=os.getpid(), notifier=notifier)
    for _ in range(10_000):
        notifier.ready()
    with pytest.raises(OSError, match="temporarily unavailable"):
        worker.accept("a plan", is_rebinding=False)
    while messages.read():
        pass
    worker.accept("a plan", is_rebinding=False)
    [message] = messages.read()
    assert read_text(message.descriptor) == "a plan"
    os.close(message.descriptor)
