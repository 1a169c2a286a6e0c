"""Gauges: what a sign before a number means."""

from __future__ import annotations

import pytest

from relay.model import Kind
from tests.support.hotpath import NOW, SETTINGS, START, close, imbalance, make, name_all


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
