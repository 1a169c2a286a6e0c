"""The trace of a line, step by step: what each row says, and that no line breaks it."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config.schema import Config, ListenConfig, NamesConfig, RuleConfig
from relay.daemon.explain.text import name_rows, rows
from relay.daemon.explain.trace import trace_line, trace_name
from relay.hotpath.explain import EXPLANATIONS
from relay.model import Kind

NOW = 1_764_000_030.0
LONG = "x" * 300
BAD_EVENT = f"bad_event: {EXPLANATIONS['bad_event']}"
LATE_GAUGE = "late_gauge: it is older than the known value of this gauge"
LATE = "its time lies in another window; it joins the open one"
ASCII = "characters that the API refuses become _ or are removed"
CLAMPED = "{} of these: the API allows at most 9223372036854774784 in magnitude"
NOTHING = "no legal character is left in its key or value"
PUNYCODE = "parts beyond ASCII become xn__ and their Punycode"
CONFIG = Config(tags={"host": "h"})


def told(line: bytes, config: Config = CONFIG) -> list[str]:
    return [str(row) for row in rows(trace_line(config, line, NOW), config)]


def row(label: str, line: bytes, config: Config = CONFIG) -> list[str]:
    """The texts of the rows with this label."""
    return [text[12:] for text in told(line, config) if text[:12].rstrip() == label]


def changed(**changes) -> Config:
    return msgspec.structs.replace(CONFIG, **changes)


@pytest.mark.parametrize(
    ("line", "label", "text"),
    [
        (b"a:1|c", "counter", "1"),
        (b"a:1|c|@0.1", "counter", "1, rate 0.1: weight 10"),
        (b"a:1:2:3|h", "timer", "1 2 3"),
        (b"a:" + b":".join([b"7"] * 20) + b"|ms", "timer", "7 7 7 7 7 7 7 7 and 12 more"),
        (b"a:+2|g", "gauge", "+2, a change of its last value, which is 0 here ([listen] gauge_deltas = true)"),
        (b"a:2|g|@0.5", "gauge", "2; its rate has no effect"),
        (b"a:\x1b[2J|s", "set", r"\x1b[2J"),
        (b"a:1|c", "dialect", "StatsD"),
        (b"a:1|c|#k:v", "dialect", "DogStatsD 1.0"),
        (b"a:1:2|c", "dialect", "DogStatsD 1.1"),
        (b"a:1|c|c:abc", "dialect", "DogStatsD 1.2"),
        (b"a:1|c|T1764000001", "dialect", "DogStatsD 1.3"),
        (b"a:1|c|c:in-1", "dialect", "DogStatsD 1.4"),
        (b"a:1|c|e:x|c:y", "dialect", "DogStatsD 1.5"),
        (b"a:1|c|card:low|#k:v", "dialect", "DogStatsD 1.6"),
        (b"a:1|c|T1764000001", "time", "2025-11-24T16:00:01+00:00"),
        (b"a:1|c|zz|#k:v|c:abc", "unused", "zz c:abc"),
        (b"a;x=1:1|c|#k:v,live", "tags", "x=1 k=v live=true"),
        (b"a:1|c", "rule", "no rule is configured"),
        (b"a b/c:1|c", "name", "a b/c becomes a_b_c: characters that the API refuses become _ or are removed"),
        (LONG.encode() + b":1|c", "name", f"{LONG} becomes {LONG[:246]}.7d4c4392: cut to 255 bytes with a hash"),
        (b"a:1|c|#a-b:c d", "rewritten", "a-b=c d becomes a_b=c_d"),
        ("näme:1|c".encode(), "name", rf"n\xc3\xa4me becomes xn__nme_qla: {PUNYCODE}"),
        ("a b.ä:1|c".encode(), "name", rf"a b.\xc3\xa4 becomes a_b.xn__4ca: {ASCII}, {PUNYCODE}"),
        ("a:1|c|#k:ä".encode(), "rewritten", rf"k=\xc3\xa4 becomes k=xn__4ca: {PUNYCODE}"),
        (b"a:1|c|#k:", "removed", f"k=: {NOTHING}"),
        (b"a;k=0:1|c|#k:1,k:", "removed", f"k=0: a later tag has its key&k=: {NOTHING}"),
        (b"a:1|c|#f:1,e:1,d:1,c:1,b:1", "removed", "f: the API allows 5 tags, 255 bytes in all"),
        (b"a:1|c|#k:v", "dimensions", "host=h k=v  (2 of 5, 11 of 255 bytes)"),
        (b"a:1|c", "class", "a.counter if a timer, gauge or set had the name first"),
        (b"a:3|c", "sent as", "statsd/a  type 2  sum 3  count 1  avg 3  min 3  max 3  last 3"),
        (b"a:18446744073709551615|g", "clamped", CLAMPED.format(5)),
        (b"a:-1e308:-1e308|c", "clamped", CLAMPED.format(5)),
        (b"a:1|c", "clamped", ""),
        (b"a:1|c|T1763999999", "late", "its time lies in another window; it joins the open one"),
        (b"a:1|g|T1763999999", "late", LATE),
        (b"a:1|g:2|g|T1764000010", "dropped", LATE_GAUGE),
        (b"a:1|c|T1", "dropped", "too_old: its time is older than [cloud] max_age"),
        (b"a:1|c|T1764009999", "dropped", "too_far_ahead: its time is more than a minute ahead"),
        (b"_e{1,1}:a|b", "event", "a DogStatsD event or service check is counted and makes no metric"),
        (b"\xe9:1|c", "rejected", "empty_name: there is no name, or nothing legal is left of it"),
        (b"a:1|c\r", "counter", "1"),
        (b"a:1|c \t", "counter", "1"),
        (b"d:1|c|#x:y ", "tags", "x=y"),
        (b"_sc|agent.up|OK", "rejected", BAD_EVENT),
    ],
)  # fmt: skip
def test_what_a_row_says(line, label, text):
    assert row(label, line) == [found for found in text.split("&") if found]


def test_settings_that_a_line_meets():
    assert row("name", b"web-hits:1|c", changed(names=NamesConfig(prefix="app"))) == [
        "web-hits becomes app.web_hits: characters that the API refuses become _ or are removed, prefix app."
    ]
    strict = changed(listen=ListenConfig(names="strict"))
    assert row("dropped", b"web-hits:1|c", strict) == [
        'no_legal_name: its name or a tag has characters that the API refuses, and [listen] names = "strict"'
    ]
    assert row("sent as", b"web-hits:1|c", strict) == []
    many = changed(tags={"host": "h", **dict.fromkeys("vwxyz", "1")})
    assert row("removed", b"a:1|c|#z:2", many) == ["y: the API allows 5 tags, 255 bytes in all"]
    absolute = changed(listen=ListenConfig(gauge_deltas=False))
    says = "its value: a sign is part of it ([listen] gauge_deltas = false)"
    assert row("gauge", b"a:+2|g", absolute) == [f"+2, {says}"]
    assert row("gauge", b"a:1:-2|g", absolute) == [f"1 -2, {says}"]
    assert row("gauge", b"a:2|g", absolute) == ["2"]
    [point] = trace_line(absolute, b"a:-2:-3|g", 1_764_000_001.0).points
    assert point["values"]["last"] == -3
    none = changed(tags={})
    assert row("dimensions", b"a:1|c", none) == ["source=statsd_relay: there is no tag, and the API requires one"]


@pytest.mark.parametrize(
    ("line", "off"),
    [(b"a#k=v:1|c", "librato"), (b"a[k=v]:1|c", "signalfx"), (b"a,k=v:1|c", "influx"), (b"a:1|c|#k:v", "dogstatsd")],
)
def test_tags_of_a_dialect_that_is_off(line, off):
    config = changed(listen=ListenConfig(dialects=["statsd", "graphite"]))
    assert row("", line, config) == [f"tags of {off} are not read: [listen] dialects does not name it"]
    assert row("tags", line, config) == []


def test_what_a_rule_does_is_told():
    rule = RuleConfig(match="jobs.*", metric="job", tags={"kind": "$1"}, keep_tags=["z"], namespace="app")
    config = changed(rule=[RuleConfig(match="web.**"), rule])
    line = b"jobs.mail:1|c|#a:1,b:2,c:3,d:4,z:9"
    assert told(line, config)[3:] == [
        "rule 2      jobs.*  $1=mail",
        '            metric = "job", tags = { kind = "$1" }, keep_tags = ["z"], namespace = "app"',
        "name        jobs.mail becomes job: rule 2",
        "removed     c d: the API allows 5 tags, 255 bytes in all",
        "dimensions  a=1 b=2 host=h kind=mail z=9  (5 of 5, 29 of 255 bytes)",
        "class       job.counter if a timer, gauge or set had the name first",
        "sent as     app/job  type 2  sum 1  count 1  avg 1  min 1  max 1  last 1",
    ]
    assert row("rule", b"other:1|c", config) == ["no rule matches"]


def test_types_that_go_another_way_are_told_apart():
    config = changed(names=NamesConfig(timer_prefix="timers"))
    told = [str(one) for one in name_rows(trace_name(config, b"a", NOW), config)]
    assert [text for text in told if text.startswith(("as a", "name", "timer"))] == [
        "as a        counter, gauge, set",
        "as a        timer",
        "name        a becomes timers.a: prefix timers.",
        "timer       statsd/timers.a      type 2  sum  count  avg  min  max  last",
    ]


def test_a_line_with_two_types_shows_which_one_keeps_the_name():
    assert row("class", b"x:1|c:2|ms") == [
        "x.counter if a timer, gauge or set had the name first",
        "its name belongs to another type, so .timer is added",
    ]
    assert [point["metric"] for point in trace_line(CONFIG, b"x:1|c:2|ms", NOW).points] == [
        "x",
        "x.timer",
        "x.timer.p95",
    ]


def test_a_bad_line_shows_where_reading_stopped():
    assert told(b"web.hits:1x|c") == [
        "rejected    bad_value: not a number, too large for one, or longer than 64 bytes",
        "            web.hits:1x|c",
        "                      ^",
    ]


def test_types_that_go_the_same_way_are_told_together():
    config = changed(names=NamesConfig(prefix="app"))
    assert [str(one) for one in name_rows(trace_name(config, b"a/b", NOW), config)] == [
        "as a        counter, timer, gauge, set",
        "rule        no rule is configured",
        "name        a/b becomes app.a_b: characters that the API refuses become _ or are removed, prefix app.",
        "dimensions  host=h  (1 of 5, 7 of 255 bytes)",
        "counter     statsd/app.a_b      type 2  sum  count  avg  min  max  last",
        "timer       statsd/app.a_b      type 2  sum  count  avg  min  max  last",
        "            statsd/app.a_b.p95  type 2  sum  count  avg  min  max  last",
        "gauge       statsd/app.a_b      type 2  sum  count  avg  min  max  last",
        "set         statsd/app.a_b      type 2  sum  count  avg  min  max  last",
    ]


lines = st.one_of(
    st.binary(max_size=60),
    st.lists(st.sampled_from([*"ab;=,#T:|@.+10 \r", "|ms", "|g", "|#k:v", "-e", "statsd_relay.", "_sc|"])).map(
        lambda parts: "".join(parts).encode()
    ),
)


@given(lines.filter(lambda line: b"\n" not in line and line.strip(b" \t\r")))
def test_no_line_breaks_the_trace(line):
    found = trace_line(CONFIG, line, NOW)
    told = [str(one) for one in rows(found, CONFIG)]
    assert all(text.isascii() and text.isprintable() for text in told), told
    assert (found.verdict == "sent") == bool(found.points)
    assert found.parts or found.verdict in ("rejected", "event")
    assert json.loads(json.dumps(found.to_json()))["verdict"] == found.verdict


@given(st.binary(max_size=40))
def test_no_name_breaks_the_trace(name):
    name = name.translate(None, b":|\n\r")
    walks = trace_name(CONFIG, name, NOW)
    assert walks.keys() == set(Kind)
    assert all(str(one).isascii() and str(one).isprintable() for one in name_rows(walks, CONFIG))
