"""Recording on real sockets and files: times of the kernel, the size limit, an end without loss, a full disk."""

from __future__ import annotations

import os
import resource
import signal
import socket
import time
from collections import Counter

import pytest

from relay.listener.addresses import Address
from relay.listener.sockets import open_udp
from relay.listener.udp import read_meminfo
from relay.tools.traffic.packet import Endpoint
from relay.tools.traffic.pcap import PcapReader, Received
from relay.tools.traffic.recorder import Recorder
from relay.tools.traffic.recording import Recording

ENDS = Endpoint(bytes(4), 1), Endpoint(bytes(4), 2)


class FakeInterrupt:
    """Time is real; a wait calls the test's function and then ends the recording."""

    def __init__(self, while_waiting=lambda: None) -> None:
        self.is_interrupted = False
        self._while_waiting = while_waiting

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float, sock: socket.socket) -> None:
        assert 0 < seconds <= 0.25
        self._while_waiting()
        self.is_interrupted = True


def read(path) -> list[Received]:
    with path.open("rb") as file:
        reader = PcapReader(file, Counter())
        found = list(reader)
    assert reader.damage == ""
    assert not reader.skipped
    return found


@pytest.fixture
def fd(tmp_path):
    fd = os.open(tmp_path / "x.pcap", os.O_WRONLY | os.O_CREAT, 0o600)
    yield fd
    os.close(fd)


@pytest.fixture(params=["127.0.0.1", "::1"])
def sock(request):
    [held] = open_udp(Address(request.param, 0), receive_buffer=1 << 20)
    with held.socket as sock:
        yield sock


def send(sock: socket.socket, *datagrams: bytes) -> None:
    with socket.socket(sock.family, socket.SOCK_DGRAM) as sender:
        for datagram in datagrams:
            sender.sendto(datagram, sock.getsockname())


def test_what_waits_at_the_end_is_taken_with_the_time_it_came(sock, fd, tmp_path):
    datagrams = [b"a:1|c", b"", b"\xff" * 65_000, *(b"n:%d|c" % number for number in range(600))]
    interrupt = FakeInterrupt(lambda: send(sock, *datagrams))
    recorder, recording = Recorder(sock, interrupt), Recording(fd, limit=1 << 30)
    before = time.time_ns()
    recorder.run(recording, seconds=60, progress=lambda: None)
    found = read(tmp_path / "x.pcap")
    assert [received.payload for received in found] == datagrams
    times = [received.time for received in found]
    assert times == sorted(times)
    assert before <= times[0] <= times[-1] <= time.time_ns()
    assert any(moment % 1000 for moment in times), "microseconds would be too coarse"
    assert (recording.datagrams, recording.lines) == (len(datagrams), len(datagrams) - 1)
    assert recording.size == (tmp_path / "x.pcap").stat().st_size
    assert (recording.first, recording.last) == (times[0], times[-1])


def test_the_time_is_when_the_kernel_received_it(sock, fd, tmp_path):
    recorder = Recorder(sock, FakeInterrupt())
    send(sock, b"a:1|c")
    sent = time.time_ns()
    time.sleep(0.05)
    recorder.run(Recording(fd, limit=1 << 30), seconds=60, progress=lambda: None)
    [received] = read(tmp_path / "x.pcap")
    assert received.time <= sent, "not when it was taken, 50 ms later"


def test_what_arrives_after_the_end_is_not_taken(sock, fd, tmp_path, monkeypatch):
    """The end is set 10 s ago; datagrams with later times are not read."""
    interrupt = FakeInterrupt()
    interrupt.is_interrupted = True
    recorder = Recorder(sock, interrupt)
    send(sock, b"a:1|c")
    now, real = iter([time.time_ns() - 10**10]), time.time_ns
    monkeypatch.setattr("relay.tools.traffic.recorder.time.time_ns", lambda: next(now, None) or real())
    recorder.run(Recording(fd, limit=1 << 30), seconds=60, progress=lambda: None)
    assert read(tmp_path / "x.pcap") == []


def test_what_the_kernel_drops_is_known_exactly(fd, tmp_path):
    [held] = open_udp(Address("127.0.0.1", 0), receive_buffer=4_096)
    with held.socket as sock:
        send(sock, *[b"a:1|c"] * 100)
        recorder, recording = Recorder(sock, FakeInterrupt()), Recording(fd, limit=1 << 30)
        recorder.run(recording, seconds=60, progress=lambda: None)
        assert recording.datagrams + read_meminfo(sock)[8] == 100
    assert 0 < len(read(tmp_path / "x.pcap")) == recording.datagrams < 100


def test_it_ends_when_the_time_is_over(sock, fd, tmp_path):
    recorder, began = Recorder(sock, FakeInterrupt()), time.monotonic()
    recorder.run(Recording(fd, limit=1 << 30), seconds=0, progress=lambda: None)
    assert time.monotonic() - began < 1
    assert read(tmp_path / "x.pcap") == []


def test_the_bound_is_kept_and_the_file_whole(sock, fd, tmp_path):
    send(sock, *[b"x" * 100] * 20)
    recorder, recording = Recorder(sock, FakeInterrupt()), Recording(fd, limit=1_000)
    recorder.run(recording, seconds=60, progress=lambda: None)
    size = (tmp_path / "x.pcap").stat().st_size
    assert recorder.is_full
    assert size <= 1_000 < size + 164
    assert len(read(tmp_path / "x.pcap")) == recording.datagrams == (5 if sock.family == socket.AF_INET6 else 6)


def test_a_full_disk_leaves_a_whole_file(fd, tmp_path):
    recording = Recording(fd, limit=1 << 30)
    recording.add(1, b"a" * 100, *ENDS)
    recording.flush()
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400, before[1]))
    try:
        recording.add(2, b"b" * 100, *ENDS)
        recording.add(3, b"c" * 100, *ENDS)
        with pytest.raises(OSError, match="File too large"):
            recording.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert [received.payload for received in read(tmp_path / "x.pcap")] == [b"a" * 100]
