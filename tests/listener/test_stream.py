"""Streams over real sockets: limits, back-pressure, ends of lines and of connections, and never a reply."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
import struct
import termios
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from relay.clock import SystemClock
from relay.errors import ExitCode, RelayError
from relay.listener.addresses import TCP, Address, BoundSocket, UnixPath
from relay.listener.sockets import open_tcp, open_unix
from relay.listener.stream import Streams
from relay.model import Peer
from tests.support.clock import VirtualClock
from tests.support.context import make_context
from tests.support.hotpath import imbalance, name_all
from tests.support.hotpath import make as make_hotpath

CLOCK = SystemClock()
ANY = Address("127.0.0.1", 0)


@asynccontextmanager
async def opened(*, sink=None, clock=CLOCK, form="tcp", tmp_path=None, **changes):
    """Streams with one listener; ends with the equations and without a connection."""
    hotpath = sink or make_hotpath()
    settings = {"max_connections": 16, "idle": 0.0, "line_limit": 65_536}
    streams = Streams(sink=hotpath, context=make_context(clock), **{**settings, **changes})
    if form == "tcp":
        streams.add(open_tcp(ANY))
    else:
        streams.add(open_unix(UnixPath(form.removeprefix("unix-"), str(tmp_path / "s")), mode=0o600))
    streams.start()
    try:
        yield streams, streams.listeners[0], hotpath
    finally:
        streams.stop()
    name_all(hotpath)
    assert imbalance(hotpath) == 0
    assert [listener.connections for listener in streams.listeners] == [0]


def connect(listener) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX if isinstance(listener.bound, str) else socket.AF_INET)
    sock.settimeout(5)
    sock.connect(listener.bound)
    return sock


async def until(condition) -> None:
    while not condition():
        await asyncio.sleep(0.002)


async def accepted(hotpath, lines: int) -> None:
    def count() -> int:
        name_all(hotpath)
        return hotpath.tally().accepted

    await until(lambda: count() >= lines)
    assert hotpath.tally().accepted == lines


def settle(sock: socket.socket) -> None:
    """Wait until all that was sent has arrived; the loop reads nothing meanwhile."""
    while struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4))) != (0,):
        pass


async def read_by_the_loop(sock: socket.socket) -> None:
    """Wait until all that was sent was read."""
    settle(sock)
    for _ in range(3):
        await asyncio.sleep(0)


def frame(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "little") + payload


@pytest.mark.parametrize("form", ["tcp", "unix-stream", "unix-datadog"])
async def test_lines_arrive_and_nothing_is_ever_answered(form, tmp_path):
    async with opened(form=form, tmp_path=tmp_path) as (_, listener, hotpath):
        assert listener.label.startswith("tcp://127.0.0.1:" if form == "tcp" else f"{form}:{tmp_path}")
        wrap = frame if form == "unix-datadog" else bytes
        with connect(listener) as sock:
            sock.sendall(wrap(b"a:1|c\nbad\n"))
            await accepted(hotpath, 1)
            sock.sendall(wrap(b"a:1|c\na:1|c\n"))
            await accepted(hotpath, 3)
            assert (listener.connections, listener.datagrams) == (1, 2)
            peer = Peer(*sock.getsockname()) if form == "tcp" else None
            assert [(line.line, line.peer) for line in hotpath.rejects()] == [(b"bad", peer)]
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(5)
            assert await asyncio.to_thread(sock.recv, 100) == b"", "the end, and nothing before it"


async def test_an_unterminated_last_line_counts_at_the_end_but_not_after_a_reset():
    async with opened() as (_, listener, hotpath):
        with connect(listener) as sock:
            sock.sendall(b"a:1|c\nb:2")
            await accepted(hotpath, 1)
            sock.sendall(b"2|c")
        await accepted(hotpath, 2)
        with connect(listener) as sock:
            sock.sendall(b"c:3|c\nc:3")
            await accepted(hotpath, 3)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await until(lambda: hotpath.tally().rejected)
        assert hotpath.tally().rejected == {"truncated": 1}
        await until(lambda: listener.connections == 0)


@pytest.mark.parametrize("form", ["tcp", "unix-stream"])
async def test_beyond_the_limit_the_connection_that_is_idle_longest_is_closed_and_counted(form, tmp_path):
    clock = VirtualClock()
    async with opened(max_connections=3, clock=clock, form=form, tmp_path=tmp_path) as (_, listener, hotpath):
        first, second, third = kept = [connect(listener) for _ in range(3)]
        await until(lambda: listener.connections == 3)
        for number, sock in enumerate((second, first, third), 1):
            clock.advance(60)
            sock.sendall(b"a:1|c\n")
            await accepted(hotpath, number)
        with capture_logs() as logs, connect(listener) as more:
            more.sendall(b"a:1|c\n")
            await accepted(hotpath, 4)
            assert await asyncio.to_thread(second.recv, 1) == b"", "not the first of them, not the newest"
            first.sendall(b"a:1|c\n")
            third.sendall(b"a:1|c\n")
            await accepted(hotpath, 6)
        assert (listener.evicted, listener.refused) == (1, 0)
        assert [(log["event"], log["idle_seconds"]) for log in logs] == [("stream connection closed", 120)]
        assert logs[0]["why"] == "another came, and 3 are open"
        for sock in kept:
            sock.close()


async def test_what_an_evicted_connection_had_sent_is_read_first():
    async with opened(max_connections=2) as (_, listener, hotpath):
        with connect(listener), connect(listener) as other, connect(listener) as more:
            await until(lambda: listener.evicted == 1)
            other.sendall(b"a:1|c\n" * 10_000 + b"a:1")
            settle(other)
            with connect(listener) as last:
                last.sendall(b"a:1|c\n")
                await accepted(hotpath, 10_001)
                assert more.recv(1) == b"", "it is idle, and `other` was not when the last one came"
                other.sendall(b"|c\n")
                await accepted(hotpath, 10_002)


async def test_clients_may_be_idle_for_days():
    clock = VirtualClock()
    async with opened(clock=clock) as (streams, listener, hotpath):
        with connect(listener) as sock:
            sock.sendall(b"a:1|c\n")
            await accepted(hotpath, 1)
            clock.advance(10 * 86_400)
            streams.check()
            sock.sendall(b"a:1|c\n")
            await accepted(hotpath, 2)
        assert listener.idle_closed == 0


def keep_alive_in(port: int) -> float:
    """Return the seconds until the kernel probes the peer of the connection on this port; proc(5), /proc/net/tcp."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, _, timer, *_ = line.split()
        kind, _, jiffies = timer.partition(":")
        if (int(local.rpartition(":")[2], 16), state, kind) == (port, "01", "02"):
            return int(jiffies, 16) / os.sysconf("SC_CLK_TCK")
    return 0.0


async def test_the_kernel_probes_for_peers_that_are_gone():
    async with opened() as (_, listener, _):
        with connect(listener):
            await until(lambda: listener.connections == 1)
            assert 0 < keep_alive_in(listener.bound[1]) <= 60


async def test_only_named_networks_may_connect(tmp_path):
    hotpath = make_hotpath()
    hotpath.allow(["192.0.2.0/24"])
    async with opened(sink=hotpath) as (_, listener, _):
        with connect(listener) as sock:
            assert await asyncio.to_thread(sock.recv, 1) == b""
        assert listener.refused == 1
    async with opened(sink=hotpath, form="unix-stream", tmp_path=tmp_path) as (_, listener, _):
        with connect(listener) as sock:
            sock.sendall(b"a:1|c\n")
            await accepted(hotpath, 1)


async def test_a_connection_that_sends_nothing_is_closed_where_a_limit_is_set():
    """Any byte is activity, a blank line too; what arrived and was not read yet is."""
    clock = VirtualClock()
    async with opened(clock=clock, idle=10.0) as (streams, listener, hotpath):
        with connect(listener) as idle, connect(listener) as busy, connect(listener) as late:
            await until(lambda: listener.connections == 3)
            idle.sendall(b"a:1|c\na:1")
            await accepted(hotpath, 1)
            clock.advance(6)
            busy.sendall(b"\n")
            await read_by_the_loop(busy)
            clock.advance(6)
            late.sendall(b"a")
            settle(late)
            with capture_logs() as logs:
                streams.check()
            assert (listener.connections, listener.idle_closed) == (2, 1)
            why = "it was idle for [listen] stream_idle, 10 s"
            assert [(log["why"], log["idle_seconds"]) for log in logs] == [(why, 12)]
            busy.sendall(b"a:1|c\n")
            late.sendall(b":1|c\n")
            await accepted(hotpath, 3)
        assert hotpath.tally().rejected == {"truncated": 1}


async def test_a_line_over_the_limit_is_rejected_once_and_skipped():
    async with opened(line_limit=1000) as (_, listener, hotpath):
        with connect(listener) as sock:
            await asyncio.to_thread(sock.sendall, b"a:1|c\n" + b"x" * 1_000_000 + b"\na:1|c\n")
            await accepted(hotpath, 2)
        assert hotpath.tally().rejected == {"line_too_long": 1}


async def test_a_frame_over_a_datagram_ends_the_connection(tmp_path):
    async with opened(form="unix-datadog", tmp_path=tmp_path) as (_, listener, hotpath):
        with connect(listener) as sock:
            sock.sendall(frame(b"a:1|c") + b"\xff\xff\xff\xff")
            assert await asyncio.to_thread(sock.recv, 1) == b""
        await accepted(hotpath, 1)
        assert hotpath.tally().rejected == {"line_too_long": 1}


@pytest.mark.parametrize("form", ["tcp", "unix-stream"])
async def test_senders_faster_than_the_relay_wait_and_lose_nothing(form, tmp_path, implementation):
    """Twelve senders push what takes the relay longer than them; the loop's other work goes on meanwhile."""
    lines = 100_000 if implementation == "native" else 3_000
    text = b"".join(b"m%d:1|c|#t:%d\n" % (number % 50, number % 7) for number in range(lines))
    late = []

    async def tick() -> None:
        while True:
            began = CLOCK.monotonic()
            await asyncio.sleep(0.005)
            late.append(CLOCK.monotonic() - began - 0.005)

    async with opened(form=form, tmp_path=tmp_path) as (_, listener, hotpath):
        ticking = asyncio.create_task(tick())
        senders = [connect(listener) for _ in range(12)]
        await asyncio.gather(*(asyncio.to_thread(sock.sendall, text) for sock in senders))
        await accepted(hotpath, 12 * lines)
        ticking.cancel()
        for sock in senders:
            sock.close()
        assert len(late) > 2, "the loop did not run meanwhile"


async def test_what_has_arrived_at_stop_is_taken_and_who_waits_is_left_to_the_next():
    """However slow the machine: the time that a stop may take stands still."""
    sock = open_tcp(ANY).socket
    keeper = sock.dup()
    hotpath, clock = make_hotpath(), VirtualClock()
    streams = Streams(sink=hotpath, context=make_context(clock), max_connections=4, idle=60, line_limit=1000)
    listener = streams.add(BoundSocket(TCP, sock))
    streams.start()
    client = connect(listener)
    await until(lambda: listener.connections == 1)
    client.sendall(b"a:1|c\n" * 5_000 + b"a:1")
    settle(client)
    with connect(listener) as waits:
        waits.sendall(b"a:1|c\n")
        streams.stop()
        name_all(hotpath)
        assert (hotpath.tally().accepted, hotpath.tally().rejected) == (5_000, {"truncated": 1})
        assert listener.connections == 0
        with keeper.accept()[0] as taken:
            assert taken.recv(100) == b"a:1|c\n"
    client.close()
    keeper.close()


async def test_a_sender_that_does_not_stop_costs_the_others_nothing_at_stop():
    class Endless:
        """Each line of one sender brings another one."""

        def __init__(self):
            self.hotpath = make_hotpath()

        def __getattr__(self, name):
            return getattr(self.hotpath, name)

        def feed(self, datagram, now, peer, listener):
            self.hotpath.feed(datagram, now, peer, listener)
            if b"endless" in datagram:
                self.sender.send(b"endless:1|c\n")

    async with opened(sink=Endless()) as (streams, listener, sink):
        with connect(listener) as sink.sender, connect(listener) as quiet:
            await until(lambda: listener.connections == 2)
            sink.sender.send(b"endless:1|c\n")
            quiet.send(b"quiet:1|c\n")
            streams.stop()
        name_all(sink)
        assert "quiet" in {series.metric for part in sink.snapshot() for series, _ in part}


async def test_without_a_descriptor_left_connections_wait_until_there_is_one(monkeypatch):
    clock = VirtualClock()
    async with opened(clock=clock) as (streams, listener, hotpath):
        bound = listener.socket

        class Exhausted:
            def fileno(self):
                return bound.fileno()

            def close(self):
                bound.close()

            def accept(self):
                raise OSError(errno.EMFILE, "Too many open files")

        listener.socket = Exhausted()
        with capture_logs() as logs, connect_to(bound) as sock:
            sock.sendall(b"a:1|c\n")
            await until(lambda: logs)
            await asyncio.sleep(0.02)
            assert [log["event"] for log in logs] == ["stream connections wait"], "it does not spin"
            listener.socket = bound
            streams.check()
            await accepted(hotpath, 1)


async def test_a_mistake_of_ours_ends_the_relay():
    hotpath = make_hotpath()

    class Broken:
        admits, reject = hotpath.admits, hotpath.reject

        def feed(self, datagram, now, peer, listener):
            raise ZeroDivisionError

    streams = Streams(sink=Broken(), context=make_context(CLOCK), max_connections=4, idle=60, line_limit=1000)
    listener = streams.add(open_tcp(ANY))
    streams.start()
    with connect(listener) as sock:
        sock.sendall(b"a:1|c\n")
        with pytest.raises(ZeroDivisionError):
            await streams.run()
    streams.stop()


def connect_to(bound: socket.socket) -> socket.socket:
    return socket.create_connection(bound.getsockname(), timeout=5)


def test_a_port_in_use_names_who_holds_it():
    with open_tcp(ANY).socket as holder:
        address = Address("127.0.0.1", holder.getsockname()[1])
        with pytest.raises(RelayError, match=r"RLY101.*cannot bind tcp .* in use by .*pid") as caught:
            open_tcp(address)
    assert caught.value.exit_code == ExitCode.BIND_OR_STATE
    with pytest.raises(RelayError, match=r"RLY101.*192\.0\.2\.1"):
        open_tcp(Address("192.0.2.1", 8125))
