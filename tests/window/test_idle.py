"""Idle series: those of earlier windows that the newest one does not have."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.model import Kind, Series
from relay.window.idle import IdleSeries

ALL = (Kind.COUNTER, Kind.TIMER, Kind.SET)


def series(name: str, kind: Kind = Kind.COUNTER, host: str = "h") -> Series:
    return Series(name, (("host", host),), kind)


def close(idle: IdleSeries, *names: str) -> list[str]:
    for name in names:
        idle.record(series(name))
    return [found.metric for found in idle.finish_window()]


def test_what_was_active_once_is_idle_until_it_is_active_again():
    idle = IdleSeries(kinds=ALL, limit=10)
    assert close(idle, "a", "b") == []
    assert close(idle, "b") == ["a"]
    assert close(idle) == ["a", "b"]
    assert close(idle, "a") == ["b"]
    assert close(idle, "b", "a") == []


def test_only_the_classes_asked_for_are_known():
    idle = IdleSeries(kinds=[Kind.TIMER], limit=10)
    for kind in Kind:
        idle.record(series("x", kind))
    assert list(idle.finish_window()) == []
    assert list(idle.finish_window()) == [series("x", Kind.TIMER)]
    idle.configure(kinds=[Kind.COUNTER], limit=10)
    assert list(idle.finish_window()) == []


def test_beyond_the_limit_the_least_recently_active_go():
    idle = IdleSeries(kinds=ALL, limit=3)
    close(idle, "a", "b")
    close(idle, "c")
    assert close(idle, "d") == ["b", "c"]
    assert close(idle, "e", "f", "g", "h") == []
    assert close(idle) == ["f", "g", "h"]
    idle.configure(kinds=ALL, limit=1)
    assert close(idle) == ["h"]


def test_forgotten_series_are_sent_no_more_until_they_are_active_again():
    idle = IdleSeries(kinds=ALL, limit=10)
    assert close(idle, "a", "b", "c") == []
    assert idle.known(Kind.COUNTER) == [series("a"), series("b"), series("c")]
    assert idle.delete([series("a"), series("b", host="other"), series("x")]) == [series("a")]
    assert idle.delete([series("a")]) == []
    assert idle.known(Kind.COUNTER) == [series("b"), series("c")]
    assert close(idle) == ["b", "c"]
    assert close(idle, "a") == ["b", "c"]
    assert close(idle) == ["b", "c", "a"]


def test_series_may_be_forgotten_while_a_window_closes():
    idle = IdleSeries(kinds=ALL, limit=10)
    close(idle, "a", "b", "c", "d")
    idle.record(series("d"))
    idle.delete([series("d")])
    rest = idle.finish_window()
    assert next(rest).metric == "a"
    idle.delete([series("a"), series("b")])
    assert [one.metric for one in rest] == ["c"]
    assert close(idle) == ["c"]
    assert idle.size == 1


windows = st.lists(st.sets(st.sampled_from("abcdefgh")), max_size=12)


@given(windows, st.integers(1, 10))
def test_idle_is_who_was_active_before_and_is_not_now(active, limit):
    idle, last = IdleSeries(kinds=ALL, limit=limit), {}
    for number, names in enumerate(active):
        last |= dict.fromkeys(names, number)
        found = close(idle, *sorted(names))
        kept = sorted(last, key=lambda name: (last[name], name))[-limit:]
        last = {name: last[name] for name in kept}
        assert found == [name for name in kept if last[name] < number]
