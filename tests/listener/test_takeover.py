"""Taking the place of a process that has bound an address: what it has not read stays its own, the rest comes here."""

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
    sock.settimeout(5)
    print(sock.recv(100).decode(), flush=True)
    sys.stdin.read()
    sock.settimeout(0.2)
    try:
        print(sock.recv(100).decode(), flush=True)
    except TimeoutError:
        print("nothing", flush=True)
"""


@pytest.fixture
def hold():
    """`hold(host)`: another process that has bound a port there, and reads it twice."""
    holders = []

    def begin(host: str) -> tuple[subprocess.Popen, int]:
        holder = subprocess.Popen([sys.executable, "-c", HOLDER, host], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        holders.append(holder)
        return holder, int(holder.stdout.readline())

    yield begin
    for holder in holders:
        holder.kill()
        holder.wait()
        holder.stdin.close()
        holder.stdout.close()


def take(host: str, port: int, *, optional: bool = False):
    wanted = Wanted(udp=[Address(host, port, optional)], receive_buffer=100_000, take_over=True)
    return open_sockets(wanted)


@pytest.mark.parametrize(
    ("holds", "asked"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1"), ("::1", "::1")],
)
def test_every_packet_goes_to_one_of_the_two(hold, holds, asked):
    holder, port = hold(holds)
    to = ("::1" if ":" in asked else "127.0.0.1", port)
    with socket.socket(socket.AF_INET6 if ":" in asked else socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"before", to)
        held = take(asked, port)
        try:
            assert held[0].giver == f"{NAME} (pid {holder.pid})"
            for _ in range(20):  # from many ports, as a hash would scatter them
                with socket.socket(sender.family, socket.SOCK_DGRAM) as other:
                    other.sendto(b"while both run", to)
            assert [held[0].socket.recv(100) for _ in range(20)] == [b"while both run"] * 20
            assert holder.stdout.readline() == b"before\n"
            holder.stdin.close()
            assert holder.stdout.readline() == b"nothing\n"
            holder.wait()
            sender.sendto(b"afterwards", to)
            assert held[0].socket.recv(100) == b"afterwards"
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
