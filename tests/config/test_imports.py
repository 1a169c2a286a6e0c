"""Configurations of other daemons: what each sample becomes, and that whatever comes in, the result passes `check`."""

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

from relay.cli.check import find_problems
from relay.config.importers import (
    FORMATS,
    convert,
    datadog,
    datadog_profiles,
    envtree,
    gostatsd,
    gostatsd_filters,
    statsd,
    statsd_exporter,
    tomltree,
    yamltree,
)
from relay.config.importers.hints import Variable, find_variable, is_hostname
from relay.config.importers.patterns import Unsayable, from_glob, from_regex, literal_start, template
from relay.config.importers.recognise import recognise
from relay.config.importers.report import plain
from relay.config.importers.tree import NotReadable
from relay.config.loading import load
from relay.config.schema import Config
from relay.errors import ConfigError

SAMPLES = Path(__file__).parent / "imports"
NAMES = sorted(path.name for path in SAMPLES.iterdir())
MIGRATING = (Path(__file__).parents[2] / "deploy/MIGRATING.md").read_text()
OPTIONS = {
    "statsd": statsd.OPTIONS,
    "statsd_exporter": {**statsd_exporter.DEFAULTS, **statsd_exporter.MAPPING},
    "gostatsd": {**gostatsd.OPTIONS, **gostatsd_filters.OPTIONS},
    "datadog": {**datadog.OPTIONS, **datadog_profiles.MAPPING},
}


def imported(name: str):
    return convert((SAMPLES / name).read_text(), source=name)


def of_text(text: str, format_=None):
    return convert(text, source="file", format_=format_)


def settings(draft) -> dict:
    """What the result sets, as `check` reads it, but for what is nobody's choice."""
    loaded = load(Path("relay.toml"), {}, text=draft.toml())
    config = msgspec.to_builtins(loaded.config, enc_hook=str)
    found = {}
    for key in loaded.origins:
        table, _, name = key.partition(".")
        if table not in ("rule", "tee"):
            found[key] = config[table][name]
    rules = [{key: value for key, value in rule.items() if value not in ("", [], {}, "map")} for rule in config["rule"]]
    tees = [tee["to"] for tee in config["tee"]]
    return found | ({"rule": rules} if rules else {}) | ({"tee": tees} if tees else {})


def by_hand(draft) -> set[int]:
    return {entry.line for entry in draft.entries if entry.verdict == "by hand"}


def said(draft, what: str) -> str:
    """Verdict and outcome of the one entry that begins so."""
    [entry] = [entry for entry in draft.entries if entry.what.startswith(what)]
    return f"{entry.verdict}: {entry.became}"


@pytest.mark.parametrize("name", NAMES)
def test_every_result_passes_check(name, tmp_path, monkeypatch):
    for variable in ("JDCLOUD_ACCESS_KEY_ID", "JDCLOUD_SECRET_ACCESS_KEY", "JDCLOUD_REGION_ID"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "relay.toml"
    path.write_text(imported(name).toml())
    problems = find_problems(path)
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
    draft = of_text(json.dumps({**text, "nobody": 1}), format_)
    told = " ".join(entry.what for entry in draft.entries if entry.line)
    rules = {"filters", "mappings", "dogstatsd_mapper_profiles", "servers"}
    rules |= statsd_exporter.MAPPING.keys() | gostatsd_filters.OPTIONS.keys() | datadog_profiles.MAPPING.keys()
    assert {name for name in OPTIONS[format_] if name not in told} - rules == set()
    assert said(draft, "nobody").startswith("by hand: not an option of") or format_ == "datadog"


def test_config_js():
    draft = imported("config.js")
    assert settings(draft) == {
        "listen.udp": ["0.0.0.0:8125"],
        "names.prefix": "web",
        "names.counter_prefix": "counters",
        "window.percentile_style": "statsd",
        "window.percentiles": [90, 99.5, -10],
        "window.timer_metrics": ["count", "median", "upper_percent", "histogram"],
        "window.histogram": [{"metric": "render", "bins": [0.01, 0.1, 1, 10, "inf"]}],
        "window.idle_gauges": "keep:5m",
        "tee": ["10.10.10.10:8125", "observer:8126"],
        "admin.listen": "127.0.0.1:8126",
        "log.level": "warning",
    }
    assert by_hand(draft) == {30}
    assert said(draft, "graphite.globalSuffix").startswith(
        "by hand: tags.host, by default what hostname says; or host ="
    )
    assert '# host = "${HOSTNAME}"' in draft.toml()
    assert said(draft, "flushInterval 10000") == "changed: window.seconds = 60: the cloud charts minutes"
    assert said(draft, "address") == "ok: every address, as it was"
    assert said(draft, "keyFlush.interval").startswith("dropped: ")


def test_several_servers():
    draft = imported("servers.js")
    assert settings(draft) == {
        "listen.udp": ["0.0.0.0:8125", "0.0.0.0:8127", "[::]:8127"],
        "listen.tcp": ["127.0.0.1:8125"],
        "listen.unix": ["stream:/var/run/statsd.sock"],
        "listen.unix_mode": "0660",
        "window.percentile_style": "statsd",
        "window.percentiles": [95],
        "window.idle": "zero:counters",
        "window.idle_gauges": "keep",
        "cloud.counter_values": "rate",
        "admin.listen": "[::1]:8126",
    }
    assert by_hand(draft) == set()


def test_what_comes_from_the_environment():
    draft = imported("environment.js")
    text = draft.toml()
    assert 'udp = ["${BIND_ADDRESS:-0.0.0.0}:${STATSD_PORT:-8125}"]' in text
    assert 'to = "${OLD_HOST:-127.0.0.1}:8125"' in text
    assert 'listen = "127.0.0.1:${MGMT_PORT:-8126}"' in text
    assert settings(draft)["window.percentiles"] == [95]
    assert by_hand(draft) == {2, 3, 4, 5, 7, 8, 9, 10}
    assert "hunter2" not in text + "".join(map(str, draft.entries)), "a back end's password is nobody's business"


def test_an_empty_config_js_becomes_what_the_reference_does_by_default():
    draft = of_text("{ backends: ['./backends/graphite'] }")
    assert settings(draft) == {
        "listen.udp": ["0.0.0.0:8125"], "window.percentile_style": "statsd", "window.percentiles": [90],
    }  # fmt: skip
    assert {entry.what for entry in draft.entries if entry.verdict == "changed"} == {
        "flushInterval 10000", "deleteIdleStats", "deleteGauges", "mgmt_address", "graphite.legacyNamespace",
    }  # fmt: skip
    assert draft.needs_person == 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("deleteGauges: true", {"window.idle_gauges": "drop"}),
        ("deleteGauges: true, gaugesMaxTTL: 3", {"window.idle_gauges": "drop"}),
        ("deleteGauges: true, gaugesMaxTTL: 6", {"window.idle_gauges": "keep:1m"}),
        ("deleteGauges: true, gaugesMaxTTL: 30, flushInterval: 60000", {"window.idle_gauges": "keep:30m"}),
        ("deleteIdleStats: false", {"window.idle_gauges": "keep", "window.idle": "zero"}),
        ("deleteIdleStats: true, deleteSets: false", {"window.idle_gauges": "drop", "window.idle": "zero:sets"}),
        ("deleteTimers: false", {"window.idle": "zero:timers"}),
        ("address_ipv6: true", {"listen.udp": ["0.0.0.0:8125", "[::]:8125"]}),
        ("address: '10.0.0.1', port: 9000", {"listen.udp": ["10.0.0.1:9000"]}),
        ("server: './servers/tcp'", {"listen.tcp": ["0.0.0.0:8125"], "listen.udp": []}),
        ("mgmt_address: '0.0.0.0'", {"admin.listen": "0.0.0.0:8126"}),
        ("debug: true", {"log.level": "debug"}),
        ("automaticConfigReload: false", {"config.watch": False}),
        ("graphite: { globalSuffix: 'web01' }", {"tags.host": "web01"}),
        ("percentThreshold: 0", {"window.percentiles": [90]}),
    ],
)
def test_options_of_config_js(options, expected):
    found = settings(of_text(f"{{ {options} }}"))
    assert {key: found.get(key) for key in expected} == expected


def test_a_repeater_that_the_reference_does_not_use_is_none():
    draft = of_text("{ repeater: [{ host: '10.0.0.1', port: 8125 }] }")
    assert "tee" not in settings(draft)
    assert said(draft, "repeater").startswith("dropped: the reference does not use it")


def test_mapping_yml(monkeypatch):
    monkeypatch.setattr("relay.config.elements.find_re2", lambda: None)  # whatever this machine has
    draft = imported("mapping.yml")
    found = settings(draft)
    assert found["rule"] == [
        {"match": "jobs.*.duration", "type": "timer", "metric": "job_duration", "tags": {"job": "${1}"}},
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
        {"regex": "^memory[.]([^.]*)[.]([^.]*)_kb$", "metric": "memory_${2}"},
        {"match": "**", "action": "drop"},
    ]
    assert (found["window.percentiles"], found["window.idle_gauges"]) == ([50, 99], "keep:10m")
    assert found["listen.udp"] == found["listen.tcp"] == ["0.0.0.0:9125"]
    assert by_hand(draft) == {26, 31, 35, 38}
    assert said(draft, "mapping 5 ").startswith("by hand: a comment, as check refuses it: RLY133 ")
    assert said(draft, "mapping 8 .") == "ok: rule 6", "numbers are those of the rules that are left"
    assert '# regex = "(a+)+$"' in draft.toml()


def test_mappings_whose_order_is_not_the_files():
    found = settings(imported("unordered.yml"))
    assert [rule["match"] for rule in found["rule"]] == ["web.api.count", "web.*.count", "*.*.count"]


def test_gostatsd_toml():
    draft = imported("gostatsd.toml")
    found = settings(draft)
    assert found["rule"] == [
        {"match": "noisy.butok.**"},
        {"match": "noisy.**", "action": "drop"},
        {"regex": "^tmp[.][0-9]+$", "action": "drop"},
        {"match": "debug", "action": "drop"},
        {"match": "**", "drop_tags": ["request_path", "live"]},
    ]
    tags = {key.removeprefix("tags."): value for key, value in found.items() if key.startswith("tags.")}
    assert tags == {"env": "production", "cluster": "blue", "canary": "true"}
    assert (found["names.prefix"], found["window.idle_gauges"], found["window.idle"]) == (
        "shop",
        "keep:15m",
        "zero:counters",
    )
    assert "sum_squares" not in found["window.timer_metrics"]
    assert found["tee"] == ["old-statsd:8125"]
    assert by_hand(draft) == {29, 32}
    assert "0123456789abcdef" not in draft.toml() + "".join(map(str, draft.entries))


def test_gostatsd_in_yaml_and_by_default():
    found = settings(of_text("metrics-addr: /run/statsd.sock\nexpiry-interval: '-1'\nbackends: [stdout]\n"))
    assert (found["listen.unix"], found["listen.udp"]) == (["dgram:/run/statsd.sock"], [])
    assert found["window.idle_gauges"] == "drop"
    found = settings(of_text("backends = 'stdout'\n"))
    assert (found["listen.udp"], found["window.percentiles"]) == (["0.0.0.0:8125"], [90])
    assert found["window.idle_gauges"] == "keep:5m"


@pytest.mark.parametrize("format_", FORMATS)
def test_a_sign_of_a_gauge_means_what_it_meant_to_the_daemon(format_):
    draft = of_text('{"nobody": 1}', format_)
    has_deltas = format_ in ("statsd", "statsd_exporter")
    assert settings(draft).get("listen.gauge_deltas", True) is has_deltas
    assert has_deltas or said(draft, "gauges with a sign").startswith("ok: listen.gauge_deltas = false")


def test_digits_without_an_end_are_no_duration_and_take_no_time():
    began = time.process_time()
    draft = of_text("defaults: {ttl: " + "9" * 100_000 + "}\nmappings: [{match: a.*, name: a}]\n")
    assert draft.needs_person == 1
    assert time.process_time() - began < 2


def test_datadog_yaml():
    draft = imported("datadog.yaml")
    found = settings(draft)
    assert [rule.get("match") or rule["regex"] for rule in found["rule"]] == [
        "debug.noise", "debug.more", "^airflow[.]([^.]*)_start$", "^airflow[.]operator_failures_([^.]*)$",
        r"^airflow\.dag\.(.*)\.([^.]*)\.duration$",
    ]  # fmt: skip
    assert found["rule"][4]["tags"] == {"dag_id": "${1}", "task_id": "${2}"}
    assert found["listen.unix"] == ["dgram:/var/run/datadog/dsd.socket", "datadog:/var/run/datadog/dsd-stream.socket"]
    assert found["listen.receive_buffer"] == "4194304"
    assert (found["tags.host"], found["tags.env"], found["tags.canary"]) == ("web-1", "production", "true")
    assert (found["names.prefix"], found["window.percentiles"], found["tee"]) == ("shop", [95, 99], ["10.0.0.9:8125"])
    assert by_hand(draft) == {15, 43}
    assert "0123456789abcdef" not in draft.toml() + "".join(map(str, draft.entries))


def test_the_agents_older_list_counts_only_without_the_newer():
    draft = of_text(
        "metric_filterlist: [a]\nmetric_filterlist_match_prefix: true\nstatsd_metric_blocklist: [b]\n", "datadog"
    )
    assert settings(draft)["rule"] == [{"regex": "^a", "action": "drop"}]
    assert said(draft, "statsd_metric_blocklist").startswith("dropped: ")


def test_mapper_profiles_of_a_variable():
    for name in ("mapper.json", "agent.env"):
        [rule] = settings(imported(name))["rule"]
        assert rule["match"].startswith("shop.")
    assert settings(imported("agent.env"))["window.percentiles"] == [90, 99]
    assert settings(imported("mapper.json"))["listen.udp"] == ["127.0.0.1:8125", "[::1]:8125"]


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
        ("port = ", "gostatsd"),
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
        assert recognise(text) == format_
        return
    kinds = {
        "js": "statsd",
        "yml": "statsd_exporter",
        "toml": "gostatsd",
        "yaml": "datadog",
        "json": "datadog",
        "env": "datadog",
    }
    assert recognise((SAMPLES / format_).read_text()) == kinds[format_.rpartition(".")[2]]


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


def test_an_error_shows_no_secret_and_no_end_of_a_long_line():
    for text, shown in (("{ a b }", "{ a b }"), ("{ password: 'x' y }", ""), (f"{{{' ' * 300}a b }}", "")):
        with pytest.raises(ConfigError) as caught:
            of_text(text)
        assert caught.value.problems[0].text == shown


def test_bins_that_exempt_timers_are_kept():
    draft = of_text("{ histogram: [ { metric: 'foo', bins: [] }, { metric: '', bins: [50, 'inf'] } ] }")
    expected = [{"metric": "foo", "bins": []}, {"metric": "", "bins": [50, "inf"]}]
    assert settings(draft)["window.histogram"] == expected
    assert draft.needs_person == 0


def test_nobodys_file_names_the_choices():
    with pytest.raises(ConfigError, match=r"--from statsd\|statsd_exporter\|gostatsd\|datadog"):
        of_text("hello")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("process.env.PORT || 8125", Variable("PORT", "8125")),
        ("process.env['PORT']", Variable("PORT", None)),
        ("parseInt(process.env.PORT, 10) || 8125", Variable("PORT", "8125")),
        ("Number(process.env.P ?? '5')", Variable("P", "5")),
        ("process.env.A + process.env.B", None),
        ("process.env.A || '${B}'", None),
    ],
)
def test_variables_in_expressions(source, expected):
    assert find_variable(source) == expected


def test_host_names_in_expressions():
    assert is_hostname("require('os').hostname().split('.')[0]")
    assert is_hostname("os.hostname()")
    assert not is_hostname("hostnames[0]")


def test_patterns():
    assert from_glob("a.*.b")[:3] == ("match", "a.*.b", 1)
    assert from_glob("a.b_*")[:3] == ("regex", "^a[.]b_([^.]*)$", 1)
    assert from_regex(".")[:2] == ("match", "**")
    assert from_regex("a|b", anchored=True).text == "^(?:a|b)$"
    assert literal_start(from_regex(r"^air\.flow_?x")) == "air.flow"
    assert literal_start(from_regex("a|b")) == ""
    named = from_regex("(?P<who>x)(y)")
    assert template("$who-$2-${who}", named) == "${1}-${2}-${1}"
    for text in ("$3", "$nobody", "$0", "5 $"):
        with pytest.raises(Unsayable):
            template(text, named)
    for text in (r"\pL", "[[:alpha:]]", "(", r"\Qx\E"):
        with pytest.raises(Unsayable):
            from_regex(text)


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
    chance, names = Chance(8125), [*OPTIONS[format_], "host", "port", "address", "bins", "metric", "quantiles"]
    for _ in range(12):
        mappings = [chance.object(names, 1) for _ in range(3)]
        nested = {"graphite": chance.object(names), "defaults": chance.object(names), "mappings": mappings}
        nested |= {"filters": ["a", "b"], "filter": {"a": chance.object(names), "b": chance.value(names)}}
        nested |= {"dogstatsd_mapper_profiles": [{"name": "x", "prefix": chance.value(names), "mappings": mappings}]}
        text = json.dumps({**chance.object(names, most=8), **nested})
        draft = of_text(text, format_)
        draft.toml().encode()
        assert {entry.line for entry in draft.entries} <= {0, 1}


PIECES = [
    *"{}[](),:'\"#&*!|>-=%@` \n\t0179aex.~?", "a:", "a: ", "- ", "\n  ", "&a ", "*a", "<<: ", "!!int ",
    "!!float x", "!!timestamp ", "!!binary x",
    "2001-99-99", "[a]\n", "a = ", '"""', "\ud800", "\x00", "DD_A=", "---\n",
    "!!set {a}", "0x", "1:99",
]  # fmt: skip


@settings_of(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_whatever_the_text_is_only_its_own_error_comes_out(text):
    for reader in (yamltree.read, tomltree.read):
        with suppress(NotReadable):
            str(plain(reader(text)))
    envtree.read(text, "DD_")
    recognise(text)


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
