"""Real sockets: bind, buffers, drops, drain, and never a reply."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest
from structlog.testing import capture_logs

from relay.clock import SystemClock
from relay.config.addresses import parse_address
from relay.config.schema import Config, ListenConfig
from relay.daemon.build import wanted_sockets
from relay.errors import ExitCode, RelayError
from relay.listener.addresses import Address
from relay.listener.kernel_drops import KernelDropWatch
from relay.listener.socket_owner import find_owner
from relay.listener.sockets import open_tcp_if_there, open_udp
from relay.listener.udp import UdpListener
from relay.model import Peer
from tests.support.clock import VirtualClock
from tests.support.context import make_context
from tests.support.hotpath import make as make_hotpath
from tests.support.hotpath import name_all

CLOCK = SystemClock()


def bind(text="127.0.0.1:0", receive_buffer=1_000_000, **changes):
    address = Address(*parse_address(text), optional=text.startswith("[::1]"))
    [held] = open_udp(address, receive_buffer=receive_buffer, **changes)
    return held.socket


def make(address="127.0.0.1:0", sink=None, receive_buffer=1_000_000) -> UdpListener:
    sock = bind(address, receive_buffer)
    return UdpListener(sock, receive_buffer=receive_buffer, sink=sink or make_hotpath(), clock=CLOCK)


def send(listener: UdpListener, *datagrams: bytes) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in listener.bound[0] else socket.AF_INET, socket.SOCK_DGRAM)
    for datagram in datagrams:
        sock.sendto(datagram, listener.bound)
    return sock


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0"])
async def test_datagrams_arrive_and_nothing_is_ever_answered(address):
    hotpath = make_hotpath()
    listener = make(address, hotpath)
    listener.start()
    with send(listener, b"a:1|c", b"", b"bad", b"a:1|c\n" * 10_900) as sock:
        while listener.datagrams < 4:
            await asyncio.sleep(0.005)
        assert hotpath.rejects()[0].peer == Peer(listener.bound[0], sock.getsockname()[1])
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.recv(100)
    name_all(hotpath)
    assert (hotpath.tally().datagrams, hotpath.tally().accepted) == (4, 10_901)
    listener.stop()


async def test_what_is_in_the_queue_at_stop_is_taken():
    hotpath = make_hotpath()
    listener = make(sink=hotpath)
    listener.start()
    send(listener, *[b"a:1|c"] * 500).close()
    listener.stop()
    name_all(hotpath)
    assert hotpath.tally().accepted == listener.datagrams == 500
    listener.stop()


async def test_a_port_in_use_names_who_holds_it():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        with pytest.raises(RelayError, match=rf"RLY101.*in use by .*\(pid {os.getpid()}\)") as caught:
            bind(f"127.0.0.1:{port}")
    assert caught.value.exit_code == ExitCode.BIND_OR_STATE
    assert find_owner(0) is None


def test_an_address_of_another_machine():
    with pytest.raises(RelayError, match="no such address"):
        bind("192.0.2.1:8125")
    assert open_udp(Address("192.0.2.1", 8125, optional=True), receive_buffer=4096) == []


def test_ipv6_may_be_absent_beside_ipv4_and_not_alone():
    listen = ListenConfig(udp=["0.0.0.0:8125", "[::]:8125", "[::1]:8126", "[2001:db8::1]:8125"], tcp=["[::]:8125"])
    wanted = wanted_sockets(Config(listen=listen))
    assert [address.optional for address in wanted.udp] == [False, True, True, False]
    assert [address.optional for address in wanted.tcp] == [False]
    assert open_tcp_if_there(Address("192.0.2.1", 8125, optional=True)) == []


async def test_buffers_drops_and_the_warning():
    listener = make(receive_buffer=4096)
    assert listener.granted >= 1024
    clock = VirtualClock()
    watch = KernelDropWatch([listener], make_context(clock))
    send(listener, *[b"x" * 500] * 200).close()
    assert listener.kernel_drops > 0
    assert 0 < listener.queue_bytes <= listener.limit_bytes + 2000
    first = listener.kernel_drops
    with capture_logs() as logs:
        watch.check()
        for _ in range(59):
            send(listener, b"x" * 500).close()
            clock.advance(1)
            watch.check()
        assert len(logs) == 1, "once a minute"
        clock.advance(1)
        watch.check()
        clock.advance(100)
        watch.check()
    assert [log["event"] for log in logs] == ["the kernel dropped packets"] * 2
    assert [log["packets"] for log in logs] == [first, 59]
    assert logs[0]["listener"] == listener.label
    assert logs[0]["granted_bytes"] == listener.granted
    assert "receive_buffer" in logs[0]["fix"]
    listener.stop()
    assert listener.kernel_drops == 0


async def test_a_buffer_that_is_cut_says_how_to_help():
    listener = make(receive_buffer=4096)
    listener.asked = 10**12
    clock = VirtualClock()
    with capture_logs() as logs:
        KernelDropWatch([listener], make_context(clock)).log_buffers()
    assert "rmem_max" in logs[0]["fix"]
    assert logs[0]["restart_ms"] == 1000 * 2 * listener.granted // 832 // 8000
    listener.stop()
