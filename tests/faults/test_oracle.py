"""The oracle finds each kind of loss and error."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import islice

import pytest

from tests.support.load import BASE, DIGITS, Load, Sent, lines, number_of, place
from tests.support.oracle import conserve, judge

SENT = Sent(name="load", width=7, count=300, seconds=1.0)


def stored(times: dict[int, int], *, timestamp: int = 1_764_000_000) -> list[dict]:
    """Points of a cloud that counted each packet the given number of times."""
    totals: dict[str, list[int]] = {}
    for number, often in times.items():
        where = place(number, name="load", width=7)
        total = totals.setdefault(where.metric, [0, 0])
        total[0] += often * BASE**where.digit
        total[1] += often
    return [
        {"metric": metric, "dimensions": {}, "timestamp": timestamp, "values": {"sum": total, "count": count}}
        for metric, (total, count) in totals.items()
    ]


def test_packets_have_places_of_their_own():
    packets = list(islice(lines("load", 7), 300))
    for number, line in enumerate(packets):
        where = place(number, name="load", width=7)
        assert line == f"{where.metric}:{BASE**where.digit}|c".encode()
        assert number_of(where.metric, where.digit, name="load", width=7) == number
    assert len(set(packets)) == 300


def test_all_is_well():
    half = dict.fromkeys(range(0, 300, 2), 1)
    rest = dict.fromkeys(range(1, 300, 2), 1)
    verdict = judge([*stored(half), *stored(rest, timestamp=1_764_000_060)], SENT)
    assert (verdict.lost, verdict.duplicated, verdict.invented, verdict.conflicts) == (0, 0, 0, [])


def test_a_loss_and_a_duplicate_do_not_hide_each_other():
    verdict = judge(stored({number: 1 + (number == 5) - (number == 4) for number in range(300)}), SENT)
    assert (verdict.lost, verdict.duplicated, verdict.invented, verdict.gaps) == (1, 1, 0, [(4, 4)])


def test_a_packet_that_was_never_sent_is_invented():
    assert judge(stored(dict.fromkeys(range(301), 1)), SENT).invented == 1


def test_a_count_that_does_not_belong_to_its_total_is_invented():
    points = stored(dict.fromkeys(range(300), 1))
    points[0]["values"]["count"] += 2
    assert judge(points, SENT).invented == 2


def test_a_resend_is_no_duplicate_but_a_second_value_is_a_conflict():
    points = stored(dict.fromkeys(range(300), 1))
    again = judge([*points, points[0]], SENT)
    assert (again.duplicated, again.resent, again.conflicts) == (0, 1, [])
    other = {**points[0], "values": {"sum": 1, "count": 1}}
    assert len(judge([*points, other], SENT).conflicts) == 1


@pytest.mark.parametrize("kind", ["udp", "unix"])
async def test_the_generator_sends_what_it_says(kind, tmp_path):
    import socket

    family = socket.AF_INET if kind == "udp" else socket.AF_UNIX
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0) if kind == "udp" else str(tmp_path / "socket"))
        sock.settimeout(0.5)
        to = f"udp:127.0.0.1:{sock.getsockname()[1]}" if kind == "udp" else f"unix:{tmp_path}/socket"
        load = Load(to, rate=1000, seconds=1, spread=0.1)
        received: Counter[bytes] = Counter()
        sending = asyncio.create_task(load.wait())
        while (line := await asyncio.to_thread(_receive, sock)) or not sending.done():
            received[line] += bool(line)
        sent = await sending
        del received[b""]
    assert received == Counter(islice(lines("load", sent.width), sent.count))
    assert sent.count > DIGITS


async def test_a_generator_that_is_stopped_at_once_says_what_it_sent(load):
    sent = await load(to="udp:127.0.0.1:9", rate=1, seconds=30).stop()
    assert sent.count == 0


def _receive(sock) -> bytes:

    try:
        return sock.recv(2048)
    except TimeoutError:
        return b""


async def test_a_relay_without_faults_conserves(start, load, emulator):
    relay = start()
    verdict = await conserve(relay, emulator, await load(relay, rate=4000, seconds=2.5).wait())
    assert verdict.sent > 4000
    assert (verdict.lost, verdict.resent) == (0, 0)
