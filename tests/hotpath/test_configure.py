"""New limits and names while lines arrive: no sample is lost, and the new rules apply from the next line on."""

from __future__ import annotations

from relay.model import Identity, Kind, Resolution, Series
from tests.support.hotpath import NOW, SETTINGS, START, answer, close, imbalance, make, name_all


def renamed(identity: Identity) -> Resolution:
    return answer(identity._replace(name=b"new." + identity.name))


def name_anew(hotpath) -> int:
    count = 0
    while identities := hotpath.unresolved(100):
        hotpath.resolve([(identity, renamed(identity)) for identity in identities])
        count += len(identities)
    return count


def test_every_identity_is_asked_for_again_when_its_next_line_comes():
    hotpath = make()
    lines = [b"hits:1|c", b"lat:5|ms", b"users:u|s", b"temp:7|g", b"reserved.x:1|c", b"dropped.x:1|c"]
    for line in lines * 2:
        hotpath.feed(line, NOW)
    name_all(hotpath)
    hotpath.close_window(START + 60, renames=True)
    assert hotpath.settled()
    assert hotpath.closed_window().samples == 8
    assert hotpath.unresolved(100) == []
    for line in lines * 3:
        hotpath.feed(line, NOW + 60)
    hotpath.feed(b"temp:+1|g", NOW + 60)
    assert name_anew(hotpath) == 6
    assert imbalance(hotpath, closed=8) == 0
    rows = close(hotpath, START + 120)
    samples = {metric: rollup.samples for (metric, _, _), rollup in rows.items()}
    assert {name for name in samples if not name.startswith("new.")} == {"temp"}
    assert samples["temp"] == 0, "the old name of the gauge idles"
    assert {name: count for name, count in samples.items() if count} == {
        "new.hits": 3,
        "new.lat": 3,
        "new.users": 3,
        "new.temp": 4,
        "new.reserved.x": 3,
        "new.dropped.x": 3,
    }
    assert next(rollup.last for (metric, _, _), rollup in rows.items() if metric == "new.temp") == 8


def test_names_forgotten_at_an_edge_keep_what_came_before_and_after():
    hotpath = make()
    hotpath.feed(b"\n".join([b"hits:1|c"] * 40), NOW)
    name_all(hotpath)
    hotpath.feed(b"\n".join([b"hits:1|c"] * 40), NOW)
    hotpath.close_window(START + 60, renames=True)
    hotpath.feed(b"\n".join([b"hits:1|c"] * 40), NOW + 60)
    assert (hotpath.settled(), hotpath.tally().series) == (True, 0)
    assert hotpath.closed_window().samples == 80
    name_all(hotpath)
    hotpath.feed(b"hits:1|c", NOW + 60)
    assert imbalance(hotpath, closed=80) == 0
    [rollup] = close(hotpath, START + 120).values()
    assert rollup.sum == 41


def test_a_reload_at_one_edge_after_another_balances():
    """Identities are queued again while those of the previous window are still pending; a gauge continues."""
    hotpath, closed = make(), 0
    hotpath.feed(b"b:2|g", NOW)
    for window in range(1, 4):
        hotpath.feed(b"a:1|c\nb:+1|g\nc:3|ms", NOW + 60 * window)
        hotpath.close_window(START + 60 * window, renames=True)
        hotpath.feed(b"a:1|c", NOW + 60 * window)
        name_all(hotpath)
        closed += hotpath.closed_window().samples
        assert imbalance(hotpath, closed) == 0
    assert closed == 12
    rows = {metric: rollup for (metric, _, _), rollup in close(hotpath, START + 240).items()}
    assert (rows.keys(), rows["a"].sum, rows["b"].last) == ({"a", "b"}, 1, 5)


def test_limits_hold_from_now_on_and_catch_all_series_too():
    hotpath = make(series_limit=10, series_per_metric=100)
    hotpath.configure(**{**SETTINGS, "series_limit": 100})
    for number in range(60):
        hotpath.feed(b"m%d:1|c" % number, NOW)
    name_all(hotpath)
    assert (hotpath.tally().series, hotpath.tally().samples_overflow) == (60, 0)
    close(hotpath)
    hotpath.configure(**{**SETTINGS, "series_limit": 20, "catch_all": lambda kind: Series(f"last.{kind}", (), kind)})
    for number in range(60):
        hotpath.feed(b"m%d:1|c" % number, NOW + 60)
    name_all(hotpath)
    assert hotpath.tally().samples_overflow > 0
    assert imbalance(hotpath, closed=60) == 0
    rows = close(hotpath, START + 120)
    assert ("last.counter", Kind.COUNTER, "") in rows
    assert sum(rollup.sum for rollup in rows.values()) == 60


def test_a_lower_limit_of_aliases_is_reached_little_by_little():
    hotpath = make(series_limit=1000)
    for start in range(0, 2000, 100):
        hotpath.feed(b"\n".join(b"m:1|c|#t:%d" % n for n in range(start, start + 100)), NOW)
        name_all(hotpath)
    assert hotpath.tally().aliases == 2000
    hotpath.configure(**{**SETTINGS, "series_limit": 100})
    for number in range(100):
        hotpath.feed(b"n%d:1|c" % number, NOW)
        name_all(hotpath)
    assert hotpath.tally().aliases <= 400
    assert imbalance(hotpath) == 0


def test_an_idle_gauge_follows_a_new_duration():
    hotpath = make(idle_gauge_ttl=0.0)
    hotpath.feed(b"temp:7|g", NOW)
    name_all(hotpath)
    close(hotpath)
    hotpath.configure(**SETTINGS)
    assert [rollup.last for rollup in close(hotpath, START + 120).values()] == [7]
