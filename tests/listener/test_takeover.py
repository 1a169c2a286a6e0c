"""Taking the place of a process that has bound an address: what it has not read stays its own, the rest comes here."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from relay.errors import RelayError
from relay.listener import takeover
from relay.listener.addresses import Address, SocketSpec
from relay.listener.socket_owner import find_owners, held_by
from relay.listener.sockets import close_sockets, open_sockets
from relay.listener.takeover import _borrow

pytestmark = pytest.mark.usefixtures("implementation")
NAME = Path("/proc/self/comm").read_text().strip()
HOLDER = """
import socket, sys
def bind(port):
    sock = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(sys.argv[2]) > 1 or port)
    sock.bind((sys.argv[1], port))
    return sock
with bind(int(sys.argv[3])) as sock:
    port = sock.getsockname()[1]
    others = [bind(port) for _ in range(1, int(sys.argv[2]))]
    print(port, flush=True)
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
    """`hold(host)`: another process that has bound a port there, with some sockets, and reads the first one twice."""
    holders = []

    def begin(host: str, *more: str, sockets: int = 1, port: int = 0) -> tuple[subprocess.Popen, int]:
        command = [sys.executable, "-c", HOLDER, host, str(sockets), str(port), *more]
        holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        holders.append(holder)
        return holder, int(holder.stdout.readline())

    yield begin
    for holder in holders:
        holder.kill()
        holder.wait()
        holder.stdin.close()
        holder.stdout.close()


def take(host: str, port: int, *, optional: bool = False):
    wanted = SocketSpec(udp=[Address(host, port, optional)], receive_buffer=100_000, take_over=True)
    return open_sockets(wanted)


@pytest.mark.parametrize(
    ("holds", "asked"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "127.0.0.1"),
        ("::1", "::1"),
        ("::", "::"),
        ("::", "::1"),
    ],
)
def test_every_packet_goes_to_one_of_the_two(hold, holds, asked):
    holder, port = hold(holds)
    to = ("::1" if ":" in asked else "127.0.0.1", port)
    with socket.socket(socket.AF_INET6 if ":" in asked else socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"before", to)
        held = take(asked, port)
        try:
            assert held[0].previous_owner == f"{NAME} (pid {holder.pid})"
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
    assert held[0].previous_owner == ""
    close_sockets(held)


def test_a_socket_that_would_not_hear_the_address_is_no_help(hold):
    _, port = hold("127.0.0.1")
    with pytest.raises(RelayError, match=r"RLY101  cannot take udp 0\.0\.0\.0:") as caught:
        take("0.0.0.0", port)
    assert "no process is known to hold it" in str(caught.value)


def test_without_being_asked_nothing_is_taken(hold):
    holder, port = hold("127.0.0.1")
    with pytest.raises(RelayError, match=rf"in use by {NAME} \(pid {holder.pid}\)") as caught:
        open_sockets(SocketSpec(udp=[Address("127.0.0.1", port)], receive_buffer=100_000))
    assert "--take-over" in str(caught.value)


def test_nothing_is_taken_if_another_address_cannot_be_opened(hold, monkeypatch):
    """The daemon that works would lose what comes until we have given up."""
    _, port = hold("127.0.0.1")
    taken = []
    monkeypatch.setattr(takeover, "take_over_udp", lambda address, **_: taken.append(address))
    with socket.create_server(("127.0.0.1", 0)) as busy:
        tcp = Address("127.0.0.1", busy.getsockname()[1])
        with pytest.raises(RelayError, match="cannot bind tcp"):
            open_sockets(SocketSpec(udp=[Address("127.0.0.1", port)], receive_buffer=1, tcp=[tcp], take_over=True))
    assert taken == []


def drain(sock: socket.socket) -> int:
    count = 0
    with suppress(BlockingIOError):
        while sock.recv(100):
            count += 1
    return count


def shout(port: int, hosts: list[str]) -> None:
    for host in hosts * 20:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", (host, port))


def test_of_a_process_with_several_sockets_all_get_nothing_more(hold):
    holder, port = hold("127.0.0.1", sockets=3)
    held = take("127.0.0.1", port)
    try:
        shout(port, ["127.0.0.1"])
        assert drain(held[0].socket) == 20
        holder.kill()
        holder.wait()
        shout(port, ["127.0.0.1"])
        assert drain(held[0].socket) == 20
    finally:
        close_sockets(held)


def test_several_processes_on_one_address_are_left_alone(hold):
    _, port = hold("127.0.0.1", sockets=2)
    hold("127.0.0.1", sockets=2, port=port)
    with pytest.raises(RelayError, match="one of several processes that share it"):
        take("127.0.0.1", port)


def test_another_relay_is_left_alone(hold):
    _, port = hold("127.0.0.1", "-m", "relay", "run")
    with pytest.raises(RelayError, match="is a relay, too"):
        take("127.0.0.1", port)


def test_both_families_of_one_socket_are_taken(hold):
    _, port = hold("::")
    wanted = SocketSpec(udp=[Address("0.0.0.0", port), Address("::", port)], receive_buffer=100_000, take_over=True)
    held = open_sockets(wanted)
    try:
        shout(port, ["127.0.0.1", "::1"])
        assert [drain(one.socket) for one in held] == [20, 20]
    finally:
        close_sockets(held)


def test_an_address_of_many_and_then_all_of_them_is_taken_from_the_same(hold):
    holder, port = hold("0.0.0.0")
    wanted = [Address("0.0.0.0", port), Address("127.0.0.1", port)]
    held = open_sockets(SocketSpec(udp=wanted, receive_buffer=100_000, take_over=True))
    try:
        shout(port, ["127.0.0.1"])
        assert [drain(one.socket) for one in held] == [0, 20]
        assert [one.previous_owner for one in held] == [f"{NAME} (pid {holder.pid})"] * 2
        assert [one.still_receives for one in held] == ["", f"0.0.0.0:{port}"]
    finally:
        close_sockets(held)


def test_an_attempt_that_fails_leaves_the_old_socket_as_it_was(hold, monkeypatch):
    holder, port = hold("127.0.0.1")
    monkeypatch.setattr("relay.listener.takeover._SO_ATTACH_REUSEPORT_CBPF", 9999)
    descriptors = held_by(os.getpid())
    with pytest.raises(RelayError, match="Protocol not available"):
        take("127.0.0.1", port)
    assert held_by(os.getpid()) == descriptors
    with socket.socket(fileno=_borrow(next(find_owners(port)))) as old:
        assert old.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
    assert holder.poll() is None
