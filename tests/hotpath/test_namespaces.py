"""A namespace is part of a series: in windows, overflow, partials and gauges' bases; older files are read."""

from __future__ import annotations

import msgspec
import pytest

from relay.hotpath import partial
from relay.model import Kind, Resolution, Series
from tests.support.hotpath import NOW, catch_all, exported, imbalance, make

LINES = b"m:1|c\nm:2|c|#web\nm:4|c|#web\nm:8|c|#db\ng:1|g\ng:2|g|#web\ng:+3|g|#web\nt:5|ms|#db\ns:a|s|#db"
COUNTERS = {("m", ""): 1, ("m", "web"): 6, ("m", "db"): 8}
SUMS = {**COUNTERS, ("g", ""): 1, ("g", "web"): 2 + 5, ("t", "db"): 5, ("s", "db"): 1}


def name_all(hotpath, *, dimensions=(("host", "h"),)):
    """The tag section is the namespace; the part of a name after a slash is a dimension."""
    while identities := hotpath.unresolved(100):
        for identity in identities:
            metric, _, user = identity.name.decode().partition("/")
            pairs = (*dimensions, ("user", user)) if user else dimensions
            series = Series(metric, pairs, identity.kind, namespace=identity.tags.decode())
            hotpath.resolve([(identity, Resolution(series, series._replace(dimensions=(("overflow", "true"),))))])


def fed(lines: bytes = LINES, implementation: str | None = None, **changes):
    hotpath = make(implementation, **changes)
    hotpath.feed(lines, NOW)
    name_all(hotpath)
    return hotpath


def rows(hotpath) -> dict[Series, float]:
    hotpath.close_window(1_764_000_060)
    name_all(hotpath)
    assert hotpath.settled()
    return {series: rollup.sum for series, rollup in hotpath.closed_window().rows}


def sums(hotpath) -> dict[tuple[str, str], float]:
    return {(series.metric, series.namespace): total for series, total in rows(hotpath).items()}


def test_the_same_metric_in_two_namespaces_is_two_series():
    hotpath = fed()
    assert hotpath.tally().series == len(SUMS)
    assert sums(hotpath) == SUMS
    assert imbalance(hotpath, closed=hotpath.tally().samples_accepted) == 0


def test_a_series_without_dimensions_keeps_its_namespace():
    hotpath = make()
    hotpath.feed(b"m:1|c|#web\nm:2|c", NOW)
    name_all(hotpath, dimensions=())
    assert rows(hotpath) == {Series("m", (), Kind.COUNTER, namespace="web"): 1, Series("m", (), Kind.COUNTER): 2}


def test_what_overflows_stays_in_its_namespace_and_a_catch_all_series_has_none():
    lines = b"\n".join(b"big/%d:1|c|#%s" % (n, namespace) for n in range(4) for namespace in (b"web", b"db"))
    found = rows(fed(lines, series_per_metric=2))
    overflow = {series.namespace: total for series, total in found.items() if ("overflow", "true") in series.dimensions}
    assert overflow == {"web": 3, "db": 3}
    found = rows(fed(b"\n".join(b"m%d:1|c|#web" % n for n in range(30)), series_limit=10))
    assert [series for series in found if not series.namespace] == [catch_all(Kind.COUNTER)]


def test_answers_that_share_their_overflow_dimensions_keep_their_namespaces():
    hotpath, dimensions = make(series_per_metric=1), (("host", "h"), ("overflow", "true"))
    hotpath.feed(b"m/a:1|c|#web\nn/a:1|c\nn/b:1|c", NOW)
    answers = []
    for identity in hotpath.unresolved(100):
        metric, _, user = identity.name.decode().partition("/")
        series = Series(metric, (("user", user),), identity.kind, namespace=identity.tags.decode())
        answers.append((identity, Resolution(series, series._replace(dimensions=dimensions))))
    hotpath.resolve(answers)
    assert Series("n", dimensions, Kind.COUNTER) in rows(hotpath)


@pytest.mark.parametrize("reader", ["python", "native"])
def test_a_partial_keeps_the_namespace_for_either_hot_path(reader):
    before, after = fed(), make(reader)
    assert after.merge(exported(before)) == 0
    assert rows(after) == rows(before)
    once_more = make(reader)
    assert once_more.merge(b"".join(before.export_gauges())) == 0
    once_more.feed(b"g:+1|g|#web\ng:+1|g\ng:+1|g|#db", NOW)
    name_all(once_more)
    assert sums(once_more) == {("g", "web"): 6, ("g", ""): 2, ("g", "db"): 1}


def test_the_newest_record_of_each_namespace_recovers():
    before = fed()
    checkpoint = exported(before, changed=True)
    before.feed(b"m:1|c\nm:1|c|#db", NOW)
    after = make()
    recovery = after.recover(checkpoint + exported(before, changed=True))
    assert ("m", Kind.COUNTER, "") in recovery.owners
    assert ("m", Kind.COUNTER, "db") in recovery.owners
    assert sums(after) == {**SUMS, ("m", ""): 2, ("m", "db"): 9}


def test_files_from_before_there_were_namespaces_are_read():
    dimensions = (("host", "h"),)
    rollup = ["m", dimensions, "counter", False, 2, 2.0, 3.0, 1.0, 2.0, 2.0, NOW, None, None, b""]
    gauge = ["g", dimensions, False, 40.0, 1_764_000_000]
    stored = partial.wrap(msgspec.msgpack.encode([1_764_000_000, [rollup], [gauge]]))
    hotpath = make()
    assert hotpath.merge(stored) == 0
    hotpath.feed(b"g:+2|g\nm:1|c", NOW)
    name_all(hotpath)
    assert rows(hotpath) == {Series("m", dimensions, Kind.COUNTER): 4, Series("g", dimensions, Kind.GAUGE): 42}
    recovered = make()
    assert recovered.recover(stored).owners == [("m", Kind.COUNTER, "")]
