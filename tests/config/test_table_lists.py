"""Lists of tables: places of elements and keys, precedence, and rules of elements."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path

import pytest

from relay.config import render
from relay.config.addresses import parse_target
from relay.config.loading import load
from relay.config.schema import RuleConfig, TeeConfig
from relay.errors import ConfigError

TEXT = """
[[rule]]
match = "web.*.request.*"
type = "timer"
metric = "web.request"
tags = { service = "$1", zone = "${ZONE:-z}-${2}" }
keep_tags = ["user"]

[rule.rename_tags]
old = "new"

[[rule]]
regex = "debug"
action = "drop"

[[tee]]
to = "old-statsd:8125"
"""


def write(tmp_path, text: str):
    path = tmp_path / "relay.toml"
    path.write_text(text)
    return path


def problems(tmp_path, text: str, environ=None):
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text), environ or {})
    return caught.value.problems


def test_elements_of_a_file_and_where_they_stand(tmp_path):
    path = write(tmp_path, TEXT)
    loaded = load(path, {"ZONE": "north"})
    assert loaded.config.rule == [
        RuleConfig(
            match="web.*.request.*",
            type="timer",
            metric="web.request",
            tags={"service": "$1", "zone": "north-${2}"},
            keep_tags=["user"],
            rename_tags={"old": "new"},
        ),
        RuleConfig(regex="debug", action="drop"),
    ]
    assert loaded.config.tee == [TeeConfig(to="old-statsd:8125")]
    lines = {key: int(origin.rpartition(":")[2]) for key, origin in loaded.origins.items()}
    assert lines == {
        "rule.1": 2,
        "rule.1.match": 3,
        "rule.1.type": 4,
        "rule.1.metric": 5,
        "rule.1.tags": 6,
        "rule.1.keep_tags": 7,
        "rule.1.rename_tags": 9,
        "rule.2": 12,
        "rule.2.regex": 13,
        "rule.2.action": 14,
        "tee.1": 16,
        "tee.1.to": 17,
    }


def test_an_inline_list_and_a_subtable_of_a_later_element(tmp_path):
    text = 'rule = [{ match = "a" }, { match = "b" }]\n'
    assert [rule.match for rule in load(write(tmp_path, text), {}).config.rule] == ["a", "b"]
    text = '[[rule]]\nmatch = "a"\n[[rule]]\nmatch = "b"\n[rule.tags]\nx = "1"\n'
    assert [rule.tags for rule in load(write(tmp_path, text), {}).config.rule] == [{}, {"x": "1"}]


def test_a_variable_replaces_the_whole_list(tmp_path):
    environ = {
        "STATSD_RELAY_RULE": json.dumps([{"match": "a.*", "tags": {"x": "$1"}}, {"match": "**", "action": "drop"}]),
        "STATSD_RELAY_TEE": "[]",
    }
    loaded = load(write(tmp_path, TEXT), environ)
    assert loaded.config.rule == [RuleConfig(match="a.*", tags={"x": "$1"}), RuleConfig(match="**", action="drop")]
    assert loaded.config.tee == []
    assert loaded.origins["rule.2.action"] == "STATSD_RELAY_RULE"
    assert "rule.1.regex" not in loaded.origins


def test_every_problem_at_once_with_its_place(tmp_path):
    found = problems(
        tmp_path,
        """[[rule]]
mach = "web.*"
[[rule]]
match = "a"
  type = "meter"
tags = ["x"]
[[rule]]
[[rule]]
match = "b"
regex = "b"
[[rule]]
match = "c"
namespace = "a b"
[rule.rename_tags]
old = "n-w"
[[tee]]
to = "nowhere"
""",
    )
    assert [(problem.code, problem.line) for problem in found] == [
        ("RLY102", line) for line in (2, 5, 6, 7, 8, 13, 14, 17)
    ]
    assert str(found[0]).splitlines()[1:] == ["    2 | mach = ***", "      | ^^^^", "      fix: did you mean match?"]
    assert str(found[1]).splitlines()[2] == "      |          ^^^^^^^"
    assert "either match or regex" in found[3].message


@pytest.mark.parametrize("text", ['[rule]\nmatch = "a"\nmetric = "b"\n', 'rule = "a"\n', 'rule = ["a"]\n'])
def test_the_wrong_number_of_brackets(tmp_path, text):
    [problem] = problems(tmp_path, text)
    assert (problem.line, problem.fix) == (1 if "=" in text.splitlines()[0] else 2, "write [[rule]] over each of them")


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ("none", "; at character 1: Expecting value"),
        ('[{"match": "a"}', "; at character 16: Expecting ',' delimiter"),
        ('{"match": "a"}', ""),
        ("[1]", ""),
    ],
)
def test_a_variable_that_is_no_list(value, where):
    with pytest.raises(ConfigError) as caught:
        load(None, {"STATSD_RELAY_RULE": value})
    [problem] = caught.value.problems
    example = '[{"match": "web.*.hits", "metric": "web.hits", "tags": {"service": "$1"}}]'
    assert (problem.source, problem.fix) == (
        "STATSD_RELAY_RULE",
        f"it is a JSON list of objects, such as {example}{where}",
    )


def in_force(path):
    loaded = load(path, {})
    return render.in_force(loaded.config, loaded.origins)


def test_what_is_in_force(tmp_path):
    path = write(tmp_path, TEXT)
    rows = {row.key: row for row in in_force(path)}
    tags = {"service": "$1", "zone": "z-${2}"}
    assert rows["rule.1.tags"][1:] == (tags, '{ service = "$1", zone = "z-${2}" }', f"{path}:6")
    assert tomllib.loads(f"tags = {rows['rule.1.tags'].text}") == {"tags": tags}
    assert "rule.2.match" not in rows
    assert next(row for row in in_force(None) if row.key == "rule").text == "[]"


def test_the_example_names_every_key_of_an_element(tmp_path):
    text = render.example()
    for table, type_ in (("rule", RuleConfig), ("tee", TeeConfig)):
        assert f"# [[{table}]]   # " in text
        assert all(f"#   {name} = " in text for name in type_.__struct_fields__)
    assert load(write(tmp_path, text), {}).config.rule == []
    used = load(write(tmp_path, re.sub(r"^#(?: (\[\[)|  ( \w+ = ))", r"\1\2", text, flags=re.MULTILINE)), {})
    assert used.config.rule == [RuleConfig(match="web.*.hits", metric="web.hits", tags={"service": "$1"})]
    assert used.config.tee == [TeeConfig(to="127.0.0.1:9125")]


def test_targets():
    assert parse_target("127.0.0.1:8125") == ("127.0.0.1", 8125)
    assert parse_target("[::1]:1") == ("::1", 1)
    assert parse_target("statsd-old.shop:8126") == ("statsd-old.shop", 8126)
    for text in ("", "h", "h:", ":1", "h:0", "h:65536", "::1:5", "[h]:5", "a b:1", "udp://h:1", "h:1:1", "h:\u0661"):
        with pytest.raises(ValueError, match="HOST:PORT"):
            parse_target(text)


@pytest.mark.parametrize(
    ("rules", "code", "line", "words"),
    [
        ('match = "web*.x"', "RLY132", 2, "star beside other text"),
        ('match = "a.*"\nmetric = "x.$2"', "RLY132", 3, "no such capture"),
        ('match = "a.*"\ntags = { ok = "$1", no = "$0" }', "RLY132", 3, '"$0"'),
        ("regex = '('", "RLY132", 2, "is not a valid regex: missing )"),
        ("regex = '(a)'\nmetric = '$1$2'", "RLY132", 3, "no such capture"),
        ('match = "**"\n[[rule]]\nmatch = "a.b"', "RLY131", 4, '"a.b" can never match: rule 1'),
        ('match = "a.*"\n[[rule]]\nmatch = "a.b"\ntype = "set"', "RLY131", 4, "rule 1"),
        ('match = "**"\n[[rule]]\nregex = "x"', "RLY131", 4, "rule 1"),
        ('regex = "x"\n[[rule]]\nregex = "x"', "RLY131", 4, "rule 1"),
    ],
)
def test_patterns_are_judged_where_they_stand(tmp_path, rules, code, line, words):
    [problem] = problems(tmp_path, f"[[rule]]\n{rules}\n")
    assert (problem.code, problem.line) == (code, line)
    assert words in problem.message
    assert problem.fix


def test_rules_for_other_types_do_not_cover_one_another(tmp_path):
    text = "".join(f'[[rule]]\nmatch = "a.*"\ntype = "{type_}"\n' for type_ in ("set", "gauge", ""))
    assert len(load(write(tmp_path, text), {}).config.rule) == 3


def test_regexes_need_google_re2_and_with_it_may_be_any(tmp_path, monkeypatch):
    text = "[[rule]]\nregex = '(a+b?)+c'\n"
    assert load(write(tmp_path, text), {}).config.rule
    monkeypatch.setitem(sys.modules, "re2", None)
    [problem] = problems(tmp_path, text)
    assert (problem.code, problem.line) == ("RLY133", 2)
    assert "google-re2 is not installed" in problem.message
    assert problem.fix == "pip install 'statsd-relay[re2]'"


def test_the_example_of_the_reference_is_valid(tmp_path):
    reference = (Path(__file__).parents[2] / "deploy/REFERENCE.md").read_text()
    example = reference.partition("## Rules\n\n")[2].partition("\n\n- ")[0]
    assert [rule.match for rule in load(write(tmp_path, example), {}).config.rule] == ["web.*.request.**", "debug.**"]
