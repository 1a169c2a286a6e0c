"""Which batch goes next: simulated, and against a plain list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.spool.order import BatchOrder, WaitingBatch
from relay.delivery.spool.quota import FillForecast

SECONDS = 60


def entry(window: int, id_: int) -> WaitingBatch:
    return WaitingBatch(window=window, id=id_, points=50, compressed_bytes=2500)


def test_an_outage_of_a_day_drains_fresh_windows_first_and_starves_nothing():
    """1,440 windows of 10 batches wait; then 30 batches a minute go while every minute brings 10 more.

    Fresh batches leave within their minute, a third of what leaves while both wait is backlog, the backlog leaves
    oldest first, and all of it is gone after 720 minutes (1,440 x 10 / 20 a minute).
    """
    order, number = BatchOrder(), 0

    def store(window: int) -> None:
        nonlocal number
        for _ in range(10):
            number += 1
            order.push(entry(window, number))

    for window in range(1440):
        store(window)
    oldest_first, minutes, while_both = [], 0, []
    while len(list(order.sendable_windows())) > 1:
        fresh = 1440 + minutes
        store(fresh)
        taken = [order.pop() for _ in range(30)]
        assert sum(t.window == fresh for t in taken) == 10, "what is fresh leaves within its minute"
        while_both += [t.window != fresh for t in taken[: 1 + max(n for n, t in enumerate(taken) if t.window == fresh)]]
        oldest_first += [t.window for t in taken if t.window < 720]
        minutes += 1
    assert oldest_first == sorted(oldest_first)
    assert sum(while_both) / len(while_both) >= 0.3
    assert minutes == 720, "20 of the backlog a minute"


def test_at_least_three_in_ten_are_backlog_while_both_wait():
    order = BatchOrder()
    for id_ in range(1000):
        order.push(entry(0, id_))
        order.push(entry(60, 10_000 + id_))
    taken = [order.pop().window for _ in range(1000)]
    assert 0.30 <= taken.count(0) / 1000 <= 0.34
    assert all(0 in taken[n : n + 3] for n in range(998))


def test_a_probe_pops_from_the_newest_window_whatever_the_turn():
    order = BatchOrder()
    for id_ in range(10):
        order.push(entry(0, id_))
        order.push(entry(60, 100 + id_))
    assert [order.pop(live=True).window for _ in range(11)] == [60] * 10 + [0]


def test_while_no_sender_may_wait_for_the_disk_only_batches_in_memory_are_popped():
    order = BatchOrder()
    for window in (0, 60, 120):
        order.push(entry(window, window))
    assert order.pop(in_memory={60}.__contains__) == entry(60, 60)
    assert order.pop(in_memory={60}.__contains__) is None
    assert order.pop(in_memory={0}.__contains__, live=True) is None
    assert order.batches == 2


def test_a_held_window_is_not_popped():
    order = BatchOrder()
    order.push(entry(0, 1))
    order.hold(60)
    order.push(entry(60, 2))
    assert (order.batches, order.oldest_window, order.live_window) == (2, 0, 0)
    assert [order.pop(), order.pop()] == [entry(0, 1), None]
    order.release([60])
    assert order.pop() == entry(60, 2)


@given(st.lists(st.tuples(st.sampled_from(["push", "take", "drop", "lose", "hold", "release"]), st.integers(0, 5))))
def test_nothing_appears_or_vanishes(steps):
    order, there, held, number = BatchOrder(), set(), set(), 0
    for step, value in steps:
        if step == "push":
            number += 1
            order.push(entry(value, number))
            there.add(entry(value, number))
        elif step == "take":
            taken = order.pop()
            assert (taken is None) == all(e.window in held for e in there)
            assert taken is None or taken.window not in held
            there -= {taken}
        elif step == "drop":
            gone = {e for e in there if e.window == value}
            assert set(order.remove_window(value)) == gone
            there -= gone
        elif step == "hold":
            order.hold(value)
            held.add(value)
        elif step == "release":
            order.release([value])
            held.discard(value)
        else:
            gone = {e for e in there if e.id % 3 == value % 3}
            assert set(order.remove_if(lambda e, value=value: e.id % 3 == value % 3)) == gone
            there -= gone
        windows = {e.window for e in there}
        assert (order.batches, order.points, order.bytes) == (len(there), 50 * len(there), 2500 * len(there))
        assert (order.oldest_window, order.live_window) == (
            min(windows, default=None),
            max(windows - held, default=None),
        )


def test_the_forecast_is_a_straight_line_through_the_observations():
    filling = FillForecast(1000)
    assert filling.observe(0, 100) is None
    assert filling.observe(3600, 790) is None, "below 80 %"
    assert filling.observe(7200, 820) == 180 / 360
    assert filling.observe(7300, 1000) == 0
    shrinking = FillForecast(1000)
    assert [shrinking.observe(n * 60, 990 - n) for n in range(50)] == [None] * 50
