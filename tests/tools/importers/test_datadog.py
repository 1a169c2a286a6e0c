"""datadog.yaml: mapper profiles, namespace and blocked names against a model of their order in the agent."""

from __future__ import annotations

import json
import re

import pytest
import re2
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

from tests.support.imports import Rules, by_hand, imported, of_text, said, settings, verdicts


def of_options(**options):
    return of_text(json.dumps(options), "datadog")


def test_datadog_yaml():
    builder = imported("datadog.yaml")
    found = settings(builder)
    assert [rule.get("match") or rule["regex"] for rule in found["rule"]] == [
        "^airflow[.]([^.]*)_start$", "^airflow[.]operator_failures_([^.]*)$",
        r"^airflow\.dag\.(.*)\.([^.]*)\.duration$", "debug.noise", "debug.more",
    ]  # fmt: skip
    assert found["rule"][2]["tags"] == {"dag_id": "${1}", "task_id": "${2}"}
    assert found["listen.unix"] == ["dgram:/var/run/datadog/dsd.socket", "datadog:/var/run/datadog/dsd-stream.socket"]
    assert found["listen.receive_buffer"] == "4194304"
    assert (found["tags.host"], found["tags.env"], found["tags.canary"]) == ("web-1", "production", "true")
    assert (found["names.prefix"], found["window.percentiles"], found["tee"]) == ("shop", [95, 99], ["10.0.0.9:8125"])
    assert by_hand(builder) == {15, 43}
    assert "0123456789abcdef" not in builder.toml() + "".join(map(str, builder.lines))


def test_the_agents_older_list_counts_only_without_the_newer():
    builder = of_options(metric_filterlist=["a"], metric_filterlist_match_prefix=True, statsd_metric_blocklist=["b"])
    assert settings(builder)["rule"] == [{"regex": "^a", "action": "drop"}]
    assert said(builder, "statsd_metric_blocklist").startswith("dropped: ")
    builder = of_options(metric_filterlist=[], statsd_metric_blocklist=["b"])
    assert settings(builder)["rule"] == [{"match": "b", "action": "drop"}]


def test_mapper_profiles_of_a_variable():
    for name in ("mapper.json", "agent.env"):
        [rule] = settings(imported(name))["rule"]
        assert rule["match"].startswith("shop.")
    assert settings(imported("agent.env"))["window.percentiles"] == [90, 99]
    assert settings(imported("mapper.json"))["listen.udp"] == ["127.0.0.1:8125", "[::1]:8125"]


def test_what_listens_for_other_machines_listens_on_both_families():
    builder = of_options(dogstatsd_non_local_traffic=True, dogstatsd_port=8130)
    assert settings(builder)["listen.udp"] == ["0.0.0.0:8130", "[::]:8130"]
    assert said(builder, "dogstatsd_non_local_traffic") == 'ok: listen.udp = ["0.0.0.0:8130", "[::]:8130"]'


@pytest.mark.parametrize(("text", "is_on"), [("'yes'", False), ("'T'", True), ("'false'", False), ("'1'", True)])
def test_texts_of_truths_are_read_as_the_agent_reads_them(text, is_on):
    builder = of_text(f"dogstatsd_non_local_traffic: {text}\n", "datadog")
    assert ("0.0.0.0:8125" in settings(builder)["listen.udp"]) == is_on


def test_blocked_are_names_once_they_are_mapped_and_behind_the_namespace():
    mappings = [{"match": "old.*", "name": "new"}, {"match": "kept.*", "name": "kept"}]
    builder = of_options(
        dogstatsd_mapper_profiles=[{"name": "p", "prefix": "*", "mappings": mappings}],
        statsd_metric_namespace="app",
        statsd_metric_blocklist=["app.new", "app.raw", "raw"],
    )
    rules = Rules(builder)
    assert rules.follow("old.x") is None
    assert rules.follow("new") is None
    assert rules.follow("raw") is None
    assert rules.follow("app.raw") == ("app.raw", {})
    assert rules.follow("kept.x") == ("kept", {})
    assert said(builder, "statsd_metric_blocklist raw").startswith("dropped: no name has this form")


def test_a_name_keeps_to_the_first_profile_that_is_for_it():
    mapping = {"match": "a.*", "name": "x"}
    profiles = [
        {"name": "first", "prefix": "a.b", "mappings": []},
        {"name": "second", "prefix": "a.", "mappings": [mapping]},
        {"name": "third", "prefix": "a.b.c", "mappings": [{"match": "a.b.c", "name": "y"}]},
    ]
    builder = of_options(dogstatsd_mapper_profiles=profiles)
    assert said(builder, "first").startswith("dropped: it has no mappings")
    assert said(builder, "second: a.*").startswith("changed: rule 1; also for names of first")
    assert said(builder, "third: a.b.c").startswith("dropped: never reached by the old daemon either: first ")


def test_a_regex_with_branches_is_as_there_and_work_for_a_person():
    mapping = {"match": r"x\.re\.[a-z]+|x\.alt", "match_type": "regex", "name": "m"}
    builder = of_options(dogstatsd_mapper_profiles=[{"name": "p", "prefix": "*", "mappings": [mapping]}])
    assert said(builder, "p: ").startswith("by hand: rule 1; its ^ applies to the first branch only")
    rules = Rules(builder)
    assert (rules.follow("x.re.a.b"), rules.follow("b.x.alt")) == (("m", {}), ("m", {}))
    assert rules.follow("b.x.re.a") == ("b.x.re.a", {})


def test_every_key_of_a_profile_has_a_line():
    profiles = [{"name": "p", "prefix": "a.", "mapping": []}, {"prefix": "b."}]
    told = verdicts(of_options(dogstatsd_mapper_profiles=profiles))
    assert told == told | {"p: mapping": "by hand", "p": "dropped"}
    assert told["profile 2"] in ("by hand", "dropped")


class Model:
    """The agent: the first profile for a name maps it or not; then the namespace, then the list of blocked names."""

    def __init__(self, options: dict) -> None:
        self._options = options

    def follow(self, name: str) -> tuple[str, dict[str, str]] | None:
        name, tags = self._mapped(name)
        namespace, spared = self._options["statsd_metric_namespace"], self._options["statsd_metric_namespace_blocklist"]
        sent = f"{namespace}.{name}" if namespace and not name.startswith(tuple(spared)) else name
        by_prefix = self._options["statsd_metric_blocklist_match_prefix"]
        for entry in self._options["statsd_metric_blocklist"]:
            if sent == entry or (by_prefix and sent.startswith(entry)):
                return None
        return (name, tags) if name else None

    def _mapped(self, name: str) -> tuple[str, dict[str, str]]:
        for profile in self._options["dogstatsd_mapper_profiles"]:
            if profile["prefix"] == "*" or name.startswith(profile["prefix"]):
                for mapping in profile["mappings"]:
                    text = mapping["match"]
                    if mapping["match_type"] == "wildcard":
                        text = text.replace(".", r"\.").replace("*", "([^.]*)")
                    if match := re2.search(f"^{text}$", name):
                        return expanded(mapping["name"], match), {
                            key: value for key, text in mapping["tags"].items() if (value := expanded(text, match))
                        }
                break
        return name, {}


def expanded(text: str, match: re.Match[str]) -> str:
    def replaced(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        return match[int(name)] or "" if name.isdecimal() and int(name) <= len(match.groups()) else ""

    return re.sub(r"\$(?:(\w+)|\{(\w+)\})", replaced, text)


PARTS = st.sampled_from(["a", "b", "ab", "app"])
NAMES = st.lists(PARTS, min_size=1, max_size=3).map(".".join)
MAPPINGS = st.builds(
    lambda kind, wildcard, regex, name, tags: {
        "match_type": kind, "match": wildcard if kind == "wildcard" else regex, "name": name, "tags": tags,
    },
    st.sampled_from(["wildcard", "wildcard", "regex"]),
    st.lists(st.sampled_from(["a", "b", "*", "a*", "ab"]), min_size=1, max_size=3).map(".".join),
    st.sampled_from([r"a\.(.*)", "(a|b)+", ".*", r"(?i)A\.b", r"^a", "a|b", r"a(\.b)?", "b$"]),
    st.sampled_from(["a", "b.a", "m.$1", "m$1", "${1}", "app.a", "m_$1_z"]),
    st.dictionaries(st.sampled_from("kl"), st.sampled_from(["$1", "v", "$2", "v${1}"]), max_size=2),
)  # fmt: skip
PROFILES = st.fixed_dictionaries({
    "name": st.sampled_from(["p", "q"]),
    "prefix": st.sampled_from(["*", "a", "a.", "b", "ab.", "app.a"]),
    "mappings": st.lists(MAPPINGS, min_size=1, max_size=3),
})  # fmt: skip
OPTIONS = st.fixed_dictionaries({
    "dogstatsd_mapper_profiles": st.lists(PROFILES, max_size=2),
    "statsd_metric_namespace": st.sampled_from(["", "", "app", "a"]),
    "statsd_metric_namespace_blocklist": st.sampled_from([["b"], ["ab"], ["app.a", "b"]]),
    "statsd_metric_blocklist": st.lists(NAMES, max_size=2),
    "statsd_metric_blocklist_match_prefix": st.booleans(),
})  # fmt: skip


@settings_of(max_examples=200)
@given(OPTIONS, st.lists(NAMES, min_size=1, max_size=12))
def test_rules_do_what_the_agent_did_or_the_report_says_otherwise(options, names):
    builder = of_options(**options)
    if builder.needs_person or any("also for names of" in entry.became for entry in builder.lines):
        return
    rules, model = Rules(builder), Model(options)
    for name in names:
        assert rules.follow(name) == model.follow(name), (name, builder.toml())


def test_tags_of_the_agent_are_told_of_one_by_one():
    """Keys may have dots, a tag without a key is not sent, and a key has one value."""
    builder = of_text('dogstatsd_tags: ["app.name:x", ":y", "env:a", ".:z"]\ntags: ["env:b", "env:a"]\n', "datadog")
    tags = {key: value for key, value in settings(builder).items() if key.startswith("tags.")}
    assert tags == {"tags.app.name": "x", "tags.env": "a", "tags..": "z"}
    assert said(builder, "dogstatsd_tags app.name:x") == 'ok: tags.app.name = "x"'
    assert said(builder, "dogstatsd_tags :y") == "by hand: a tag needs a key"
    assert said(builder, "tags env:b") == 'by hand: a key has one value, and tags.env is "a"'
    assert said(builder, "tags env:a").startswith("ok: ")


@pytest.mark.parametrize("option", ["tags", "dogstatsd_tags"])
def test_a_host_among_the_tags_is_told_beside_the_host(option):
    """In the agent a sample's host is `hostname`; tags of the configuration come afterwards and are sent beside it."""
    builder = of_options(**{option: ["host:x", "env:y"], "hostname": "h"})
    assert (settings(builder)["tags.host"], settings(builder)["tags.env"]) == ("h", "y")
    assert said(builder, "hostname") == "ok: tags.host"
    assert said(builder, f"{option} host:x").startswith('by hand: tags.host is already "h"')
    builder = of_options(**{option: ["host:x"]})
    assert settings(builder)["tags.host"] == "x"
    assert said(builder, f"{option} host:x").startswith('changed: tags.host = "x". The agent sent the tag')
    builder = of_options(**{option: ["host:x", "host:y"]})
    assert settings(builder)["tags.host"] == "x"
    assert said(builder, f"{option} host:y").startswith("by hand: ")
    builder = of_options(**{option: ["host:", "env:y"]})
    assert said(builder, f"{option} host:") == "dropped: it has no value"
    assert "tags.host" not in settings(builder)
    builder = of_options(**{option: ["host:h"], "hostname": "h"})
    assert settings(builder)["tags.host"] == "h"
    assert said(builder, f"{option} host:h").startswith("changed: ")
