"""The hot path as other stages use it: accepted and rejected lines, rollups, gauges, limits, windows."""

from __future__ import annotations

import math
import random
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import limits
from relay.model import Kind
from tests.support.hotpath import NOW, START, close, imbalance, make, name_all


def feed(hotpath, *datagrams: bytes, now: float = NOW, named: bool = True) -> None:
    for datagram in datagrams:
        hotpath.feed(datagram, now)
        if named:
            name_all(hotpath)


def test_a_counter_is_summed_by_its_rate():
    hotpath = make()
    feed(hotpath, b"a:1|c\na:2|c|@0.5", b"a:1|c\na:2|c|@0.5", b"a:1|c\na:2|c|@0.5")
    rollup = close(hotpath)["a", Kind.COUNTER, ""]
    assert (rollup.samples, rollup.count, rollup.sum, rollup.min, rollup.max, rollup.last) == (6, 9, 15, 1, 2, 2)
    assert imbalance(hotpath, closed=6) == 0


def test_last_is_the_last_received_over_aliases_and_rates():
    hotpath = make()
    feed(
        hotpath,
        b"t:5|ms|#a,b",
        b"t:9|ms|#b,a",
        b"t:7|ms|#a,b",
        b"t:3|ms|#b,a|@0.5",
        b"t:8|ms|#a,b",
        b"t:4|ms|#b,a|@0.5",
    )
    rollup = close(hotpath)["t", Kind.TIMER, "a,b"]
    assert (rollup.samples, rollup.count, rollup.last, rollup.min, rollup.max) == (6, 8, 4, 3, 9)


@pytest.mark.parametrize("named", [True, False], ids=["seen before", "named at the close"])
def test_gauges_take_deltas(named):
    hotpath = make()
    feed(hotpath, b"g:10|g", b"g:+5|g", b"g:-3|g\ng:7|g\ng:+1|g", named=named)
    rollup = close(hotpath)["g", Kind.GAUGE, ""]
    assert (rollup.samples, rollup.sum, rollup.min, rollup.max, rollup.last) == (5, 10 + 15 + 12 + 7 + 8, 7, 15, 8)


@pytest.mark.parametrize("named", [True, False])
def test_deltas_stand_on_the_value_of_earlier_windows(named):
    hotpath = make()
    feed(hotpath, b"g:10|g")
    close(hotpath)
    feed(hotpath, b"g:+5|g", b"g:-1|g", b"other:+2|g", named=named)
    rows = close(hotpath, START + 120)
    assert rows["g", Kind.GAUGE, ""].last == 14
    assert rows["g", Kind.GAUGE, ""].max == 15
    assert rows["other", Kind.GAUGE, ""].last == 2


def test_a_relative_gauge_of_unknown_identity_finds_its_base_late():
    hotpath = make()
    feed(hotpath, b"g:10|g|#a,b")
    feed(hotpath, b"g:+5|g|#b,a\ng:+1|g|#b,a", named=False)
    name_all(hotpath)
    assert close(hotpath)["g", Kind.GAUGE, "a,b"].last == 16


def test_an_idle_gauge_repeats_until_its_time_is_over():
    hotpath = make(idle_gauge_ttl=120.0)
    feed(hotpath, b"g:10|g")
    seen = [close(hotpath, START + 60 * n).get(("g", Kind.GAUGE, "")) for n in range(1, 6)]
    assert [rollup and (rollup.samples, rollup.count, rollup.last) for rollup in seen] == [
        (1, 1, 10),
        (0, 1, 10),
        (0, 1, 10),
        None,
        None,
    ]
    feed(hotpath, b"g:+1|g")
    assert close(hotpath, START + 360)["g", Kind.GAUGE, ""].last == 11


def test_an_idle_gauge_repeats_though_a_rejected_line_names_it():
    hotpath = make(series_limit=12)
    full = b"\n".join(b"c%d:1|c" % n for n in range(20))
    feed(hotpath, b"g:5|g", full, b"g:4|g|#new")
    assert close(hotpath)["g", Kind.GAUGE, ""].last == 5
    feed(hotpath, full, b"g:+1|g:+1|g|#new")
    assert hotpath.tally().rejected == {"series_limit": 1}
    repeated = close(hotpath, START + 120)["g", Kind.GAUGE, ""]
    assert (repeated.samples, repeated.count, repeated.last) == (0, 1, 5)


def test_sets_count_distinct_members():
    hotpath = make()
    feed(hotpath, b"s:a|s\ns:b|s\ns:a|s\ns:a:b|s", b"s:c|s\ns:a|s")
    rollup = close(hotpath)["s", Kind.SET, ""]
    assert (rollup.samples, rollup.sum, rollup.max, rollup.count) == (6, 4, 4, 1)


def test_sinks_reject_or_drop():
    hotpath = make()
    for _ in range(2):
        feed(hotpath, b"reserved.x:1|c\ndropped.y:1:2|c\nreserved.x:5|g\nfine:1|c")
    tally = hotpath.tally()
    assert tally.rejected == {"reserved_name": 4}
    assert tally.samples_dropped == {"rule": 4}
    assert (tally.accepted, tally.samples_accepted, tally.samples_open) == (4, 6, 2)
    assert imbalance(hotpath) == 0


def test_what_waits_for_its_name_is_in_no_figure():
    hotpath = make()
    feed(hotpath, b"new:1:2|c\nnew:bad|c", named=False)
    assert (hotpath.tally().received, hotpath.tally().accepted, hotpath.tally().samples_open) == (1, 0, 0)
    name_all(hotpath)
    assert (hotpath.tally().received, hotpath.tally().accepted, hotpath.tally().samples_open) == (2, 1, 2)


def test_identities_of_the_closing_window_are_named_first():
    hotpath = make()
    feed(hotpath, b"old:1|c", named=False)
    hotpath.close_window(START + 60)
    feed(hotpath, b"new:1|c\nold:5|c", named=False)
    assert [identity.name for identity in hotpath.unresolved(10)] == [b"old"]
    assert not hotpath.settled()
    name_all(hotpath)
    window = hotpath.closed_window()
    assert [(series.metric, rollup.sum) for series, rollup in window.rows] == [("old", 1.0)]
    assert close(hotpath, START + 120)["old", Kind.COUNTER, ""].sum == 5


def test_names_that_come_too_late_for_their_window_are_in_the_series_of_their_class_there_alone():
    hotpath = make()
    feed(hotpath, b"old:1|c\nold:2|c\nlate:3|ms\nlate.g:+1|g\nlate.g:+1|g|#k:v", named=False)
    hotpath.close_window(START + 60)
    feed(hotpath, b"old:5|c", named=False)
    while not hotpath.abandon_names():
        pass
    assert hotpath.settled()
    window = hotpath.closed_window()
    rows = {series.metric: rollup for series, rollup in window.rows}
    assert rows["overflow.counter"].sum == 3
    assert rows["overflow.timer"].sum == 3
    tally = hotpath.tally()
    assert tally.rejected == {"series_limit": 2}, "a delta has no base there"
    assert (tally.accepted, tally.samples_overflow, tally.samples_open) == (3, 3, 0)
    assert [identity.name for identity in hotpath.unresolved(9)] == [b"old"]
    name_all(hotpath)
    assert close(hotpath, START + 120)["old", Kind.COUNTER, ""].sum == 5
    assert imbalance(hotpath, closed=4) == 0


def test_a_window_that_folds_has_the_series_of_the_classes_alone():
    hotpath = make()
    feed(hotpath, b"a:1|c\ng:4|g")
    hotpath.close_window(START + 60, folds=True)
    hotpath.abandon_names()
    hotpath.closed_window()
    feed(hotpath, b"a:2|c\nb:3|c\ng:7|g\ng:+1|g")
    rows = close(hotpath, START + 120)
    assert {key[:2] for key, rollup in rows.items() if rollup.samples} == {
        ("overflow.counter", Kind.COUNTER),
        ("overflow.gauge", Kind.GAUGE),
    }
    assert rows["overflow.counter", Kind.COUNTER, ""].sum == 5
    assert hotpath.tally().rejected == {"series_limit": 1}
    feed(hotpath, b"a:2|c")
    assert close(hotpath, START + 180)["a", Kind.COUNTER, ""].sum == 2
    assert imbalance(hotpath, closed=6) == 0


@pytest.mark.parametrize(
    ("timestamp", "kind", "expected"),
    [
        (START, b"c", {}),
        (START + 59, b"g", {}),
        (START - 1, b"c", {"late": 1}),
        (START + 60, b"c", {"late": 1}),
        (START - 60, b"g", {"late": 1}),
        (START + 61, b"g", {"late": 1}),
        (START + 61, b"c", {"late": 1}),
        (START + 62, b"c", {"too_far_ahead": 1}),
        (START - 86_400, b"c", {"too_old": 1}),
        (1, b"ms", {"too_old": 1}),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_timestamps(timestamp, kind, expected, named):
    hotpath = make()
    if named:
        feed(hotpath, b"t:1|%b|T%d" % (kind, timestamp))
        expected = {reason: 2 * n for reason, n in expected.items()}
    feed(hotpath, b"t:1|%b|T%d" % (kind, timestamp))
    tally = hotpath.tally()
    assert dict(tally.samples_dropped) == {reason: n for reason, n in expected.items() if reason != "late"}
    assert tally.samples_late == expected.get("late", 0)
    assert imbalance(hotpath) == 0


def test_a_metric_that_explodes_keeps_its_total():
    hotpath = make(series_per_metric=10)
    for _ in range(2):
        feed(hotpath, *(b"m:1|c|#id:%d" % n for n in range(50)), b"other:1|c")
    rows = close(hotpath)
    assert sum(rollup.sum for (metric, *_), rollup in rows.items() if metric == "m") == 100
    assert rows["m", Kind.COUNTER, "true"].sum == 80
    assert rows["other", Kind.COUNTER, ""].sum == 2
    assert hotpath.tally().samples_overflow == 80


def test_metrics_beyond_the_limit_fold_per_class():
    hotpath = make(series_limit=20)
    feed(hotpath, *(b"m%d:1|c" % n for n in range(100)), *(b"t%d:1|ms" % n for n in range(10)))
    assert len(close(hotpath)) <= 20 + 4
    hotpath = make(series_limit=20)
    feed(hotpath, *(b"m%d:1|c" % n for n in range(100)), *(b"t%d:1|ms" % n for n in range(10)))
    rows = close(hotpath)
    assert sum(rollup.sum for (_, kind, _), rollup in rows.items() if kind is Kind.COUNTER) == 100
    assert rows["overflow.timer", Kind.TIMER, ""].count == 10


def test_overflow_gauges_refuse_deltas():
    hotpath = make(series_per_metric=2)
    feed(hotpath, *(b"g:%d|g|#id:%d" % (n, n) for n in range(3)), b"g:+1|g|#id:2", b"g:+1|g|#id:9", b"g:5|g|#id:2")
    assert hotpath.tally().rejected == {"series_limit": 2}
    assert imbalance(hotpath) == 0


several = st.lists(
    st.tuples(
        st.sampled_from([b"1", b"+1", b"-2:+3", b"4:+1", b"+1:5"]), st.sampled_from([b"g", b"g|#t:1", b"g|#t:2", b"c"])
    ),
    min_size=1,
    max_size=4,
).map(lambda groups: b":".join(b"%b|%b" % group for group in groups))


def test_a_line_of_several_groups_over_a_limit_is_rejected_once():
    hotpath = make(series_limit=10)
    for number in range(12):
        feed(hotpath, b"n%d:+1|g:+1|g:+1|g" % number)
    tally = hotpath.tally()
    assert (tally.received, tally.accepted, tally.rejected) == (12, 9, {"series_limit": 3})
    assert (tally.samples_accepted, tally.samples_open) == (27, 27)


def test_deltas_without_a_series_are_dropped_of_a_line_that_another_type_had_accepted():
    hotpath = make(series_limit=10)
    feed(hotpath, *(b"full%d:1|c" % number for number in range(10)))
    feed(hotpath, b"new:+1:+1|g:7|c", b"mixed:+1:5|g")
    tally = hotpath.tally()
    assert (tally.received, tally.accepted, tally.rejected) == (12, 11, {"series_limit": 1})
    assert tally.samples_dropped == {"series_limit": 2}
    feed(hotpath, b"new:+1:+1|g:7|c", b"mixed:+1:5|g")
    assert hotpath.tally().rejected == {"series_limit": 3}
    assert imbalance(hotpath) == 0


@given(st.lists(st.tuples(st.integers(0, 14), several), max_size=20), st.integers(1, 4))
def test_every_line_of_several_groups_is_handled_once(sent, named_every):
    hotpath = make(series_limit=10, series_per_metric=2)
    for number, (name, groups) in enumerate(sent):
        feed(hotpath, b"n%d:%b" % (name, groups), named=number % named_every == 0)
        tally = hotpath.tally()
        assert min(tally.received, tally.accepted, tally.samples_accepted, tally.samples_open) >= 0
        assert imbalance(hotpath) == 0
    name_all(hotpath)
    assert hotpath.tally().received == len(sent)
    assert imbalance(hotpath) == 0


def test_identities_without_room_in_the_queue_overflow():
    hotpath = make(series_limit=5)
    feed(hotpath, *(b"m%d:1|c" % n for n in range(10)), named=False)
    assert hotpath.tally().samples_overflow == 5
    name_all(hotpath)
    assert imbalance(hotpath) == 0
    assert sum(rollup.sum for rollup in close(hotpath).values()) == 10


def test_memory_is_bounded_also_against_long_names():
    hotpath = make(memory=1 << 20)
    for n in range(200):
        feed(hotpath, b"x%d" % n * 5000 + b":1|c", b"s:%d|s" % n)
    assert hotpath.tally().aliases * 10_000 < 1 << 20
    rows = close(hotpath)
    assert sum(rollup.samples for rollup in rows.values()) == 400


def test_at_the_bound_of_memory_nothing_new_is_kept_apart():
    hotpath = make(memory=400_000, series_limit=10_000, series_per_metric=10_000)
    feed(hotpath, *(b"m%d:1|c" % n for n in range(3000)))
    rows = close(hotpath)
    assert len(rows) < 3000
    assert sum(rollup.sum for rollup in rows.values()) == 3000
    assert rows["overflow.counter", Kind.COUNTER, ""].sum == hotpath.tally().samples_overflow


def test_the_tables_of_all_windows_that_are_alive_share_the_memory(implementation):
    memory = {"native": 1_050_000, "python": 2_400_000}[implementation]
    hotpath = make(memory=memory, series_limit=10_000, series_per_metric=10_000)

    def closed(number: int):
        feed(hotpath, *(b"w%d.m%d:1|c" % (number % 2, n) for n in range(1500)))
        hotpath.close_window(START + number * 60)
        return hotpath.closed_window().rows

    first = closed(1)
    second = closed(2)
    short = len(second)
    assert short < len(first) == 1500
    del first, second
    hotpath.unresolved(1)  # frees the windows that were given back
    assert len(closed(3)) > short


def test_at_the_bound_of_memory_a_series_of_the_last_window_is_not_new(implementation):
    """Also if a flood of new series fills the memory first, while the previous window is not stored yet."""
    memory = {"native": 900_000, "python": 200_000}[implementation]
    hotpath = make(memory=memory, series_limit=20_000, series_per_metric=20_000)

    def flood(number: int):
        feed(hotpath, *(b"f%d.%d:1|c" % (number, n) for n in range(8000)))

    known = [b"v%d:1|c" % n for n in range(100)]
    feed(hotpath, *known)
    flood(1)
    hotpath.close_window(START + 60)
    first = hotpath.closed_window().rows
    flood(2)
    feed(hotpath, b"new:1|c", *known)
    found = {metric for metric, *_ in close(hotpath, START + 120)}
    assert len(first) < 8100
    assert "new" not in found, "the memory is at its bound"
    assert found >= {f"v{n}" for n in range(100)}


def test_at_the_bound_of_memory_sets_stop_growing_exactly(monkeypatch):
    monkeypatch.setattr("relay.hotpath.python.hotpath._FOLD_SAMPLES", 100)
    hotpath = make(memory=100_000)
    feed(hotpath, *(b"s%d:u%d|s" % (n % 4, n) for n in range(4000)))
    rows = close(hotpath)
    assert any(rollup.sum != 1000 for rollup in rows.values()), "an estimate is not exact"
    assert all(rollup.sum == pytest.approx(1000, rel=0.05) for rollup in rows.values())


def test_sums_saturate():
    hotpath = make()
    feed(
        hotpath, b"c:1e308:1e308:1e308|c|@1e-9", b"c:1e308|c", b"c:1e308|c", b"g:1e308|g", b"g:+1e308|g", b"g:+1e308|g"
    )
    assert all(math.isfinite(value) for rollup in close(hotpath).values() for value in (rollup.sum, rollup.last))


def test_only_named_networks_may_send():
    hotpath = make()
    hotpath.allow(["10.0.0.0/8", "::1/128"])
    for peer in (("10.1.2.3", 1), ("::1", 2), ("::ffff:10.0.0.1", 3), ("192.0.2.1", 4), None):
        hotpath.feed(b"a:1|c\n", NOW, peer)
    name_all(hotpath)
    assert hotpath.tally().accepted == 4, "nobody known came by a Unix socket: the mode of its file has decided"
    assert hotpath.tally().rejected == {"source_denied": 1}
    assert hotpath.rejects()[0].peer.host == "192.0.2.1"
    assert [hotpath.admits(peer) for peer in (("10.1.2.3", 1), ("192.0.2.1", 4), None)] == [True, False, True]
    hotpath.allow([])
    assert hotpath.admits(("192.0.2.1", 4))


def test_a_line_refused_before_it_came_is_counted():
    hotpath = make()
    hotpath.reject(b"x" * 500, "line_too_long", NOW, ("10.1.2.3", 1))
    hotpath.reject(b"", "truncated", NOW)
    assert hotpath.tally().received == 2
    assert hotpath.tally().rejected == {"line_too_long": 1, "truncated": 1}
    assert [(len(line.line), line.peer and line.peer.host) for line in hotpath.rejects()] == [
        (120, "10.1.2.3"),
        (0, None),
    ]
    assert imbalance(hotpath) == 0


def test_series_of_the_open_window_are_listed_in_parts():
    hotpath = make()
    feed(hotpath, *(b"m%d:1|c" % number for number in range(5)))
    parts = [hotpath.list_series(first, 2) for first in (0, 2, 4, 6)]
    assert [[series.metric for series in part] for part in parts] == [["m0", "m1"], ["m2", "m3"], ["m4"], []]


def test_rejects_are_a_ring():
    hotpath = make()
    feed(hotpath, *(b"bad%d" % n + b"x" * 500 for n in range(100)))
    latest = hotpath.rejects()
    assert len(latest) == 64
    assert len(latest[-1].line) == 120
    assert latest[-1].line.startswith(b"bad99x")
    assert (latest[-1].reason, latest[-1].time) == ("no_value", NOW)


def snapshot_rows(hotpath) -> list[tuple[str, str, float]]:
    """Return the rows of a snapshot: metric, tags, last value."""
    return [(series.metric, tags_of(series), rollup.last) for part in hotpath.snapshot() for series, rollup in part]


def tags_of(series) -> str:
    return ",".join(value for _, value in series.dimensions)


def gauges(hotpath) -> dict[str, float]:
    return {series.metric: value for part in hotpath.gauges() for series, value in part}


def test_a_snapshot_has_every_row_in_the_order_they_came_and_can_be_taken_while_lines_come():
    hotpath = make(series_limit=2000, series_per_metric=2000)
    feed(hotpath, *(b"m%d:%d|c" % (number, number) for number in range(700)))
    parts = hotpath.snapshot()
    rows = next(parts)
    feed(hotpath, b"late:1|c\nm0:5|c")
    rows += [row for part in parts for row in part]
    assert [(series.metric, rollup.last) for series, rollup in rows][:700] == [(f"m{n}", n) for n in range(700)]
    assert ("m0", "", 5) in snapshot_rows(hotpath)
    hotpath.delete([series for series, _ in rows[1:3]])
    assert [metric for metric, *_ in snapshot_rows(hotpath)][:3] == ["m0", "m3", "m4"]
    assert hotpath.tally().last_at == NOW


def test_gauges_are_listed_with_the_value_that_a_delta_would_stand_on():
    hotpath = make()
    assert gauges(hotpath) == {}
    feed(hotpath, b"idle:4|g\nbusy:1|g\nother:1|c")
    close(hotpath)
    feed(hotpath, b"busy:+2|g", b"new:7|g")
    assert gauges(hotpath) == {"idle": 4, "busy": 3, "new": 7}
    assert list(gauges(hotpath)) == ["idle", "busy", "new"]


def test_what_is_forgotten_is_gone_and_counted_and_nothing_else_is():
    hotpath = make()
    feed(hotpath, b"web.a:1|c\nweb.a:2|c|#k:v\nweb.a:3|ms\nbusy:2|g\nidle:4|g")
    close(hotpath)
    feed(hotpath, b"web.a:1|c\nweb.a:2|c|#k:v\nweb.a:3|ms\nbusy:2|g\nbusy:3|g")
    found = {(series.metric, tags_of(series)): series for part in hotpath.snapshot() for series, _ in part}
    idle = next(series for part in hotpath.gauges() for series, _ in part if series.metric == "idle")
    wanted = [found["web.a", "k:v"], found["busy", ""], idle, found["busy", ""]._replace(metric="nobody")]
    assert hotpath.delete(wanted) == wanted[:3]
    assert hotpath.delete(wanted) == []
    assert {(metric, tags) for metric, tags, _ in snapshot_rows(hotpath)} == found.keys() - {
        ("web.a", "k:v"),
        ("busy", ""),
    }
    assert gauges(hotpath) == {}
    assert hotpath.tally().samples_dropped == {"forgotten": 3}
    assert hotpath.tally().series == 2
    assert imbalance(hotpath, closed=5) == 0
    feed(hotpath, b"busy:+1|g\nweb.a:5|c|#k:v\nidle:+1|g")
    closed = close(hotpath)
    assert (closed["busy", Kind.GAUGE, ""].last, closed["idle", Kind.GAUGE, ""].last) == (1, 1)
    assert closed["web.a", Kind.COUNTER, "k:v"].sum == 5


def test_drain_reads_a_real_socket_and_leaves_it_open():
    hotpath = make()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        for _ in range(70):
            sender.sendto(b"a:1|c", receiver.getsockname())
        assert [hotpath.drain(receiver.fileno(), NOW) for _ in range(3)] == [32, 32, 6]
        assert hotpath.drain(receiver.fileno(), NOW) == 0
    name_all(hotpath)
    assert hotpath.tally().accepted == 70


def test_a_truncated_datagram_loses_its_last_line():
    hotpath = make()
    hotpath.feed(b"a:1|c\nb:2|c\n" + b"c" * 65_507, NOW)
    name_all(hotpath)
    tally = hotpath.tally()
    assert (tally.accepted, tally.rejected, tally.truncated_datagrams) == (2, {"truncated": 1}, 1)


def test_a_full_window_of_distinct_values_folds_in_between():
    hotpath = make()
    rng = random.Random(7)
    values = [rng.randrange(1, 10**6) / 1000 for _ in range(120_000)]
    for start in range(0, len(values), 1000):
        feed(hotpath, b"\n".join(b"t:%.3f|ms" % value for value in values[start : start + 1000]))
    rollup = close(hotpath)["t", Kind.TIMER, ""]
    assert rollup.samples == 120_000
    assert rollup.sum == pytest.approx(sum(values), rel=1e-12)
    assert rollup.quantiles.quantile(0.95) == pytest.approx(sorted(values)[int(0.95 * 120_000) - 1], rel=0.011)


lines = st.builds(
    lambda name, value, rest: b"%b:%b|%b" % (name, value, rest),
    st.sampled_from([b"a", b"b", b"c", b"reserved.x", b"dropped.x"]),
    st.sampled_from([b"1", b"2", b"+3", b"-1", b"2.5", b"x", b"1:2", b"+1:7", b""]),
    st.sampled_from(
        [
            b"c",
            b"c|@0.5",
            b"ms",
            b"ms|#t:1",
            b"ms|#t:1|@0.1",
            b"g",
            b"g|#t:1",
            b"s",
            b"c\r",
            b"c|zz",
            b"g|T1",
            b"c|T1764000000",
            b"q",
        ]
    ),
)
datagrams = st.lists(st.lists(lines, max_size=6).map(b"\n".join), max_size=12)


@given(datagrams, st.integers(1, 4))
def test_the_short_way_and_the_long_way_agree(datagrams, named_every):
    """The reference clears its line cache before every datagram, so it parses every line: the results are the same."""
    short, long = make(series_per_metric=2), make("python", series_per_metric=2)
    for number, datagram in enumerate(datagrams):
        long.delete([])
        for hotpath in (short, long):
            hotpath.feed(datagram, NOW)
            if number % named_every == 0:
                name_all(hotpath)
            assert imbalance(hotpath) == 0
    name_all(short)
    name_all(long)
    first, second = short.tally(), long.tally()
    assert first == second
    rows, others = close(short), close(long)
    assert rows.keys() == others.keys()
    for key, rollup in rows.items():
        other = others[key]
        assert (rollup.samples, rollup.min, rollup.max, rollup.last) == (
            other.samples,
            other.min,
            other.max,
            other.last,
        )
        assert rollup.sum == pytest.approx(other.sum, rel=1e-12)
        assert rollup.count == pytest.approx(other.count, rel=1e-12)


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_random_bytes_raise_nothing_and_balance(datagrams):
    hotpath = make(series_limit=10)
    for datagram in datagrams:
        hotpath.feed(datagram, NOW)
        assert imbalance(hotpath) == 0
    name_all(hotpath)
    assert imbalance(hotpath) == 0


SECTION = limits.SECTION_READ


@pytest.mark.parametrize(
    ("tags", "read", "unread"),
    [
        (b"k:v," * 100, 400, 0),
        (b"x" * SECTION, SECTION, 0),
        (b"x" * (SECTION + 1), 0, 1),
        (b"x" * SECTION + b",a:b,c:d", SECTION, 2),
        (b"abcdefg," * (SECTION // 8) + b"x:y,z", SECTION - 1, 2),
        (b"," * 60_000, SECTION, 60_000 - SECTION),
    ],
)
def test_no_more_of_a_section_is_read_than_any_client_sends_and_its_other_tags_are_counted(tags, read, unread):
    hotpath = make()
    for _ in range(2):
        feed(hotpath, b"m:1|c|#" + tags, b"m:1|c|@0.5|#" + tags, named=False)
    [identity] = hotpath.unresolved(9)
    assert identity.tags == tags[:read]
    assert hotpath.tally().tags_unread == unread


def test_of_long_datagrams_python_takes_one_at_a_time():
    """Each may have thousands of new lines, and the event loop waits for a whole batch."""
    hotpath = make("python")
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        for number in range(3):
            sender.sendto(b"\n".join(b"a%d.%d:1|c" % (number, line) for line in range(2_000)), receiver.getsockname())
        assert [hotpath.drain(receiver.fileno(), NOW) for _ in range(4)] == [1, 1, 1, 0]
    name_all(hotpath)
    assert hotpath.tally().accepted == 6_000


def test_reasons_of_one_hot_path_leave_room_for_those_of_another():
    for owner in ("first", "second"):
        hotpath, reasons = make(), {f"{owner}_{number}" for number in range(15)}
        for reason in reasons:
            hotpath.reject(b"line", reason, NOW)
        assert hotpath.tally().rejected == dict.fromkeys(reasons, 1)
        assert {line.reason for line in hotpath.rejects()} == reasons
