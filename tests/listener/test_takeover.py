"""Taking a socket from the process that holds it: what it had not read is not lost, nor what comes while it ends."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from relay.errors import RelayError
from relay.listener.sockets import Address, Wanted, close_sockets, open_sockets

pytestmark = pytest.mark.usefixtures("implementation")
NAME = Path("/proc/self/comm").read_text().strip()
HOLDER = """
import socket, sys
with socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.bind((sys.argv[1], 0))
    print(sock.getsockname()[1], flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def hold():
    """`hold(host)`: another process that has bound a port there, and never reads it."""
    holders = []

    def begin(host: str) -> tuple[subprocess.Popen, int]:
        holder = subprocess.Popen([sys.executable, "-c", HOLDER, host], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        holders.append(holder)
        return holder, int(holder.stdout.readline())

    yield begin
    for holder in holders:
        holder.kill()
        holder.communicate()


def take(host: str, port: int, *, optional: bool = False):
    wanted = Wanted(udp=[Address(host, port, optional)], receive_buffer=100_000, take_over=True)
    return open_sockets(wanted)


@pytest.mark.parametrize(
    ("holds", "asked"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1"), ("::1", "::1")],
)
def test_no_packet_is_lost(hold, holds, asked):
    holder, port = hold(holds)
    to = ("::1" if ":" in asked else "127.0.0.1", port)
    with socket.socket(socket.AF_INET6 if ":" in asked else socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"not read by the old one", to)
        held = take(asked, port)
        sender.sendto(b"while both have it", to)
        holder.kill()
        holder.wait()
        sender.sendto(b"afterwards", to)
    try:
        assert held[0].giver == f"{NAME} (pid {holder.pid})"
        assert [held[0].socket.recv(100) for _ in range(3)] == [
            b"not read by the old one",
            b"while both have it",
            b"afterwards",
        ]
    finally:
        close_sockets(held)


def test_an_address_that_is_free_is_bound_as_ever():
    held = take("127.0.0.1", 0)
    assert held[0].giver == ""
    close_sockets(held)


def test_a_socket_that_would_not_hear_the_address_is_no_help(hold):
    _, port = hold("127.0.0.1")
    with pytest.raises(RelayError, match=r"RLY101  cannot take udp 0\.0\.0\.0:") as caught:
        take("0.0.0.0", port)
    assert "nobody is known to hold it" in str(caught.value)


def test_without_being_asked_nothing_is_taken(hold):
    holder, port = hold("127.0.0.1")
    with pytest.raises(RelayError, match=rf"in use by {NAME} \(pid {holder.pid}\)") as caught:
        open_sockets(Wanted(udp=[Address("127.0.0.1", port)], receive_buffer=100_000))
    assert "--take-over" in str(caught.value)
