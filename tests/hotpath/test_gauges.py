"""Gauges: the meaning of a sign before a number, and which of two values is newer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.hotpath import partial
from relay.model import Kind
from tests.support.hotpath import NOW, SETTINGS, START, close, exported, imbalance, make, name_all


def feed(hotpath, *lines: bytes, now: float = NOW, named: bool = True) -> None:
    for line in lines:
        hotpath.feed(line, now)
        if named:
            name_all(hotpath)


@pytest.mark.parametrize("named", [True, False], ids=["seen before", "named at the close"])
@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((b"g:-5|g", b"g:-5|g", b"g:-4|g"), -4),
        ((b"g:3|g", b"g:+2|g"), 2),
        ((b"g:3:+2:-7|g",), -7),
        ((b"g:+1|g:+1|g:+1|g",), 1),
        ((b"g:10|g|#a", b"g:-1|g|#a"), -1),
    ],
)
def test_a_signed_number_is_the_value_where_there_are_no_deltas(lines, expected, named):
    hotpath = make(gauge_deltas=False)
    feed(hotpath, *lines * 2, named=named)
    [rollup] = close(hotpath).values()
    assert rollup.last == expected
    assert imbalance(hotpath, closed=rollup.samples) == 0


def test_without_deltas_an_overflow_gauge_takes_signed_values():
    hotpath = make(gauge_deltas=False, series_per_metric=2)
    feed(hotpath, *(b"g:-%d|g|#id:%d" % (n, n) for n in range(4)), b"g:+7|g|#id:3")
    assert hotpath.tally().rejected == {}
    assert close(hotpath)["g", Kind.GAUGE, "true"].last == 7


def test_what_a_sign_means_may_change_while_lines_come():
    hotpath = make()
    feed(hotpath, b"g:10|g", b"g:-1|g")
    hotpath.configure(**{**SETTINGS, "gauge_deltas": False})
    feed(hotpath, b"g:-1|g", b"g:-2|g")
    assert close(hotpath)["g", Kind.GAUGE, ""].last == -2
    hotpath.configure(**SETTINGS)
    feed(hotpath, b"g:+5|g")
    assert close(hotpath, START + 120)["g", Kind.GAUGE, ""].last == 3


def value(hotpath) -> float | None:
    """Return the value of the only gauge."""
    return next((value for part in hotpath.gauges() for _, value in part), None)


@pytest.mark.parametrize("named", [True, False], ids=["seen before", "named at the close"])
@pytest.mark.parametrize(
    ("lines", "expected", "late_gauge"),
    [
        ((b"g:7|g|T%d" % (START - 1),), 7, 0),
        ((b"g:7|g|T%d" % (START + 5),), 7, 0),
        ((b"g:7|g|T%d" % (START - 5), b"g:8|g|T%d" % (START - 1)), 8, 0),
        ((b"g:7|g|T%d" % (START - 1), b"g:8|g|T%d" % (START - 5)), 7, 1),
        ((b"g:7|g|T%d" % (START - 5), b"g:8|g|T%d" % (START - 5)), 8, 0),
        ((b"g:7|g", b"g:8|g|T%d" % (START - 5)), 7, 1),
        ((b"g:7|g", b"g:8|g|T%d" % (START + 1)), 8, 0),
        ((b"g:7|g|T%d" % (START + 30), b"g:8|g"), 8, 0),
        ((b"g:7|g|T%d" % (START + 30), b"g:8:9|g|T%d" % (START + 29)), 7, 2),
        ((b"g:+7|g|T%d" % (START - 1), b"g:+8|g|T%d" % (START - 5)), 7, 1),
    ],
)
def test_a_gauge_with_a_time_is_taken_unless_a_newer_value_is_known(lines, expected, late_gauge, named):
    hotpath = make()
    feed(hotpath, *lines, named=named)
    name_all(hotpath)
    assert dict(hotpath.tally().samples_dropped) == ({"late_gauge": late_gauge} if late_gauge else {})
    assert close(hotpath)["g", Kind.GAUGE, ""].last == expected
    assert imbalance(hotpath, closed=hotpath.tally().samples_accepted - late_gauge) == 0


def test_rows_that_are_still_read_are_no_base_of_what_came_after_them():
    hotpath, held = make(), []
    for minute in range(1, 4):
        feed(hotpath, b"g:%d|g" % minute, named=False)
        hotpath.close_window(START + 60 * minute)
        name_all(hotpath)
        held.append(hotpath.closed_window())
        assert value(hotpath) == minute
    hotpath.delete([series for part in hotpath.gauges() for series, _ in part])
    feed(hotpath, b"g:+1|g")
    assert value(hotpath) == 1
    assert [[rollup.last for _, rollup in window.rows] for window in held] == [[1], [2], [3]]


@pytest.mark.parametrize("named", [True, False], ids=["seen before", "named at the close"])
def test_who_sends_the_last_minutes_gauges_each_minute_has_them(named):
    hotpath = make()
    for minute in range(1, 4):
        feed(hotpath, b"g:%d|g|T%d" % (minute, START + 60 * minute - 61), now=NOW + 60 * minute - 60, named=named)
        assert close(hotpath, START + 60 * minute)["g", Kind.GAUGE, ""].last == minute
    assert hotpath.tally().samples_dropped == {}


def restarted(before):
    """Start the next process with the stored bases and the checkpoint of the open window."""
    after = make()
    after.recover(exported(before))
    assert after.merge(b"".join(before.export_gauges())) == 0
    return after


@pytest.mark.parametrize("between", [close, lambda _: None], ids=["in another window", "in the open window"])
@pytest.mark.parametrize("known", [b"g:5|g|T%d" % (START + 3), b"g:5|g"], ids=["by its own time", "by its receipt"])
def test_what_is_newer_is_known_over_windows_and_a_restart(known, between):
    hotpath = make()
    feed(hotpath, known, now=START + 3.5)
    between(hotpath)
    after = restarted(hotpath)
    for it in (hotpath, after):
        feed(it, b"g:1|g|T%d" % (START + 2), now=START + 70)
        assert it.tally().samples_dropped == {"late_gauge": 1}
        assert value(it) == 5
        feed(it, b"g:6|g|T%d" % (START + 3), now=START + 70)
        feed(it, b"g:7|g|T%d" % (START + 4), now=START + 70)
        assert it.tally().samples_dropped == {"late_gauge": 1}
        assert value(it) == 7


def test_a_stored_gauge_of_an_earlier_release_is_as_new_as_its_window():
    record = partial.GaugeRecord("g", (("tags", ""),), derived=False, value=5.0, updated=START)
    old = partial.encode_frame(partial.Frame(0, gauges=[record]))
    hotpath = make()
    assert hotpath.merge(old) == 0
    feed(hotpath, b"g:1|g|T%d" % (START - 1))
    assert (value(hotpath), dict(hotpath.tally().samples_dropped)) == (5, {"late_gauge": 1})
    feed(hotpath, b"g:2|g|T%d" % START)
    assert value(hotpath) == 2


@given(st.lists(st.tuples(st.integers(-30, 30), st.booleans()), min_size=1, max_size=12), st.integers(1, 5))
def test_the_value_is_what_the_rule_says(sent, windows_of):
    """Return the expected value: a value with a time replaces those that are not newer, one without a time all."""
    hotpath = make()
    known, expected, dropped = -(10**9), None, 0
    for number, (offset, is_timed) in enumerate(sent):
        now = NOW + number
        at = int(now) + offset if is_timed else int(now)
        feed(hotpath, b"g:%d|g" % number + b"|T%d" % at * is_timed, now=now)
        if is_timed and at < known:
            dropped += 1
        else:
            known, expected = at, number
        if number % windows_of == 0:
            close(hotpath, START + 60 * (number + 1))
    assert value(hotpath) == expected
    assert hotpath.tally().samples_dropped.get("late_gauge", 0) == dropped
