"""Namer: characters, tags, lengths, classes; and a property that no input escapes putMetricData."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config.schema import RuleConfig
from relay.ledger import Ledger
from relay.model import Identity, Kind, NoSeries, Resolution, Series
from relay.naming import Namer, NamingSettings
from relay.naming.classes import Classes
from relay.naming.dimensions import choose
from relay.naming.ruleset import Ruleset
from relay.naming.tags import SectionCache

LEGAL = re.compile(r"[0-9A-Za-z._]+")


def make(*, rules=None, ledger=None, **changes) -> Namer:
    settings = {
        "prefix": "",
        "kind_prefixes": {},
        "tags": {"host": "h1"},
        "dialects": ["statsd", "dogstatsd", "graphite", "influx"],
        "strict": False,
        "reserved_prefix": "statsd_relay",
        "classes_limit": 1000,
        "classes_memory": 1 << 20,
    }
    rules = Ruleset([], re2=None) if rules is None else rules
    return Namer(NamingSettings(**{**settings, **changes}), rules, ledger=ledger or Ledger())


def counts(ledger: Ledger) -> tuple:
    return ledger.names_rewritten, ledger.tags_dropped, ledger.examples


def series(name: bytes, section: bytes = b"", **changes) -> Series:
    answer = make(**changes).resolve(Identity(name, Kind.COUNTER, section))
    assert isinstance(answer, Resolution)
    return answer.series


def exported(namer: Namer) -> bytes:
    return b"".join(namer.export_classes())


def dimensions(name: bytes, section: bytes = b"", **changes) -> dict[str, str]:
    return dict(series(name, section, **changes).dimensions)


@pytest.mark.parametrize(
    ("raw", "metric"),
    [
        (b"web.hits", "web.hits"),
        (b"web hits  now", "web_hits_now"),
        (b"web/hits-now", "web_hits_now"),
        (b"web\xc3\xa9.hits!", "xn__web_dma.hits"),
        (b"__proto__", "__proto__"),
        (b"web;env=prod", "web"),
        (b"web,env=prod", "web"),
        (b"web;prod", "webprod"),
        (b"a\x00b", "ab"),
    ],
)
def test_a_name_becomes_legal(raw, metric):
    assert series(raw).metric == metric


@pytest.mark.parametrize("raw", [b"!!!", b"\xff\xfe", b";k=v", b"\xe6\x97"])
def test_a_name_without_a_legal_character_is_rejected(raw):
    assert make().resolve(Identity(raw, Kind.COUNTER, b"")) == NoSeries("empty_name", rejects=True)


def test_the_relays_own_names_are_reserved():
    assert make().resolve(Identity(b"statsd_relay.x", Kind.GAUGE, b"")) == NoSeries("reserved_name", rejects=True)
    assert series(b"statsd_relay_x").metric == "statsd_relay_x"
    assert series(b"statsd_relay.x", prefix="app").metric == "app.statsd_relay.x"


def test_strict_names_are_dropped_not_rewritten():
    assert make(strict=True).resolve(Identity(b"a-b", Kind.GAUGE, b"")) == NoSeries("no_legal_name", rejects=False)
    assert series(b"a.b", strict=True).metric == "a.b"


@pytest.mark.parametrize("section", [b"city:\xe5\x8c\x97", b"a-b:1", b"url:x/y", b"ok:1,!:2", b"a:\xff"])
def test_strict_covers_keys_and_values_as_well_as_names(section):
    sink = NoSeries("no_legal_name", rejects=False)
    assert make(strict=True).resolve(Identity(b"a", Kind.GAUGE, section)) == sink
    inline = b"a;" + section.replace(b":", b"=").replace(b",", b";")
    assert make(strict=True).resolve(Identity(inline, Kind.GAUGE, b"")) == sink
    assert dimensions(b"a", b"a.b:c_1,live", strict=True, tags={"host": "a-b"}) == {
        "host": "a_b",
        "a.b": "c_1",
        "live": "true",
    }


def test_the_log_has_one_metric_of_what_was_rewritten_or_not_sent():
    ledger = Ledger()
    namer = make(ledger=ledger, prefix="app")
    namer.resolve(Identity("订单".encode(), Kind.COUNTER, b""))
    namer.resolve(Identity(b"x-y", Kind.COUNTER, b""))
    assert ledger.examples.pop("rewritten") == {
        "metric": "app.xn__4kr132k",
        "received": "订单",
        "sent_as": "app.xn__4kr132k",
    }
    namer.resolve(Identity(b"m", Kind.COUNTER, b"ok:1,a\x00-b:" + b"c/" * 100))
    told = ledger.examples.pop("rewritten")
    assert told == {"metric": "app.m", "received": f"a\\x00-b:{'c/' * 57}c...", "sent_as": f"a_b:{'c_' * 58}..."}
    namer.resolve(Identity(b"m", Kind.COUNTER, b"a:1,b:2,c:3,d:4,status:5,workspace:6"))
    assert ledger.examples == {"unsent": {"metric": "app.m", "kept": "a b c d host", "not_sent": "status workspace"}}
    assert (ledger.names_rewritten, ledger.tags_dropped) == (3, 2)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (b"", {}),
        (b"env:prod", {"env": "prod"}),
        (b"live", {"live": "true"}),
        (b"a=1", {"a": "1"}),
        (b"a=1,a=2", {"a": "2"}),
        (b"a=b=c", {"a": "b_c"}),
        (b"a:b=c", {"a": "b_c"}),
        (b"a=b:c", {"ab": "c"}),
        (b"a=,=b,=", {}),
        (b"a:1,,b:2,", {"a": "1", "b": "2"}),
        (b"url:http://x/y", {"url": "http___x_y"}),
        (b"a:1,a:2", {"a": "2"}),
        (b"dd.internal.entity_id:x,a:1", {"a": "1"}),
        (b"a:", {}),
        (b":v", {}),
        (b"a-b:x", {"a_b": "x"}),
    ],
)
def test_the_tag_section(tags, expected):
    assert dimensions(b"m", tags) == {"host": "h1", **expected}


def test_the_section_beats_inline_tags_and_a_line_beats_the_defaults():
    assert dimensions(b"m;env=a", b"env:b")["env"] == "b"
    assert dimensions(b"m", b"env:line,host:mine", tags={"host": "h1", "env": "conf"}) == {
        "env": "line",
        "host": "mine",
    }


def test_opt_in_dialects():
    on = ["librato", "signalfx"]
    assert dimensions(b"m#a=1,b=2", dialects=on) == {"host": "h1", "a": "1", "b": "2"}
    assert series(b"m[a=1,b=2].rest", dialects=on).metric == "m.rest"
    assert series(b"m[a=1", dialects=on).metric == "ma1"
    assert dimensions(b"m", b"a:1", dialects=["statsd"]) == {"host": "h1"}


def test_five_tags_are_kept_in_a_fixed_order():
    ledger = Ledger()
    kept = dimensions(b"m", b"f:6,e:5,d:4,c:3,b:2", tags={"host": "h1", "zone": "z"}, ledger=ledger)
    assert kept == {"host": "h1", "b": "2", "c": "3", "d": "4", "e": "5"}
    assert ledger.tags_dropped == 1


def test_too_many_bytes_drop_from_the_end():
    assert dimensions(b"m", b"a:" + b"x" * 200 + b",b:" + b"y" * 60) == {"host": "h1", "a": "x" * 200}


def test_there_is_always_a_dimension():
    assert series(b"m", tags={}).dimensions == (("source", "statsd_relay"),)
    assert len(dimensions(b"m", tags={"host": "h" * 400})["host"]) == 249


def test_long_names_stay_different():
    first, second = series(b"x" * 400 + b"a"), series(b"x" * 400 + b"b")
    assert first.metric != second.metric
    assert len(first.metric) == len(second.metric) == 255


def test_the_bare_name_belongs_to_the_class_first_seen():
    namer = make()

    def metric(kind: Kind, namer: Namer = namer) -> tuple[str, bool]:
        answer = namer.resolve(Identity(b"x", kind, b""))
        return answer.series.metric, answer.series.derived

    assert metric(Kind.TIMER) == ("x", False)
    assert metric(Kind.GAUGE) == ("x.gauge", True)
    assert metric(Kind.TIMER) == ("x", False)
    after_restart = make()
    after_restart.load_classes(exported(namer) + b"\nnonsense\n\xff x")
    assert metric(Kind.GAUGE, after_restart) == ("x.gauge", True)


def test_classes_are_bounded_and_forget_the_least_recently_used():
    namer = make(classes_limit=2)
    for name in (b"a", b"b", b"a", b"c"):
        namer.resolve(Identity(name, Kind.COUNTER, b""))
    assert exported(namer) == b"counter a\ncounter c\n"


def test_classes_of_long_names_are_bounded_in_bytes():
    namer = make(classes_memory=3 * 400)
    for name in (b"a", b"b" * 200, b"c" * 200, b"d" * 200, b"e" * 200):
        namer.resolve(Identity(name, Kind.COUNTER, b""))
    assert exported(namer) == b"".join(b"counter %b\n" % (name * 200) for name in (b"c", b"d", b"e"))


def test_classes_that_are_taken_over_keep_to_the_new_bounds():
    before, after = make(), make(classes_limit=2)
    for name in (b"a", b"b", b"c"):
        before.resolve(Identity(name, Kind.SET, b""))
    after.adopt_classes(before)
    assert exported(after) == b"set b\nset c\n"
    assert after.resolve(Identity(b"b", Kind.GAUGE, b"")).series.metric == "b.gauge"


def test_classes_may_come_and_go_while_they_are_exported():
    classes = Classes(3_000, 1 << 20)
    for number in range(3_000):
        classes.owner(f"n{number}", Kind.SET)
    parts = classes.export()
    first = next(parts)
    for number in range(2_000):
        classes.owner(f"m{number}", Kind.SET)
    assert (first + b"".join(parts)).count(b"set n") == 2_000


def test_a_name_in_two_namespaces_is_two_names():
    classes = Classes(10, 10_000)
    assert classes.owner("x", Kind.TIMER) == Kind.TIMER
    assert classes.owner("x", Kind.GAUGE, "app") == Kind.GAUGE
    assert classes.owner("x", Kind.COUNTER) == Kind.TIMER
    after_restart = Classes(10, 10_000)
    after_restart.load(b"".join(classes.export()))
    assert after_restart.owner("x", Kind.COUNTER, "app") == Kind.GAUGE
    assert after_restart.owner("x", Kind.COUNTER) == Kind.TIMER
    namer = make()
    namer.learn([("x", Kind.SET, "app"), ("x", Kind.GAUGE, "")])
    assert exported(namer) == b"set x app\ngauge x\n"


def test_overflow_series_carry_the_mark():
    answer = make(tags={"host": "h" * 400}).resolve(Identity(b"x", Kind.COUNTER, b"id:7"))
    assert dict(answer.overflow.dimensions)["overflow"] == "true"
    assert answer.overflow.metric == "x"
    assert make().overflow(Kind.SET) == Series(
        "statsd_relay.overflow.set", (("host", "h1"), ("overflow", "true")), Kind.SET
    )


identities = st.builds(Identity, st.binary(max_size=400), st.sampled_from(Kind), st.binary(max_size=600))


@given(identities, st.dictionaries(st.text(max_size=300), st.text(max_size=300), max_size=8), st.text(max_size=300))
def test_whatever_comes_in_what_goes_out_is_legal(identity, tags, prefix):
    answer = make(
        tags=tags, prefix=prefix, dialects=["dogstatsd", "graphite", "influx", "librato", "signalfx"]
    ).resolve(identity)
    if isinstance(answer, NoSeries):
        return
    for series in answer:
        assert LEGAL.fullmatch(series.metric)
        assert len(series.metric) <= 255
        assert 1 <= len(series.dimensions) <= 5
        assert sum(len(key) + len(value) + 2 for key, value in series.dimensions) <= 255
        assert all(LEGAL.fullmatch(text) for pair in series.dimensions for text in pair)
        assert list(series.dimensions) == sorted(set(series.dimensions))


@given(st.lists(st.text(alphabet="abc:", max_size=6), max_size=6), st.randoms())
def test_the_order_of_distinct_tags_never_matters(tags, random):
    keyed = list({tag.partition(":")[0]: tag for tag in tags}.values())
    shuffled = random.sample(keyed, len(keyed))
    assert dimensions(b"m", ",".join(keyed).encode()) == dimensions(b"m", ",".join(shuffled).encode())


texts = st.text("abcdefgh", min_size=1, max_size=60)
pairs = st.dictionaries(st.one_of(texts, st.just("host")), texts, max_size=7)


@given(pairs, pairs, st.lists(texts, max_size=2, unique=True))
def test_dimensions_are_the_most_important_that_fit(line, defaults, first):
    """What all fits is not put in order first; that must make no difference."""
    line = {**line, **dict.fromkeys(first, "v")}
    order = ["host", *first, *sorted(line), *sorted(defaults)]
    found, room = {}, 255
    for key in dict.fromkeys(key for key in order if key in line or key in defaults):
        room -= len(key) + len(line.get(key, defaults.get(key))) + 2
        if room < 0 or len(found) == 5:
            break
        found[key] = line.get(key, defaults.get(key))
    assert dict(choose(line, defaults, first=first)) == (found or {"source": "statsd_relay"})


legal = st.text("0123456789abcXYZ._", min_size=1, max_size=12)
ordinary = st.builds(
    lambda name, tags: Identity(name.encode(), Kind.COUNTER, ",".join(map(":".join, tags)).encode()),
    st.one_of(legal, st.text(max_size=12)),
    st.lists(st.tuples(st.one_of(legal, st.text(max_size=8)), st.one_of(legal, st.text(max_size=8))), max_size=7),
)


@given(
    st.lists(st.tuples(ordinary, st.sampled_from(Kind)), max_size=6), st.sampled_from(["", "pre.fix", "statsd_relay"])
)
def test_the_short_way_answers_as_the_long_one(identities, prefix):
    rule = Ruleset([RuleConfig(match="matches.no.name.here", action="drop")], re2=None)
    short, long = make(prefix=prefix), make(prefix=prefix, rules=rule)
    for identity, kind in identities:
        for tags in (identity.tags, b"host:x,a.b:c", b"a:1,a:2", b"a", b"a:b:c", b"dd.internal.x:y,e:f", b"a:1," * 70):
            asked = identity._replace(kind=kind, tags=tags)
            assert short.resolve(asked) == long.resolve(asked)
    assert counts(short.ledger) == counts(long.ledger)
    assert exported(short) == exported(long)


def test_no_more_tags_are_read_than_any_client_sends_and_the_others_are_dropped_tags():
    namer = make()
    tags = b",".join(b"z%03d:v" % n for n in range(100))
    answer = namer.resolve(Identity(b"x", Kind.COUNTER, b"a:1,b:2,c:3,d:4," + tags))
    assert [key for key, _ in answer.series.dimensions] == ["a", "b", "c", "d", "host"]
    assert namer.ledger.tags_dropped == 100
    assert namer.trace(Identity(b"x", Kind.COUNTER, tags)).unread == 100 - 64


@pytest.mark.parametrize("part", [b"x", b"\xff", b" -/", "\u5317".encode()])
def test_long_names_are_read_in_part_and_stay_apart(part):
    one, other = (series(part * (60_000 // len(part)) + end) for end in (b"a", b"b"))
    assert one.metric != other.metric
    assert len(one.metric) <= 255


def test_sections_that_are_known_say_the_same_and_are_bounded():
    sections = SectionCache()
    for number in range(2_500):
        text = b"k:%d,bad key:%d" % (number, number)
        assert sections.read(text) == sections.read(text)
        assert sections.read(text).pairs == {"k": f"{number}", "bad_key": f"{number}"}
    sections.read(b"x:" + b"y" * 600)
    assert sections.size == 501
