"""Unix sockets: the file, its mode and its owner; datagrams that are never lost, only waited for."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import threading

import pytest

from relay import limits
from relay.clock import SystemClock
from relay.errors import RelayError
from relay.listener.addresses import BoundSocket, UnixPath
from relay.listener.sockets import close_sockets, open_unix
from relay.listener.udp import UnixListener
from tests.support.hotpath import imbalance, name_all
from tests.support.hotpath import make as make_hotpath

CLOCK = SystemClock()
KINDS = [socket.SOCK_DGRAM, socket.SOCK_STREAM]


def bind(path, kind=socket.SOCK_DGRAM, mode=0o666) -> BoundSocket:
    return open_unix(UnixPath("dgram" if kind == socket.SOCK_DGRAM else "stream", str(path)), mode=mode)


def leave_a_stale_file(path, kind) -> None:
    with socket.socket(socket.AF_UNIX, kind) as dead:
        dead.bind(str(path))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", [0o600, 0o666, 0o720])
def test_the_mode_is_the_one_asked_for_whatever_the_umask(tmp_path, kind, mode):
    before = os.umask(0o077)
    try:
        bound = bind(tmp_path / "s", kind, mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == mode
    close_sockets([bound])
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("left", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_replaced_only_if_no_process_listens(tmp_path, kind, left):
    path = tmp_path / "s"
    leave_a_stale_file(path, kind)
    with bind(path, kind).socket as sock:
        assert sock.getsockname() == str(path)
        with pytest.raises(RelayError, match=r"RLY101.*in use by .*pid \d+"):
            bind(path, left)
        assert path.exists()


def test_what_is_no_socket_is_left_alone(tmp_path):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("file", "link"):
        with pytest.raises(RelayError, match=r"RLY101.*no socket"):
            bind(tmp_path / name)
    assert (tmp_path / "file").read_text() == "kept"
    assert (tmp_path / "link").is_symlink()
    with pytest.raises(RelayError, match=r"fix: make the directory"):
        bind(tmp_path / "nowhere" / "s")


def test_a_file_that_is_another_relay_s_by_now_is_left(tmp_path):
    path = tmp_path / "s"
    first = bind(path)
    first.socket.close()
    second = bind(path)
    close_sockets([first])
    assert path.exists()
    close_sockets([second])
    close_sockets([second])
    assert not path.exists()


async def test_senders_wait_and_nothing_is_lost(tmp_path):
    """The kernel's queue holds few datagrams; more senders than that push at the same time."""
    hotpath = make_hotpath()
    bound = bind(tmp_path / "s")
    listener = UnixListener(bound.socket, sink=hotpath, clock=CLOCK)
    assert listener.label == f"unix-dgram:{tmp_path / 's'}"
    listener.start()

    def send() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.connect(str(tmp_path / "s"))
            for _ in range(1000):
                sock.send(b"a:1|c\nbad")

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        await asyncio.sleep(0.005)
    listener.stop()
    name_all(hotpath)
    assert (hotpath.tally().datagrams, listener.datagrams) == (4000, 4000)
    assert (hotpath.tally().accepted, hotpath.tally().rejected) == (4000, {"no_value": 4000})
    assert hotpath.rejects()[0].peer is None
    assert (listener.kernel_drops, imbalance(hotpath)) == (0, 0)


async def test_a_sender_with_a_name_or_after_one_of_udp_has_no_known_address(tmp_path):
    """The address that the kernel writes is no IP address, or none at all; the one of an earlier packet is not it."""
    hotpath = make_hotpath()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.sendto(b"bad", udp.getsockname())
        assert hotpath.drain(udp.fileno(), 1.0) == 1
    bound = bind(tmp_path / "s")
    for name in (None, str(tmp_path / "a-name-longer-than-an-ip-address"), "\0abstract-of-a-test"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            if name:
                sock.bind(name)
            sock.sendto(b"bad", str(tmp_path / "s"))
    assert hotpath.drain(bound.socket.fileno(), 1.0) == 3
    assert [line.peer and line.peer.host for line in hotpath.rejects()] == ["127.0.0.1", None, None, None]
    bound.socket.close()


async def test_a_datagram_longer_than_any_of_udp_is_truncated(tmp_path):
    hotpath = make_hotpath()
    bound = bind(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"a:1|c\n" * 10_000 + b"x" * 10_000, str(tmp_path / "s"))
    assert hotpath.drain(bound.socket.fileno(), 1.0) == 1
    name_all(hotpath)
    assert limits.DATAGRAM_BYTES < 70_000
    assert (hotpath.tally().accepted, hotpath.tally().rejected) == (10_000, {"truncated": 1})
    assert hotpath.tally().truncated_datagrams == 1
    bound.socket.close()
