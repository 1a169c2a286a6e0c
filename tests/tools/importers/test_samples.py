"""Configurations of other daemons: the result of each sample; the result of any input passes `check`."""

from __future__ import annotations

import json
import random
import re
import time
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

from relay.config.schema import Config
from relay.daemon.lifecycle.problems import find_problems
from relay.errors import ConfigError
from relay.tools.importers import (
    FORMATS,
    datadog,
    datadog_profiles,
    gostatsd,
    gostatsd_filters,
    statsd,
    statsd_exporter,
)
from relay.tools.importers.detect import detect
from relay.tools.importers.patterns import (
    NoRule,
    from_glob,
    from_regex,
    glob_template,
    go_template,
    has_alternatives,
    literal_start,
)
from relay.tools.importers.readers import envtree, tomltree, yamltree
from relay.tools.importers.readers.tree import NotReadable
from relay.tools.importers.report import plain
from tests.support.imports import SAMPLES, imported, of_text, said, settings

NAMES = sorted(path.name for path in SAMPLES.iterdir())
MIGRATING = (Path(__file__).parents[3] / "deploy/MIGRATING.md").read_text()
OPTIONS = {
    "statsd": statsd.OPTIONS,
    "statsd_exporter": {**statsd_exporter.DEFAULTS, **statsd_exporter.MAPPING},
    "gostatsd": {**gostatsd.OPTIONS, **gostatsd_filters.OPTIONS},
    "datadog": {**datadog.OPTIONS, **datadog_profiles.MAPPING},
}


@pytest.mark.parametrize("name", NAMES)
def test_every_result_passes_check(name, tmp_path, monkeypatch):
    for variable in ("JDCLOUD_ACCESS_KEY_ID", "JDCLOUD_SECRET_ACCESS_KEY", "JDCLOUD_REGION_ID"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "relay.toml"
    path.write_text(imported(name).toml())
    problems = find_problems(path, with_credentials=False)
    assert [str(problem) for problem in problems if problem.severity == "error"] == []
    assert {problem.code for problem in problems} <= {"RLY110"}, "credentials: the file says where they go"
    assert '# region = "cn-north-1"' in path.read_text()


def whole(names) -> dict:
    """Every option at once, each on its own."""
    found: dict = {}
    for name in names:
        table, _, inner = name.rpartition(".")
        (found.setdefault(table, {}) if table else found)[inner] = 1
    return found


@pytest.mark.parametrize("format_", FORMATS)
def test_no_option_is_passed_over_in_silence(format_):
    profiles = [{"mappings": [{"match": "a", "nobody": 1}]}]
    text = {
        "statsd": whole(statsd.OPTIONS) | {"servers": None},
        "statsd_exporter": whole(statsd_exporter.DEFAULTS) | {"mappings": [whole(statsd_exporter.MAPPING)]},
        "gostatsd": whole(gostatsd.OPTIONS) | {"filters": "x", "filter": {"x": whole(gostatsd_filters.OPTIONS)}},
        "datadog": whole(datadog.OPTIONS) | {"dogstatsd_mapper_profiles": profiles},
    }[format_]
    builder = of_text(json.dumps({**text, "nobody": 1}), format_)
    told = " ".join(entry.what for entry in builder.lines if entry.line)
    rules = {"filters", "mappings", "dogstatsd_mapper_profiles", "servers"}
    rules |= statsd_exporter.MAPPING.keys() | gostatsd_filters.OPTIONS.keys() | datadog_profiles.MAPPING.keys()
    assert {name for name in OPTIONS[format_] if name not in told} - rules == set()
    assert said(builder, "nobody").startswith("by hand: not an option of") or format_ == "datadog"


@pytest.mark.parametrize("format_", FORMATS)
def test_a_sign_of_a_gauge_means_what_it_meant_to_the_daemon(format_):
    known = {"statsd": "port", "statsd_exporter": "mappings", "gostatsd": "namespace", "datadog": "dogstatsd_port"}
    builder = of_text(json.dumps({known[format_]: None}), format_)
    has_deltas = format_ in ("statsd", "statsd_exporter")
    assert settings(builder).get("listen.gauge_deltas", True) is has_deltas
    assert has_deltas or said(builder, "gauges with a sign").startswith("ok: listen.gauge_deltas = false")


@pytest.mark.parametrize(
    ("format_", "inline"),
    [
        ("statsd", {"graphite"}), ("statsd_exporter", {"influx", "librato", "signalfx"}), ("gostatsd", set()),
        ("datadog", set()),
    ],
)  # fmt: skip
def test_tags_in_names_are_read_where_the_daemon_reads_them(format_, inline):
    known = {"statsd": "port", "statsd_exporter": "mappings", "gostatsd": "namespace", "datadog": "dogstatsd_port"}
    found = settings(of_text(json.dumps({known[format_]: None}), format_))
    assert set(found["listen.dialects"]) == {"statsd", "dogstatsd"} | inline


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("value", ["", []])
def test_an_option_with_nothing_in_it_has_a_line_too(format_, value):
    known = {"statsd": "port", "statsd_exporter": "mappings", "gostatsd": "namespace", "datadog": "dogstatsd_port"}
    inner = statsd_exporter.MAPPING.keys() | gostatsd_filters.OPTIONS.keys() | datadog_profiles.MAPPING.keys()
    for name in OPTIONS[format_].keys() - inner - {"mappings"}:
        builder = of_text(json.dumps({known[format_]: None} | whole([name]) | nested(name, value)), format_)
        assert any(entry.what.startswith(name) and entry.line for entry in builder.lines), name


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("value", [["x", ["y"]], {"a": {"b": ["c"]}}, [{"a": "b"}], True])
def test_a_list_or_an_object_is_no_text(format_, value):
    """It is refused, as by the daemon, or reported; its Python form is never written."""
    known = {"statsd": "port", "statsd_exporter": "defaults", "gostatsd": "namespace", "datadog": "dogstatsd_port"}
    mapping = {"match": "a.*", "name": "b", "labels": {"c": "d"}, "tags": {"c": "d"}}
    asked = [{name: value} for name in OPTIONS[format_] if "." not in name]
    asked += [listed(format_, mapping | {name: value}) for name in mapping]
    asked += [listed(format_, mapping | {name: {"c": value}}) for name in ("labels", "tags")]
    for option in asked:
        with suppress(ConfigError):
            builder = of_text(json.dumps({known[format_]: None} | option), format_)
            text = builder.toml() + "".join(map(str, builder.lines))
            assert not {"Node", "True"} & set(re.findall(r"\w+", text)), option


def listed(format_: str, mapping: dict) -> dict:
    profile = {"name": "p", "prefix": "*", "mappings": [mapping]}
    return {"dogstatsd_mapper_profiles": [profile]} if format_ == "datadog" else {"mappings": [mapping]}


def nested(name: str, value: object) -> dict:
    table, _, inner = name.rpartition(".")
    return {table: {inner: value}} if table else {name: value}


def test_a_percentile_that_is_no_number_is_work_for_a_person():
    for text, format_ in (
        ("{ percentThreshold: [90, 'x'] }", "statsd"),
        ("percent-threshold = ['90', 'x']", "gostatsd"),
        ("histogram_percentiles: ['0.9', 'x']", "datadog"),
        ("defaults: {summary_options: {quantiles: [{quantile: 0.9}, {quantile: 9}]}}", "statsd_exporter"),
    ):
        assert of_text(text, format_).needs_person == 1


def test_a_buffer_in_a_variable_is_read():
    assert settings(of_text("DD_DOGSTATSD_SO_RCVBUF=4194304\n"))["listen.receive_buffer"] == "4194304"


def test_texts_of_one_piece_take_no_longer_than_their_size():
    for piece in ("\n", "api_", "//", "token", "a=", "- ", "x = 1\n"):
        began = time.process_time()
        with suppress(ConfigError):
            of_text(f"port: {piece * 30_000}x\n")
        assert time.process_time() - began < 10


def test_digits_without_an_end_are_no_duration_and_take_no_time():
    began = time.process_time()
    builder = of_text("defaults: {ttl: " + "9" * 100_000 + "}\nmappings: [{match: a.*, name: a}]\n")
    assert builder.needs_person == 1
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("text", "format_"),
    [
        *((None, name) for name in NAMES),
        ("// nothing but\n{ port: 1 }", "statsd"),
        ('{"port": 8125, "backends": []}', "statsd"),
        ("const c = {}", "statsd"),
        ("defaults:\n  ttl: 1m\n", "statsd_exporter"),
        ('{"mappings": []}', "statsd_exporter"),
        ("flush-interval = '1s'", "gostatsd"),
        ("port = ", None),
        ("metrics-addr = ", "gostatsd"),
        ("api_key: x", "datadog"),
        ('{"dogstatsd_port": 1}', "datadog"),
        ("export DD_TAGS='a:b'", "datadog"),
        ("", None),
        ("hello", None),
        ("[1, 2]", None),
        ("- a\n- b", None),
    ],
)
def test_whose_it_is_is_told_from_the_content(text, format_):
    if text is not None:
        assert detect(text) == format_
        return
    kinds = {
        "js": "statsd",
        "yml": "statsd_exporter",
        "toml": "gostatsd",
        "yaml": "datadog",
        "json": "datadog",
        "env": "datadog",
    }
    assert detect((SAMPLES / format_).read_text()) == kinds[format_.rpartition(".")[2]]


@pytest.mark.parametrize(
    ("text", "format_", "line", "column", "message"),
    [
        ("{\n  port: 8125\n  address: 'x'\n}", None, 3, 3, "expected a comma before this"),
        ("mappings:\n- match: [a\n", None, 3, 1, "expected"),
        ("mappings:\n  - a: 1\n b: 2\n", None, 3, 2, "expected"),
        ("flush-interval = \n", None, 1, 18, "Invalid value"),
        ("- 1", "statsd_exporter", 1, 1, "expected options with names"),
        ("a: !!python/object:os.system x", "datadog", 1, 4, "could not determine a constructor"),
        ("a: &a [*a]", "datadog", 1, 4, "more than 32 levels"),
        ("a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
            f"{chr(97 + n)}: &{chr(97 + n)} [{', '.join(['*' + chr(96 + n)] * 9)}]\n" for n in range(1, 9)
        ), "datadog", 1, 8, "more than 50000 values"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_what_it_should_be(text, format_, line, column, message):
    with pytest.raises(ConfigError) as caught:
        of_text(text, format_)
    [problem] = caught.value.problems
    assert (problem.code, problem.source, problem.line) == ("RLY103", "file", line)
    assert problem.column == column
    assert message in problem.message


def test_an_error_shows_nothing_of_a_line_but_the_name_of_an_option():
    for text, shown in (("{\n port: 'x' b }", " port"), ("{ password: 'x' y }", ""), ("{\n portx: 'x' y }", "")):
        with pytest.raises(ConfigError) as caught:
            of_text(text)
        assert caught.value.problems[0].text == shown


def test_nobodys_file_names_the_choices():
    with pytest.raises(ConfigError, match=r"--from statsd\|statsd_exporter\|gostatsd\|datadog"):
        of_text("hello")


def test_patterns():
    assert from_glob("a.*.b")[:3] == ("match", "a.*.b", 1)
    assert from_glob("a.b_*")[:3] == ("regex", "^a[.]b_([^.]*)$", 1)
    assert from_regex(".")[:2] == ("match", "**")
    assert from_regex("a|b", anchored=True).text == "^a|b$"
    assert from_regex(r"a\$", anchored=True).text == r"^a\$$"
    assert from_regex(r"^a\\$", anchored=True).text == r"^a\\$"
    assert literal_start(from_regex(r"^air\.flow_?x")) == "air.flow"
    assert (
        literal_start(from_regex("a|b"))
        == literal_start(from_regex("(?i)a"))
        == literal_start(from_regex(r"\pL"))
        == ""
    )
    for text in ("(", "(?=a)", r"(a)\1"):
        with pytest.raises(NoRule):
            from_regex(text)
    assert [has_alternatives(text) for text in ("a|b", "(a|b)", "[a|b]", r"a\|b", "(a)|b")] == [
        True,
        False,
        False,
        False,
        True,
    ]


def test_templates():
    named = from_regex("(?P<who>x)(y)")
    assert go_template("$who-$2-${who}", named) == ("${1}-${2}-${1}", ())
    assert go_template("$3-$nobody-$01", named) == ("--", ("$3", "$nobody", "$01"))
    assert go_template("$0-$1", named.whole(), offset=1) == ("${1}-${2}", ())
    for text in ("$0", "5 $", "$$", "${a-b}"):
        with pytest.raises(NoRule):
            go_template(text, named)
    two = from_glob("*.*")
    assert glob_template("$1-${2}-$1", two) == ("${1}-${2}-${1}", ())
    assert glob_template("$3-$0-$who-$1$2", two) == ("---", ("$3", "$0", "$who", "$1$2"))
    for text in ("$1-$1a", "5 $", "$1 %"):
        with pytest.raises(NoRule):
            glob_template(text, two)


WORDS = [
    "", "0", "8125", "localhost", "::1", "/run/x.sock", "./servers/tcp", "./backends/repeater", "regex", "drop",
    "a.*.b", "**", "web.*_x", "(a)+", "${1}x", "$x", "${HOME}", "5m", "-1", "counter", "env:prod", "x y",
    "\u00e9\x7f", "\x00", "tcp", "[::1]:5", "false", "secret", "\ud800",
]  # fmt: skip
NUMBERS = [0, 1, -1, 8125, 99_999, 10**30, 1.5, -2.5e300, 90, True, False, None]


class Chance(random.Random):
    """Values of all kinds, for options of all kinds."""

    def value(self, names: list[str], levels: int = 3):
        kind = self.random()
        if kind < 0.6 or not levels:
            return self.choice(WORDS if kind < 0.35 else NUMBERS)
        if kind < 0.8:
            return [self.value(names, levels - 1) for _ in range(self.randint(0, 3))]
        return self.object(names, levels - 1)

    def object(self, names: list[str], levels: int = 2, most: int = 5):
        return {self.choice(names).rpartition(".")[2]: self.value(names, levels) for _ in range(self.randint(0, most))}


@pytest.mark.parametrize("format_", FORMATS)
def test_whatever_an_option_holds_the_result_is_one_that_check_takes(format_):
    """Or it is refused, where the daemon expects a text and gets a list or an object."""
    names, taken = [*OPTIONS[format_], "host", "port", "address", "bins", "metric", "quantiles"], 0
    chance = Chance(8125)
    for _ in range(60):
        mappings = [chance.object(names, 1) for _ in range(3)]
        nested = {"graphite": chance.object(names), "defaults": chance.object(names), "mappings": mappings}
        nested |= {"filters": ["a", "b"], "filter": {"a": chance.object(names), "b": chance.value(names)}}
        nested |= {"dogstatsd_mapper_profiles": [{"name": "x", "prefix": chance.value(names), "mappings": mappings}]}
        text = json.dumps({**chance.object(names, most=8), **nested})
        with suppress(ConfigError):
            builder = of_text(text, format_)
            builder.toml().encode()
            assert {entry.line for entry in builder.lines} <= {0, 1}
            taken += 1
    assert taken >= 12


PIECES = [
    *"{}[](),:'\"#&*!|>-=%@` \n\t0179aex.~?", "a:", "a: ", "- ", "\n  ", "&a ", "*a", "<<: ", "!!int ",
    "!!float x", "!!timestamp ", "!!binary x",
    "2001-99-99", "[a]\n", "a = ", '"""', "\ud800", "\x00", "DD_A=", "---\n",
    "!!set {a}", "0x", "1:99",
]  # fmt: skip


@settings_of(max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_whatever_the_text_is_only_its_own_error_comes_out(text):
    for reader in (yamltree.read, tomltree.read):
        with suppress(NotReadable):
            str(plain(reader(text)))
    envtree.read(text, "DD_")
    detect(text)


TABLES = {
    "statsd/statsd": statsd.OPTIONS,
    "statsd_exporter": statsd_exporter.DEFAULTS,
    "a mapping of statsd_exporter": statsd_exporter.MAPPING,
    "gostatsd": gostatsd.OPTIONS,
    "a filter of gostatsd": gostatsd_filters.OPTIONS,
    "the Datadog agent": datadog.OPTIONS,
    "a mapping of the Datadog agent": datadog_profiles.MAPPING,
}


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_of_the_migration_guide_are_those_of_the_importers(name):
    assert rows(TABLES[name]) in MIGRATING


def rows(options) -> str:
    lines = ["| option | | what it becomes |", "|---|---|---|"]
    cells = ((key, one.verdict, one.becomes.replace("|", r"\|")) for key, one in options.items())
    return "\n".join([*lines, *(f"| `{key}` | {verdict} | {becomes} |" for key, verdict, becomes in cells)])


@pytest.mark.parametrize("name", TABLES)
def test_what_the_tables_name_exists(name):
    structs = [table for table in msgspec.structs.fields(Config) if hasattr(table.type, "__struct_fields__")]
    keys = {f"{table.name}.{key}" for table in structs for key in table.type.__struct_fields__} | {"tags.host"}
    tables = {table.name for table in msgspec.structs.fields(Config)}
    for option in TABLES[name].values():
        for key in re.findall(r"`([a-z]+\.[a-z_]+)\b", option.becomes):
            assert key.partition(".")[0] not in tables or key in keys, key
