"""Packets, lines and rejected lines by sender: the sums are exact, and a flood of addresses displaces no sender."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import limits
from relay.model import Peer
from tests.support.hotpath import NOW, make, name_all

ONE, OTHER = ("10.1.4.7", 1), ("10.1.4.9", 2)


def by_host(hotpath) -> dict:
    return {sender.host: sender for sender in hotpath.senders().known}


def counts(hotpath) -> list[tuple]:
    return sorted((one.host or "", one.packets, one.lines, one.rejected) for one in hotpath.senders().known)


def flood(hotpath, count: int, *, now: float, start: int = 0) -> None:
    for number in range(start, start + count):
        hotpath.feed(b"a:1|c", now, (f"192.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 9))


def test_each_address_has_its_packets_lines_and_newest_bad_line():
    hotpath = make()
    hotpath.feed(b"a:1|c\n\nb:2|c\n \t\nbad\n", NOW, ONE, 3)
    hotpath.feed(b"x:1|q" + b"y" * 200, NOW + 1, ONE, 4)
    hotpath.feed(b"c:1|g", NOW + 2, ("10.1.4.9", 7))
    one, other = by_host(hotpath)["10.1.4.7"], by_host(hotpath)["10.1.4.9"]
    assert (one.packets, one.lines, one.rejected, one.last_at, one.listener) == (2, 4, 2, NOW + 1, 4)
    assert (one.bad.line, one.bad.reason) == ((b"x:1|q" + b"y" * 200)[:120], "bad_type")
    assert (one.bad.peer, one.bad.time) == (Peer("10.1.4.7", 1), NOW + 1)
    assert (other.packets, other.lines, other.rejected, other.bad) == (1, 1, 0, None)
    assert hotpath.senders().others.packets == 0


def test_ports_scopes_and_mapped_addresses_are_one_sender():
    hotpath = make()
    for peer in (("10.1.4.7", 1), ("10.1.4.7", 2), ("::ffff:10.1.4.7", 3), ("fe80::1%lo", 4), ("fe80::1", 5)):
        hotpath.feed(b"a:1|c", NOW, peer)
    assert counts(hotpath) == [("10.1.4.7", 3, 3, 0), ("fe80::1", 2, 2, 0)]


def test_a_unix_socket_is_a_sender_by_its_listener():
    hotpath = make()
    for listener in (5, 6, 5):
        hotpath.feed(b"a:1|c\nbad", NOW, None, listener)
    found = [(one.host, one.listener, one.packets, one.rejected) for one in hotpath.senders().known]
    assert found == [(None, 5, 2, 2), (None, 6, 1, 1)]


def test_a_denied_sender_is_counted():
    hotpath = make()
    hotpath.allow(["10.1.4.7/32"])
    hotpath.feed(b"a:1|c\nb:1|c\n  \n", NOW, OTHER)
    assert counts(hotpath) == [("10.1.4.9", 1, 2, 2)]
    assert by_host(hotpath)["10.1.4.9"].bad.reason == "source_denied"


def test_what_a_listener_rejects_is_a_line_and_no_packet():
    hotpath = make()
    hotpath.reject(b"x" * 500, "line_too_long", NOW, ONE, 2)
    hotpath.feed(b"a:1|c\n" + b"x" * limits.DATAGRAM_BYTES, NOW + 1, OTHER)
    assert counts(hotpath) == [("10.1.4.7", 0, 1, 1), ("10.1.4.9", 1, 2, 1)]
    assert by_host(hotpath)["10.1.4.9"].bad.reason == "truncated"
    assert hotpath.tally().last_at == NOW + 1


def test_a_flood_of_addresses_displaces_no_sender_and_is_counted():
    hotpath = make()
    hotpath.feed(b"a:1|c\nbad", NOW, ONE)
    flood(hotpath, 3000, now=NOW + 1)
    hotpath.feed(b"a:1|c", NOW + 2, ONE)
    hotpath.feed(b"a:1|c\nlate", NOW + 3, OTHER)
    senders = hotpath.senders()
    assert len(senders.known) == limits.SENDERS_MOST
    assert (by_host(hotpath)["10.1.4.7"].packets, by_host(hotpath)["10.1.4.7"].rejected) == (2, 1)
    left_out = 3000 - (limits.SENDERS_MOST - 1) + 1
    assert (senders.others.host, senders.others.packets, senders.others.lines) == (None, left_out, left_out + 1)
    assert (senders.others.rejected, senders.others.bad.line, senders.others.last_at) == (1, b"late", NOW + 3)


def test_a_silent_sender_gives_its_place_and_keeps_its_counts_among_the_others():
    hotpath = make()
    flood(hotpath, limits.SENDERS_MOST, now=NOW)
    later = NOW + limits.SENDER_SILENT
    hotpath.feed(b"a:1|c", later, ONE)
    assert "10.1.4.7" not in by_host(hotpath), "none was silent for longer than that"
    hotpath.feed(b"a:1|c", later + 1, ONE)
    hotpath.feed(b"a:1|c", later + 1, OTHER)
    assert {"10.1.4.7", "10.1.4.9"} < by_host(hotpath).keys()
    senders = hotpath.senders()
    assert (len(senders.known), senders.others.packets) == (limits.SENDERS_MOST, 3)
    flood(hotpath, 1, now=later + 2)
    assert sum(one.packets for one in senders.known) + senders.others.packets == limits.SENDERS_MOST + 3


def test_senders_of_sockets(tmp_path):
    hotpath = make()
    with (
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unix,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local,
    ):
        six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        six.bind(("::", 0))
        unix.bind(str(tmp_path / "socket"))
        sender.sendto(b"a:1|c\nbad", ("127.0.0.1", six.getsockname()[1]))
        local.sendto(b"b:1|c", str(tmp_path / "socket"))
        assert (hotpath.drain(six.fileno(), NOW, 1), hotpath.drain(unix.fileno(), NOW, 2)) == (1, 1)
    found = [(one.host, one.listener, one.packets, one.lines, one.rejected) for one in hotpath.senders().known]
    assert found == [("127.0.0.1", 1, 1, 2, 1), (None, 2, 1, 1, 0)]


# --- native == python -------------------------------------------------------------------------------------------------

hosts = st.sampled_from([("10.0.0.1", 1), ("10.0.0.2", 1), ("::1", 3), ("::ffff:10.0.0.1", 4), ("fe80::1%lo", 5), None])
texts = st.sampled_from(
    [b"a:1|c", b"bad", b"b:x|ms", b"reserved.x:1|c", b"g:+1|g", b"", b" \t", b"_e{1,1}:a|b", b"s:a|s"]
)
packets = st.tuples(st.lists(texts, max_size=4).map(b"\n".join), hosts, st.integers(0, 2), st.integers(0, 400))


@pytest.mark.parametrize("most", [2, 1024])
@given(packets=st.lists(packets, max_size=30), allowed=st.booleans())
def test_both_hot_paths_count_the_same(most, packets, allowed):
    """With many senders of the flood before, the places are full; else there is room for all."""
    pair = make("native"), make("python")
    for hotpath in pair:
        now = NOW
        flood(hotpath, limits.SENDERS_MOST - most, now=now)
        hotpath.allow(["10.0.0.0/8", "::1"] if allowed else [])
        for datagram, peer, listener, seconds in packets:
            now += seconds
            hotpath.feed(datagram, now, peer, listener)
            name_all(hotpath)
            assert_sums(hotpath)
    native, python = (hotpath.senders() for hotpath in pair)
    assert native == python


def assert_sums(hotpath) -> None:
    senders, tally = hotpath.senders(), hotpath.tally()
    every = [*senders.known, senders.others]
    assert sum(one.packets for one in every) == tally.datagrams
    assert sum(one.lines for one in every) == tally.received
    by_naming = tally.rejected.get("reserved_name", 0) + tally.rejected.get("series_limit", 0)
    rejected = sum(tally.rejected.values())
    assert rejected - by_naming <= sum(one.rejected for one in every) <= rejected
