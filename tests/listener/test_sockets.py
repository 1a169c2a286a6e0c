"""Opening sockets, keeping those that are wanted, and handing them over to another program."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest

from relay.errors import RelayError
from relay.listener.addresses import Address, SocketSpec
from relay.listener.bind import enlarge_buffer, granted_buffer
from relay.listener.socket_activation import has_inherited_sockets, inherit_sockets, pass_sockets
from relay.listener.sockets import close_sockets, open_sockets

HERE = Address("127.0.0.1", 0)
pytestmark = pytest.mark.usefixtures("implementation")


@pytest.fixture
def opened():
    found = []
    yield found
    close_sockets(found)


def test_what_is_held_and_still_wanted_is_kept(opened):
    first, second, third = HERE, Address("127.0.0.2", 0), Address("127.0.0.3", 0)
    opened += open_sockets(SocketSpec(udp=[first, second], receive_buffer=100_000))
    again = open_sockets(SocketSpec(udp=[third, first], receive_buffer=100_000), opened)
    opened += again
    assert [one.address for one in again] == [third, first]
    assert again[1].socket is opened[0].socket


def test_one_address_that_is_taken_opens_none(opened):
    opened += open_sockets(SocketSpec(udp=[HERE], receive_buffer=100_000))
    taken = Address("127.0.0.1", opened[0].socket.getsockname()[1])
    free = Address("127.0.0.9", taken.port)
    with pytest.raises(RelayError, match="RLY101"):
        open_sockets(SocketSpec(udp=[free, taken], receive_buffer=100_000))
    opened += open_sockets(SocketSpec(udp=[free], receive_buffer=100_000))


def test_several_readers_share_an_address_and_no_other_process_does(opened):
    opened += open_sockets(SocketSpec(udp=[HERE], receive_buffer=100_000, readers=3))
    assert len({one.socket.getsockname() for one in opened}) == 1
    assert len(opened) == 3
    bound = Address("127.0.0.1", opened[0].socket.getsockname()[1])
    with pytest.raises(RelayError, match="in use"):
        open_sockets(SocketSpec(udp=[bound], receive_buffer=100_000, readers=3))


def test_an_inherited_buffer_never_shrinks(opened):
    opened += open_sockets(SocketSpec(udp=[HERE], receive_buffer=100_000))
    sock = opened[0].socket
    before = granted_buffer(sock)
    enlarge_buffer(sock, 4096)
    assert granted_buffer(sock) == before
    enlarge_buffer(sock, before + 4096)
    assert granted_buffer(sock) >= before


RECEIVER = """
import json, os
from relay.listener.socket_activation import has_inherited_sockets, inherit_sockets
held = inherit_sockets(os.environ) if has_inherited_sockets(os.environ) else []
print(json.dumps([[one.kind, one.socket.getsockname()[1], one.socket.getblocking(), one.socket.recv(10).decode()]
    for one in held] + [sorted(name for name in os.environ if name.startswith("LISTEN"))]))
"""


def test_another_program_takes_them_over_from_descriptor_3(opened):
    """Also where they lie at the numbers that others are to have."""
    opened += open_sockets(SocketSpec(udp=[HERE, Address("127.0.0.2", 0)], receive_buffer=100_000))
    ports = [one.socket.getsockname()[1] for one in opened]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number, one in enumerate(opened):
            sender.sendto(b"%d" % number, one.socket.getsockname())
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(into, 1)
        environ = dict(os.environ)
        pass_sockets(opened, environ)
        os.execve(sys.executable, [sys.executable, "-c", RECEIVER], environ)
    os.close(into)
    with os.fdopen(out) as answer:
        told = json.loads(answer.read())
    assert os.waitpid(pid, 0)[1] == 0
    assert told == [["udp", ports[0], False, "0"], ["udp", ports[1], False, "1"], []]


def test_sockets_of_another_process_are_not_ours():
    assert not has_inherited_sockets({})
    assert not has_inherited_sockets({"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "1"})
    assert not has_inherited_sockets({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"})
    environ = {"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "udp"}
    assert inherit_sockets(environ) == []


def test_the_program_that_takes_over_needs_few_modules():
    """The supervisor's memory is what it imports."""
    code = "import sys, relay.supervisor.supervisor; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"asyncio", "aiohttp", "uvloop", "structlog", "msgspec", "click", "sqlite3", "ssl", "orjson"}
    assert heavy.isdisjoint(done.stdout.split())
