"""Copies to other daemons: all received data, without waiting, and every datagram counted once."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack, closing
from random import Random

import pytest

from relay import limits
from relay.hotpath.python.tee import split_lines
from relay.hotpath.tap import TapFilter
from tests.support.hotpath import NOW, START, make

PEER = ("10.0.0.1", 4000)
MOST = limits.COPY_BYTES


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def hotpath():
    return make()


class Target:
    """A daemon's socket, and a socket connected to it."""

    def __init__(self, stack: ExitStack, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.daemon = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        self.daemon.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.daemon.bind((host, 0))
        self.daemon.setblocking(False)
        self.ours = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        self.ours.setblocking(False)
        self.ours.connect(self.daemon.getsockname())

    @property
    def fd(self) -> int:
        return self.ours.fileno()

    def received(self) -> list[bytes]:
        return all_of(self.daemon)


def all_of(sock: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(sock.recv(1 << 17))
        except BlockingIOError:
            return found


def send(stack: ExitStack, hotpath, *datagrams: bytes, host: str = "127.0.0.1") -> None:
    """Over a real socket, through `drain`."""
    source = Target(stack, host)
    for datagram in datagrams:
        source.ours.send(datagram)
    while hotpath.drain(source.daemon.fileno(), NOW):
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_every_target_gets_every_datagram_as_it_came(hotpath, stack, host):
    targets = [Target(stack, host), Target(stack)]
    hotpath.tee([target.fd for target in targets])
    datagrams = [b"a:1|c\nb:2|ms|#x:1\n", b"not a line", b"", b"\xff\0\n\n", b"_sc|x|0", b"y:1|c\n" * 9_000]
    send(stack, hotpath, *datagrams)
    assert [target.received() for target in targets] == [datagrams, datagrams]
    assert hotpath.tee_counts() == [(6, 0), (6, 0)] + [(0, 0)] * 6


def test_more_than_a_batch(hotpath, stack):
    target = Target(stack)
    hotpath.tee([target.fd])
    datagrams = [b"n%d:1|c" % number for number in range(300)]
    send(stack, hotpath, *datagrams)
    assert target.received() == datagrams
    assert hotpath.tee_counts()[0] == (300, 0)


def test_a_place_may_be_empty_and_counts_stay_with_it(hotpath, stack):
    first, second = Target(stack), Target(stack)
    hotpath.tee([-1, first.fd])
    send(stack, hotpath, b"a:1|c")
    hotpath.tee([second.fd])
    send(stack, hotpath, b"b:1|c", b"c:1|c")
    hotpath.tee([])
    send(stack, hotpath, b"d:1|c")
    assert (first.received(), second.received()) == ([b"a:1|c"], [b"b:1|c", b"c:1|c"])
    assert hotpath.tee_counts()[:3] == [(2, 0), (1, 0), (0, 0)]


def test_what_cannot_be_used_changes_nothing(hotpath, stack):
    target = Target(stack)
    hotpath.tee([target.fd])
    closed = os.dup(0)
    os.close(closed)
    with pytest.raises(OSError, match="Bad file descriptor"):
        hotpath.tee([closed, target.fd])
    with pytest.raises(ValueError, match="at most 8"):
        hotpath.tee([target.fd] * 9)
    send(stack, hotpath, b"a:1|c")
    assert target.received() == [b"a:1|c"]


# --- drops ------------------------------------------------------------------------------------------------------------


def test_a_target_that_takes_nothing_more_is_not_waited_for(hotpath, stack):
    """A socket's queue has room for some datagrams: the rest is dropped and counted."""
    daemon, ours = (stack.enter_context(one) for one in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
    other = Target(stack)
    daemon.setblocking(False)
    hotpath.tee([ours.fileno(), other.fd])
    send(stack, hotpath, *[b"a:1|c"] * 400)
    sent, dropped = hotpath.tee_counts()[0]
    assert sent == len(all_of(daemon)) > 0
    assert dropped == 400 - sent > 0
    assert hotpath.tee_counts()[1] == (400, 0), "the others get theirs"
    send(stack, hotpath, b"b:1|c")
    assert all_of(daemon) == [b"b:1|c"]
    assert hotpath.tee_counts()[0] == (sent + 1, dropped)


def test_a_socket_that_is_not_connected_yet_drops_and_counts(hotpath, stack):
    hotpath.tee([stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).fileno()])
    send(stack, hotpath, *[b"a:1|c"] * 100)
    assert hotpath.tee_counts()[0] == (0, 100)


def test_a_place_without_a_socket_drops_and_counts(hotpath, stack):
    target = Target(stack)
    hotpath.tee([-2, target.fd, -1])
    send(stack, hotpath, *[b"a:1|c"] * 2)
    assert target.received() == [b"a:1|c"] * 2
    assert hotpath.tee_counts()[:3] == [(0, 2), (2, 0), (0, 0)]


def test_only_what_is_too_long_is_dropped(hotpath, stack):
    target = Target(stack)
    hotpath.tee([target.fd])
    too_long = Target(stack, "::1")  # an IPv6 datagram may be 20 bytes longer, and is truncated here
    for datagram in (b"a:1|c", b"x" * 65_520, b"b:1|c\n" + b"y" * 65_514, b"c:1|c"):
        too_long.ours.send(datagram)
    while hotpath.drain(too_long.daemon.fileno(), NOW):
        pass
    assert target.received() == [b"a:1|c", b"", b"b:1|c", b"c:1|c"], "without their last line, as they were taken"
    assert hotpath.tee_counts()[0] == (4, 0)
    assert hotpath.tally().rejected == {"truncated": 2}


def test_the_error_of_an_earlier_datagram_costs_no_other(hotpath, stack):
    target = Target(stack)
    hotpath.tee([target.fd])
    address = target.daemon.getsockname()
    target.daemon.close()
    send(stack, hotpath, b"lost:1|c")
    target.daemon = stack.enter_context(closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
    target.daemon.bind(address)
    target.daemon.setblocking(False)
    send(stack, hotpath, b"a:1|c", b"b:1|c")
    assert target.received() == [b"a:1|c", b"b:1|c"]
    assert hotpath.tee_counts()[0] == (3, 0)


def test_a_target_that_is_gone_still_balances(hotpath, stack):
    target = Target(stack)
    hotpath.tee([target.fd])
    target.daemon.close()
    send(stack, hotpath, *[b"a:1|c"] * 200)
    assert sum(hotpath.tee_counts()[0]) == 200


def test_a_peer_that_is_gone_drops_all_without_an_end(hotpath, stack):
    daemon, ours = (stack.enter_context(one) for one in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
    hotpath.tee([ours.fileno()])
    daemon.close()
    send(stack, hotpath, *[b"a:1|c"] * 200)
    assert hotpath.tee_counts()[0] == (0, 200)


# --- who and what -----------------------------------------------------------------------------------------------------


def test_denied_senders_are_not_copied(hotpath, stack):
    target = Target(stack)
    hotpath.tee([target.fd])
    hotpath.allow(["10.0.0.0/8"])
    send(stack, hotpath, b"a:1|c")
    hotpath.feed(b"b:1|c", NOW, ("192.168.0.1", 1))
    hotpath.feed(b"c:1|c", NOW, PEER)
    assert target.received() == [b"c:1|c"]
    assert hotpath.tee_counts()[0] == (1, 0)
    assert hotpath.tally().rejected == {"source_denied": 2}


def test_names_windows_and_tap_do_not_matter(hotpath, stack):
    target = Target(stack)
    hotpath.tee([target.fd])
    hotpath.open_tap(TapFilter(pattern=b"a*"))
    hotpath.feed(b"a:1|c", NOW)
    hotpath.close_window(START + 60)
    hotpath.feed(b"dropped.a:1|c\nreserved.a:1|c", NOW)
    assert target.received() == [b"a:1|c", b"dropped.a:1|c\nreserved.a:1|c"]


# --- streams ----------------------------------------------------------------------------------------------------------


def line(size: int, letter: bytes = b"a") -> bytes:
    return letter * (size - 4) + b":1|c"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([line(700), line(731)], [2]),
        ([line(700), line(732)], [1, 1]),
        ([line(MOST)], [1]),
        ([line(MOST), b"b:1|c"], [1, 1]),
        ([line(MOST + 1)], [1]),
        ([b"b:1|c", line(5_000), b"c:1|c", b"d:1|c"], [1, 1, 2]),
        ([line(5_000), b"c:1|c"], [1, 1]),
        ([line(65_507)], [1]),
        ([b"", b"", line(2_000), b"", b"", b"e:1|c"], [1, 1]),
        ([b"f%d:1|c" % (number % 10) for number in range(2_000)], [204] * 9 + [164]),
        ([], []),
    ],
)
def test_lines_of_a_stream_go_as_datagrams_of_whole_lines(hotpath, stack, lines, expected):
    target = Target(stack)
    hotpath.tee([target.fd])
    hotpath.feed(b"\n".join(lines), NOW)
    received = target.received()
    found = [[one for one in text.split(b"\n") if one] for text in received]
    assert [len(some) for some in found] == expected
    assert [one for some in found for one in some] == [one for one in lines if one]
    assert all(len(text) <= MOST or b"\n" not in text.strip(b"\n") for text in received)
    assert hotpath.tee_counts()[0] == (len(received), 0)


def test_both_hot_paths_cut_alike(hotpath, stack):
    target, random = Target(stack), Random(5)
    hotpath.tee([target.fd])
    for _ in range(300):
        sizes = random.choices([0, 1, 9, 300, MOST - 1, MOST, MOST + 1, 3_000], k=random.randrange(12))
        text = b"\n".join(b"x" * size for size in sizes)
        hotpath.feed(text, NOW)
        assert target.received() == list(split_lines(text))
