"""mapping.yml of statsd_exporter: mappings compared with a model of its search tree."""

from __future__ import annotations

import json
import re

import pytest
import re2
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

from relay.model import Kind
from tests.support.imports import Rules, by_hand, imported, of_text, said, settings, verdicts


def of_mappings(*mappings: dict, **defaults):
    return of_text(json.dumps({"defaults": defaults, "mappings": list(mappings)}), "statsd_exporter")


def test_mapping_yml():
    builder = imported("mapping.yml")
    found = settings(builder)
    assert found["rule"] == [
        {"match": "jobs.*.duration", "type": "timer", "metric": "job_duration", "tags": {"job": "${1}"}},
        {"regex": "^memory[.]([^.]*)[.]([^.]*)_kb$", "metric": "memory_${2}"},
        {
            "match": "queue.*.depth",
            "type": "gauge",
            "metric": "queue_depth",
            "tags": {"queue": "${1}", "team": "unknown"},
        },
        {"match": "debug.*", "action": "drop"},
        {
            "regex": r"requests\.(?P<service>[^.]+)\.(?P<code>[1-5][0-9][0-9])",
            "metric": "http_requests_total",
            "tags": {"service": "${1}", "code": "${2}"},
        },
        {"regex": "(a+)+$", "metric": "endless"},
        {"regex": "[[:alpha:]]+", "metric": "posix"},
        {"match": "**", "action": "drop"},
    ]
    assert (found["window.percentiles"], found["window.idle_gauges"]) == ([50, 99], "keep:10m")
    assert found["listen.udp"] == found["listen.tcp"] == ["0.0.0.0:9125", "[::]:9125"]
    assert by_hand(builder) == {26, 31}
    [memory] = [entry for entry in builder.lines if entry.what == "mapping 3 memory.*.*_kb"]
    assert (memory.verdict, memory.became) == ("changed", "rule 2; statsd_exporter accepts no star beside other text")


def test_mappings_whose_order_is_not_the_files():
    builder = imported("unordered.yml")
    assert [rule["match"] for rule in settings(builder)["rule"]] == ["web.api.count", "web.*.count", "*.*.count"]
    assert said(builder, "defaults.glob_disable_ordering").startswith("changed: ")


def test_without_google_re2_a_mapping_with_a_regex_says_what_to_install(monkeypatch):
    monkeypatch.setattr("relay.tools.importers.patterns.find_re2", lambda: None)
    builder = of_mappings({"match": "a.(.*)", "match_type": "regex", "name": "a"})
    assert "rule" not in settings(builder)
    assert "pip install 'statsd-relay[re2]'" in said(builder, "mapping 1")
    assert said(builder, "mapping 1").startswith("by hand: ")


def test_regexes_of_public_mappings_are_taken_over():
    builder = of_mappings({"match": r"a\.b\.(.*)\.rq_(.*)", "match_type": "regex", "name": "rq", "labels": {"c": "$2"}})
    assert said(builder, "mapping 1") == "ok: rule 1"
    assert Rules(builder).follow("a.b.x.y.rq_done") == ("rq", {"c": "done"})


@pytest.mark.parametrize(
    ("mapping", "name", "result"),
    [
        ({"match": "a.*.done", "name": "a", "labels": {"c": "$1", "d": "$2"}}, "a.x.done", ("a", {"c": "x"})),
        ({"match": "a.*", "name": "q_$1_z"}, "a.x", ("q_", {})),
        ({"match": "a.*", "name": "q_${1}_z"}, "a.x", ("q_x_z", {})),
        ({"match": "a.*.*", "name": "q_$1$2"}, "a.x.y", ("q_", {})),
        ({"match": r"a\.(.*)", "match_type": "regex", "name": "q_$1_z"}, "a.x", ("q_", {})),
        ({"match": "a(x)", "match_type": "regex", "name": "q_$2", "labels": {"l": "v$w"}}, "ax", ("q_", {"l": "v"})),
    ],
)  # fmt: skip
def test_a_capture_that_the_pattern_lacks_is_nothing(mapping, name, result):
    builder = of_mappings(mapping)
    assert Rules(builder).follow(name) == result
    is_same = mapping["name"] == "q_${1}_z"
    assert said(builder, "mapping 1").startswith("ok: " if is_same else "changed: ")


def test_all_that_a_regex_matches_is_a_capture():
    builder = of_mappings(
        {"match": r"b\.(?P<x>[a-z])", "match_type": "regex", "name": "q_${1}", "labels": {"all": "$0", "x": "$x"}}
    )
    assert Rules(builder).follow("a.b.c") == ("q_c", {"all": "b.c", "x": "c"})


def test_a_name_that_comes_to_nothing_is_sent_by_neither():
    builder = of_mappings({"match": "a.*", "name": "$2"})
    assert Rules(builder).follow("a.b") is None
    assert said(builder, "mapping 1").startswith("changed: rule 1; its name is empty")


def test_a_mapping_that_is_never_reached_there_is_not_work_for_a_person():
    builder = of_mappings({"match": "a.*", "name": "x"}, {"match": "a.b", "name": "y"})
    assert said(builder, "mapping 2").startswith("dropped: never reached by the old daemon either")
    builder = of_mappings({"match": "a.b.c", "name": "x"}, {"match": "a.b", "name": "y"})
    assert said(builder, "mapping 2").startswith("dropped: statsd_exporter never reaches it")
    assert builder.needs_person == 0


def test_more_labels_than_a_point_takes_are_work_for_a_person():
    builder = of_mappings({"match": "a.*", "name": "x", "labels": {f"l{n}": "$1" for n in range(5)}})
    assert said(builder, "mapping 1 a.*: 5 labels").startswith("by hand: ")


def test_older_names_of_options_say_what_becomes_of_them():
    builder = of_mappings({"match": "a.*", "name": "x", "buckets": [1, 2], "timer_type": "histogram"})
    assert "percentiles are sent instead" in said(builder, "mapping 1 a.*: buckets")
    assert "one list for all timers" in said(builder, "mapping 1 a.*: timer_type")


class Tree:
    """The tree of one class: a glob that ends at an existing node adds no result."""

    def __init__(self) -> None:
        self.children: dict[str, Tree] = {}
        self.result: dict | None = None
        self.rank = 0

    def add(self, mapping: dict, rank: int) -> None:
        node, is_new = self, False
        for part in mapping["match"].split("."):
            is_new = part not in node.children
            node = node.children.setdefault(part, Tree())
        node.result = mapping if is_new else node.result
        node.rank = rank

    def find(self, parts: list[str], captures: tuple[str, ...] = ()) -> list[tuple[int, dict, tuple[str, ...]]]:
        if not parts:
            return [(self.rank, self.result, captures)] if self.result else []
        found = []
        if parts[0] in self.children:
            found += self.children[parts[0]].find(parts[1:], captures)
        if "*" in self.children:
            found += self.children["*"].find(parts[1:], (*captures, parts[0]))
        return found


class Model:
    """statsd_exporter: globs in the order of their ranks, then regexes; an unmatched name stays."""

    def __init__(self, mappings: list[dict]) -> None:
        self._trees = {kind: Tree() for kind in ("counter", "gauge", "observer")}
        self._regexes = [one for one in mappings if one["match_type"] == "regex"]
        globs = [one for one in mappings if one["match_type"] == "glob"]
        for rank, mapping in enumerate(globs):
            for kind in [mapping["match_metric_type"]] if "match_metric_type" in mapping else self._trees:
                self._trees[kind].add(mapping, rank)

    def follow(self, name: str, kind: str) -> tuple[str, dict[str, str]] | None:
        found = self._trees[kind].find(name.split("."))
        if found:
            _, mapping, captures = min(found, key=lambda one: one[0])
            return made(mapping, lambda text: formatted(text, captures))
        for mapping in self._regexes:
            match = re2.search(mapping["match"], name)
            if match and mapping.get("match_metric_type", kind) == kind:
                return made(mapping, lambda text, match=match: expanded(text, match))
        return name, {}


def made(mapping: dict, fill) -> tuple[str, dict[str, str]] | None:
    name = fill(mapping["name"])
    if mapping.get("action") == "drop" or not name:
        return None
    return name, {key: fill(text) for key, text in mapping["labels"].items() if fill(text)}


def formatted(text: str, captures: tuple[str, ...]) -> str:
    """A template of a glob: each capture is replaced everywhere, then all are filled from left to right."""
    order, filled = [], text
    for match in re.finditer(r"\$\{?([a-zA-Z0-9_$]+)\}?", text):
        is_known = match[1].isdecimal() and 0 < int(match[1]) <= len(captures)
        filled = filled.replace(match[0], "%s" if is_known else "")
        order += [captures[int(match[1]) - 1]] if is_known else []
    return filled % tuple(order) if order else filled


def expanded(text: str, match: re.Match[str]) -> str:
    """A template of a regex: the longest name after a $ counts."""

    def replaced(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name == "0" or (name.isdecimal() and not name.startswith("0")):
            return match[int(name)] or "" if int(name) <= len(match.groups()) else ""
        return match.groupdict().get(name) or ""

    return re.sub(r"\$(?:(\w+)|\{(\w+)\})", replaced, text)


PARTS = st.sampled_from(["a", "b", "c"])
NAMES = st.lists(PARTS, min_size=1, max_size=4).map(".".join)
GLOBS = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=4).map(".".join)
REGEXES = st.sampled_from([
    "^a[.](.*)$", r"(.*)\.(.*)", "(?P<x>b)", "a|b", ".*", "c", r"a\.b\.(.*)", "(a)|(b)", "^(a?)b?",
])  # fmt: skip
TEMPLATES = st.sampled_from(["m", "m_$1", "${1}", "$2", "m_$1_z", "${1}_${2}", "$1$2", "$x", "m$0", "$1-$1", "v${x}w"])


@st.composite
def mappings(draw) -> dict:
    kind = draw(st.sampled_from(["glob", "glob", "regex"]))
    one = {"match_type": kind, "match": draw(GLOBS if kind == "glob" else REGEXES), "name": draw(TEMPLATES)}
    one["labels"] = draw(st.dictionaries(st.sampled_from("kl"), TEMPLATES, max_size=2))
    type_ = draw(st.sampled_from(["", "", "counter", "gauge", "observer"]))
    return one | ({"match_metric_type": type_} if type_ else {}) | draw(st.sampled_from([{}, {}, {"action": "drop"}]))


KINDS = {"counter": Kind.COUNTER, "gauge": Kind.GAUGE, "observer": Kind.TIMER}


@settings_of(max_examples=200)
@given(st.lists(mappings(), min_size=1, max_size=5), st.lists(NAMES, min_size=1, max_size=12))
def test_rules_do_what_mappings_did_or_the_report_says_otherwise(found, names):
    builder = of_mappings(*found)
    told = verdicts(builder)
    assert {f"mapping {number} {one['match']}" for number, one in enumerate(found, 1)} <= told.keys()
    if builder.needs_person or any("for every class" in entry.became for entry in builder.lines):
        return
    rules, model = Rules(builder), Model(found)
    for name in names:
        for kind, ours in KINDS.items():
            after, expected = rules.follow(name, kind=ours), model.follow(name, kind)
            assert after == (expected and (expected[0], cleaned(expected[1]))), (name, builder.toml())


def cleaned(labels: dict[str, str]) -> dict[str, str]:
    return {key: value.replace("-", "_") for key, value in labels.items()}
