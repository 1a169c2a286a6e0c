"""Rules: which is followed, and what becomes of name, tags and namespace; against a loop that tries one by one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from relay.config.schema import RuleConfig
from relay.model import Identity, Kind, NoSeries, Resolution, Series
from relay.naming.ruleset import RuleMatch, Ruleset
from tests.naming.test_namer import exported, make

if TYPE_CHECKING:
    from relay.naming import Namer


def named(*rules: RuleConfig, **changes) -> Namer:
    return make(rules=Ruleset(rules, re2=re2), **changes)


def series(namer: Namer, name: bytes, section: bytes = b"", kind: Kind = Kind.COUNTER) -> Series:
    answer = namer.resolve(Identity(name, kind, section))
    assert isinstance(answer, Resolution)
    return answer.series


def dimensions(rule: RuleConfig, section: bytes, name: bytes = b"a.b", **changes) -> dict[str, str]:
    return dict(series(named(rule, **changes), name, section).dimensions)


# --- which rule -------------------------------------------------------------------------------------------------------

PATTERNS = st.one_of(
    st.sampled_from(["a.*", "*.b", "a.b", "**", "a.**", "*", "*.*.c"]).map(lambda text: ("match", text)),
    st.sampled_from(["a", "^b", "c$", r"^a\.[^.]+$", "."]).map(lambda text: ("regex", text)),
)
RULES = st.lists(
    st.builds(lambda pattern, type_: RuleConfig(**dict([pattern]), type=type_), PATTERNS, st.sampled_from(["", *Kind])),
    max_size=12,
)
NAMES = st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=4).map(".".join)


def naive(rules: list[RuleConfig], name: str, kind: Kind) -> RuleMatch:
    """The first that matches, tried one by one."""
    parts = {"*": "([^.]*)", "**": "(.*)"}
    for number, rule in enumerate(rules, 1):
        glob = r"\.".join(parts.get(part, re.escape(part)) for part in rule.match.split("."))
        found = re.search(rule.regex, name) if rule.regex else re.fullmatch(glob, name)
        if found and rule.type in ("", kind):
            return RuleMatch(number, found.groups())
    return RuleMatch(0, ())


@given(RULES, NAMES, st.sampled_from(list(Kind)))
def test_the_first_that_matches_is_followed(rules, name, kind):
    assert Ruleset(rules, re2=re2).find(name, kind) == naive(rules, name, kind)


def test_a_regex_between_globs_has_its_place():
    rules = [RuleConfig(match="a.b"), RuleConfig(regex="^a"), RuleConfig(match="a.*"), RuleConfig(match="**")]
    found = [Ruleset(rules, re2=re2).find(name, Kind.SET).number for name in ("a.b", "a.c", "b.c")]
    assert found == [1, 2, 4]


def test_the_name_is_matched_as_received_without_inline_tags():
    namer = named(RuleConfig(match="web-1.*", metric="m.$1"), prefix="app")
    assert series(namer, b"web-1.hits;env=x").metric == "app.m.hits"
    assert series(namer, b"app.web_1.hits").metric == "app.app.web_1.hits"


# --- what becomes of the name -----------------------------------------------------------------------------------------


def test_captures_make_metric_and_tags():
    rule = RuleConfig(match="web.*.request.**", metric="web.request", tags={"service": "$1", "path": "${2}-x"})
    found = series(named(rule), b"web.shop.request.GET.cart")
    assert (found.metric, dict(found.dimensions)) == (
        "web.request",
        {"host": "h1", "service": "shop", "path": "GET.cart_x"},
    )
    assert series(named(rule), b"web.shop.other").metric == "web.shop.other"


def test_a_mapped_name_is_made_legal_and_prefixed():
    namer = named(RuleConfig(match="a.*", metric="x/$1"), prefix="app", kind_prefixes={Kind.TIMER: "timers"})
    assert series(namer, b"a.b c").metric == "app.x_b_c"
    assert series(namer, b"a.b c", kind=Kind.TIMER).metric == "app.timers.x_b_c"
    assert series(namer, b"b", kind=Kind.TIMER).metric == "app.timers.b"
    assert series(named(kind_prefixes={Kind.SET: "s"}), b"b", kind=Kind.SET).metric == "s.b"


def test_a_mapping_to_nothing_or_to_a_reserved_name_is_rejected():
    namer = named(RuleConfig(regex=r"^(\W*)$", metric="$1"), RuleConfig(match="own", metric="statsd_relay.x"))
    assert namer.resolve(Identity(b"..", Kind.GAUGE, b"")) != NoSeries("empty_name", rejects=True)
    assert namer.resolve(Identity(b"!!", Kind.GAUGE, b"")) == NoSeries("empty_name", rejects=True)
    assert namer.resolve(Identity(b"own", Kind.GAUGE, b"")) == NoSeries("reserved_name", rejects=True)


def test_strict_names_are_those_that_rules_made():
    namer = named(RuleConfig(match="a-b", metric="a.b"), strict=True)
    assert series(namer, b"a-b").metric == "a.b"
    assert namer.resolve(Identity(b"c-d", Kind.GAUGE, b"")) == NoSeries("no_legal_name", rejects=False)


@pytest.mark.parametrize(
    ("rule", "section", "is_sent"),
    [
        (RuleConfig(match="**"), b"city:\xe5\x8c\x97", False),
        (RuleConfig(match="**", drop_tags=["city"]), b"city:\xe5\x8c\x97", True),
        (RuleConfig(match="**", drop_tags=["a_b"]), b"a-b:1", True),
        (RuleConfig(match="**", drop_tags=["*"], keep_tags=["ok"]), b"a-b:1,ok:1", True),
        (RuleConfig(match="**", rename_tags={"a_b": "ab"}), b"a-b:1", True),
        (RuleConfig(match="**", rename_tags={"a_b": "ab"}), b"a-b:x/y", False),
        (RuleConfig(match="**", tags={"city": "x"}), b"city:\xe5\x8c\x97", True),
        (RuleConfig(match="**", tags={"city": "x/y"}), b"", False),
        (RuleConfig(match="**", tags={"name": "$1"}), b"", True),
        (RuleConfig(match="**"), b"a:x/y,a:1", True),
    ],
)
def test_strict_tags_are_those_that_rules_made(rule, section, is_sent):
    answer = named(rule, strict=True).resolve(Identity(b"a.b", Kind.GAUGE, section))
    assert isinstance(answer, Resolution) == is_sent
    assert is_sent or answer == NoSeries("no_legal_name", rejects=False)


def test_the_overflow_series_follows_the_mapped_name():
    namer = named(RuleConfig(match="user.*.**", metric="user.$2", tags={"id": "$1"}, namespace="shop"))
    answer = namer.resolve(Identity(b"user.8125.logins", Kind.COUNTER, b""))
    assert answer.overflow == Series(
        "user.logins", (("host", "h1"), ("overflow", "true")), Kind.COUNTER, namespace="shop"
    )
    assert answer.series.namespace == "shop"


def test_a_dropped_identity_is_a_sink_and_no_class_is_taken():
    namer = named(RuleConfig(match="debug.**", action="drop"), RuleConfig(regex="tmp", type="gauge", action="drop"))
    for name, kind, rule in ((b"debug.x", Kind.TIMER, 1), (b"a.tmp.b", Kind.GAUGE, 2)):
        assert namer.resolve(Identity(name, kind, b"a:b")) == NoSeries("rule", rejects=False, rule=rule)
    assert series(namer, b"a.tmp.b").metric == "a.tmp.b"
    assert exported(namer) == b"counter a.tmp.b\n"


# --- what becomes of tags ---------------------------------------------------------------------------------------------

MANY = b"a:1,b:2,c:3,d:4,e:5,z:9"


def test_kept_tags_go_first():
    assert dimensions(RuleConfig(match="**"), MANY) == {"host": "h1", "a": "1", "b": "2", "c": "3", "d": "4"}
    kept = dimensions(RuleConfig(match="**", keep_tags=["z", "d"]), MANY)
    assert kept == {"host": "h1", "z": "9", "d": "4", "a": "1", "b": "2"}


def test_the_order_of_importance_is_host_own_kept_others_defaults():
    rule = RuleConfig(match="*.*", tags={"own": "$1"}, keep_tags=["z"])
    found = dimensions(rule, b"b:2,z:9", tags={"host": "h1", "env": "prod", "zone": "n"})
    assert found == {"host": "h1", "own": "a", "z": "9", "b": "2", "env": "prod"}
    assert dimensions(rule, MANY) == {"host": "h1", "own": "a", "z": "9", "a": "1", "b": "2"}


def test_tags_are_dropped_and_defaults_are_not():
    assert dimensions(RuleConfig(match="**", drop_tags=["a", "nope"]), b"a:1,b:2") == {"host": "h1", "b": "2"}
    rule = RuleConfig(match="**", drop_tags=["*"], keep_tags=["b"])
    assert dimensions(rule, b"a:1,b:2,host:other", b"x;c=3") == {"host": "h1", "b": "2"}


def test_tags_are_renamed_and_stay_kept():
    rule = RuleConfig(match="**", rename_tags={"z": "a0", "user-id": "user"}, keep_tags=["z"])
    assert dimensions(rule, b"z:9,user-id:u,b:2") == {"host": "h1", "a0": "9", "user": "u", "b": "2"}
    assert next(iter(named(rule).trace(Identity(b"x", Kind.SET, MANY)).unsent)) == "d"


def test_a_rules_own_tag_beats_the_lines_and_one_of_nothing_is_none():
    rule = RuleConfig(regex=r"^a\.(x)?", tags={"k": "own", "empty": "$1"})
    assert dimensions(rule, b"k:line", b"a.b") == {"host": "h1", "k": "own"}
    assert dimensions(RuleConfig(match="*.*", tags={"host": "$2"}), b"host:line") == {"host": "b"}


# --- what is seen -----------------------------------------------------------------------------------------------------


def test_hits_and_unmatched_names():
    namer = named(RuleConfig(match="a.*"), RuleConfig(match="b.*", action="drop"), RuleConfig(match="c"))
    for name in (b"a.x", b"a.y", b"b.x", b"d", b"e", b"d"):
        namer.resolve(Identity(name, Kind.COUNTER, b""))
    assert list(namer.hits) == [2, 1, 0]
    assert (namer.unmatched.count, namer.unmatched.names) == (3, ("d", "e"))
    for number in range(150):
        namer.resolve(Identity(b"%d" % number * 300, Kind.COUNTER, b""))
    assert (namer.unmatched.count, len(namer.unmatched.names)) == (153, 100)
    assert namer.unmatched.names[0] == ("149" * 300)[:255]
    assert (list(named().hits), named().unmatched.count) == ([], 0)


def test_a_trace_has_each_step_and_changes_nothing():
    rule = RuleConfig(match="web.*.request.*", metric="web/request", tags={"service": "$1"}, drop_tags=["pod"])
    namer = named(RuleConfig(match="x"), rule)
    trace = namer.trace(Identity(b"web.shop.request.GET;env=x", Kind.TIMER, b"pod:1,a:2,b:3,c:4"))
    assert trace._replace(outcome=None) == (
        "web.shop.request.GET",
        [("env", "x")],
        [("pod", "1"), ("a", "2"), ("b", "3"), ("c", "4")],
        2,
        ("shop", "GET"),
        "web/request",
        ("pod",),
        ("env",),
        True,
        None,
        0,
    )
    assert trace.outcome == named(rule).resolve(Identity(b"web.shop.request.GET;env=x", Kind.TIMER, b"a:2,b:3,c:4"))
    assert (list(namer.hits), exported(namer)) == ([0, 0], b"")
    assert namer.trace(Identity(b"y", Kind.SET, b"")).rule == 0
    assert namer.unmatched.count == 0


def test_what_a_rule_removes_is_not_counted_as_lost():
    namer = named(RuleConfig(match="**", drop_tags=["a", "b"]))
    series(namer, b"x", MANY)
    assert namer.ledger.tags_dropped == 0
    series(named(RuleConfig(match="q")), b"x", MANY)
    assert named(RuleConfig(match="q")).trace(Identity(b"x", Kind.SET, MANY)).unsent == ("e", "z")


@pytest.mark.parametrize("kind", list(Kind))
def test_the_type_filter(kind):
    rules = [RuleConfig(match="a.**", type=kind, metric="m"), RuleConfig(regex="a", type=kind, metric="r")]
    found = {other: series(named(*rules), b"a.b", kind=other).metric for other in Kind}
    assert found == {**dict.fromkeys(Kind, "a.b"), kind: "m"}
