"""Samples that a rule drops are counted by the number of the rule, whether they waited for the name or not."""

from __future__ import annotations

import pytest

from relay import limits
from relay.model import Identity, Kind, NoSeries
from tests.support.hotpath import NOW, START, close, imbalance, make, name_all


def drop(hotpath, name: bytes, rule: int, kind: Kind = Kind.COUNTER) -> None:
    hotpath.resolve([(Identity(name, kind, b""), NoSeries("rule", rejects=False, rule=rule))])


def test_samples_of_waiting_and_of_known_names():
    hotpath = make()
    hotpath.feed(b"a:1:2|c\nb:1|c\nkept:1|c", NOW)
    drop(hotpath, b"a", 2)
    drop(hotpath, b"b", 7)
    hotpath.feed(b"a:1|c\na:1|c", NOW)
    name_all(hotpath)
    assert hotpath.dropped_by_rule() == {2: 4, 7: 1}
    assert hotpath.tally().samples_dropped == {"rule": 5}


def test_a_line_of_several_types():
    hotpath = make()
    hotpath.feed(b"a:1|c:2|ms", NOW)
    drop(hotpath, b"a", 1)
    drop(hotpath, b"a", 3, Kind.TIMER)
    hotpath.feed(b"a:1|c:2|ms", NOW)
    assert hotpath.dropped_by_rule() == {1: 2, 3: 2}


def test_samples_of_a_window_that_is_closing():
    hotpath = make()
    hotpath.feed(b"a:1|c", NOW)
    hotpath.close_window(START + 60)
    hotpath.feed(b"a:1|c", NOW)
    drop(hotpath, b"a", 4)
    assert hotpath.dropped_by_rule() == {4: 2}
    assert hotpath.closed_window().samples == 0
    assert imbalance(hotpath) == 0


@pytest.mark.parametrize(("rule", "counted"), [(0, {}), (limits.RULES_COUNTED - 1, {limits.RULES_COUNTED - 1: 1}),
                                               (limits.RULES_COUNTED, {}), (10**6, {})])  # fmt: skip
def test_the_number_of_rules_is_bounded(rule, counted):
    hotpath = make()
    hotpath.feed(b"a:1|c", NOW)
    drop(hotpath, b"a", rule)
    assert hotpath.dropped_by_rule() == counted
    assert hotpath.tally().samples_dropped == {"rule": 1}


def test_other_rules_count_anew():
    hotpath = make()
    hotpath.feed(b"a:1|c", NOW)
    drop(hotpath, b"a", 1)
    close(hotpath, START + 60)
    assert hotpath.dropped_by_rule() == {1: 1}, "the end of a window changes nothing"
    hotpath.close_window(START + 120, renames=True)
    assert hotpath.dropped_by_rule() == {}


def test_a_rejected_line_is_not_dropped_by_a_rule():
    hotpath = make()
    hotpath.feed(b"reserved.x:1|c", NOW)
    name_all(hotpath)
    assert hotpath.dropped_by_rule() == {}
