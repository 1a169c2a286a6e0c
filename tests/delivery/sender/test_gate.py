"""Requests of a fresh window are spread, in virtual time: one relay, and fleets."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from relay.delivery.sender.gate import Gate, SenderSettings, Stagger, host_offset


def departures(spread: Stagger, count: int, *, window: int = 60, now: float = 100.0) -> list[float]:
    moments = []
    for left in range(count, 0, -1):
        now += spread.wait(now, window=window, waiting=left)
        spread.acquire(now)
        moments.append(now)
    return moments


@pytest.mark.parametrize("count", [1, 2, 7, 100])
@pytest.mark.parametrize("offset", [0.0, 0.3, 0.999])
def test_a_window_is_spread_evenly_over_its_seconds(count, offset):
    moments = departures(Stagger(seconds=10, offset=offset), count)
    assert moments[0] == pytest.approx(100 + offset * 10 / count)
    assert moments[-1] < 110
    assert all(later - earlier == pytest.approx(10 / count) for earlier, later in pairwise(moments))


def test_each_newer_window_is_spread_and_an_older_one_is_not():
    spread = Stagger(seconds=10, offset=0.5)
    departures(spread, 5)
    assert spread.wait(200, window=0, waiting=10) == 0
    assert spread.wait(200, window=120, waiting=10) == pytest.approx(0.5)


def test_late_requests_do_not_catch_up_at_once():
    spread = Stagger(seconds=10, offset=0)
    spread.wait(100, window=60, waiting=10)
    spread.acquire(105)
    assert spread.wait(105, window=60, waiting=9) == 0
    spread.acquire(105)
    assert spread.wait(105, window=60, waiting=8) == pytest.approx(1)


def test_nothing_is_spread_at_stop_or_over_no_time():
    spread = Stagger(seconds=10, offset=0.9)
    spread.wait(100, window=60, waiting=1)
    spread.stop()
    assert spread.wait(100, window=60, waiting=1) == 0
    assert spread.wait(100, window=120, waiting=1) == 0
    assert departures(Stagger(seconds=0, offset=0.5), 3) == [100] * 3


def test_the_offset_of_a_host_is_stable():
    assert host_offset("web-1") == host_offset("web-1") != host_offset("web-2")
    assert all(0 <= host_offset(f"host-{number}") < 1 for number in range(1000))


def fleet(relays: int, backlog: int, fresh: int, *, seconds: int) -> list[int]:
    """Return requests per second of relays that restart together with a backlog, and close windows each minute."""
    arrivals: Counter[int] = Counter()
    for number in range(relays):
        gate = Gate(SenderSettings(requests_per_minute=900, spread=10.0, offset=host_offset(f"web-{number}")))
        now, waiting, window = 0.0, backlog, 0
        while now < seconds:
            if now >= window + 60:
                window, waiting = window + 60, waiting + fresh
            if not waiting:
                now = window + 60.0
                continue
            wait = gate.wait_for_batch(now, window=window, waiting=waiting)
            if wait:
                now += wait
                continue
            gate.acquire(now, 0.5, batch=True)
            gate.in_flight -= 1
            gate.rate.accepted(now)
            waiting -= 1
            arrivals[int(now)] += 1
    return [arrivals[second] for second in range(seconds)]


def test_a_fleet_that_restarts_with_a_large_backlog_makes_no_peak():
    load = fleet(50, backlog=2000, fresh=5, seconds=120)
    assert max(load) <= 1.5 * sum(load) / len(load)


def test_a_fleet_that_restarts_with_a_small_backlog_makes_neither_peak_nor_echo():
    load = fleet(50, backlog=20, fresh=20, seconds=130)
    mean = sum(load[:10]) / 10
    assert max(load[:10]) <= 1.5 * mean
    assert max(load[60:70]) <= 1.5 * sum(load[60:70]) / 10
    assert sum(load[12:60]) == 0
