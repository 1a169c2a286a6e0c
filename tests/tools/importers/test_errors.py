"""Files that an import refuses; neither a report nor an error shows a secret."""

from __future__ import annotations

import json
import re
from dataclasses import asdict

import pytest

from relay.errors import ConfigError
from relay.tools.importers import FORMATS
from tests.support.imports import of_text, settings, verdicts

STRANGERS = {
    "a compose file": "services:\n  agent:\n    image: x\n    environment: [DD_API_KEY]\n",
    "a manifest of Kubernetes": "apiVersion: v1\nkind: ConfigMap\ndata:\n  mapping.yml: |\n    mappings: []\n",
    "brubeck's configuration": '{"server_name": "b", "backends": [{"type": "carbon"}], "samplers": []}',
    "Telegraf's configuration": "[agent]\ninterval = '10s'\n[[inputs.statsd]]\n[[outputs.file]]\n",
    "Vector's configuration": "[sources.s]\ntype = 'statsd'\n[sinks.o]\ntype = 'console'\n",
    "the relay's own configuration": "[listen]\nudp = ['127.0.0.1:8125']\n[cloud]\nregion = 'cn-north-1'\n",
    "a mapping of statsd_exporter before 0.6": 'test.*.*\nname="x"\nkind="$1"\n',
    "statsite's configuration": "[statsite]\nport = 8125\nflush_interval = 10\n",
}
KNOWN = {"statsd": "port", "statsd_exporter": "mappings", "gostatsd": "namespace", "datadog": "dogstatsd_port"}


@pytest.mark.parametrize("what", STRANGERS)
@pytest.mark.parametrize("format_", [None, *FORMATS])
def test_what_is_of_another_daemon_or_tool_is_called_what_it_is(what, format_):
    with pytest.raises(ConfigError, match=re.escape(f"file: {what}")) as caught:
        of_text(STRANGERS[what], format_)
    [problem] = caught.value.problems
    assert (problem.code, problem.fix.startswith("give only the part")) == ("RLY103", True)


@pytest.mark.parametrize(
    ("text", "format_"),
    [
        ("a = 1\n", None), ("a = 1\n", "gostatsd"), ('{"a": 1}', None), ('{"a": 1}', "statsd"), ("{ a: 1 }", None),
        ("data:\n  mapping.yml: x\n", "statsd_exporter"), ("a: 1\n", "datadog"), ("", "datadog"), ("", "gostatsd"),
        ("- 1\n", "datadog"),
    ],
)  # fmt: skip
def test_a_file_without_one_known_name_is_refused_and_tells_of_no_defaults(text, format_):
    with pytest.raises(ConfigError) as caught:
        of_text(text, format_)
    assert caught.value.problems[0].code == "RLY103"


def test_of_several_documents_the_first_counts_as_it_does_there():
    builder = of_text("mappings: [{match: a.*, name: a}]\n---\nmappings: [{match: b.*, name: b}]\n", "statsd_exporter")
    assert [rule["metric"] for rule in settings(builder)["rule"]] == ["a"]
    [entry] = [entry for entry in builder.lines if entry.what == "a second document"]
    assert (entry.verdict, entry.line) == ("dropped", 2)
    assert "a second document" not in verdicts(of_text("--- # one\nmappings: []\n...\n", "statsd_exporter"))


def test_a_table_of_toml_that_another_one_implies_has_its_line():
    text = "filters = 'a'\n\n[filter.a]\ndrop-metric = true\n\n[newrelic.x]\na = 1\n"
    lines = {entry.what: entry.line for entry in of_text(text, "gostatsd").lines}
    assert (lines["filter.a"], lines["newrelic"]) == (3, 6)


CANARY = "KEY-0123456789"
PRIVATE = [
    "api-key", "apikey", "api_key", "app_key", "app key", "access.key", "access-key", "private_key", "secretKey",
    "password", "token", "authorization", "Bearer", "custom-headers", "header", "credentials", "session_token",
]  # fmt: skip
DROPPED = {"statsd": "influxdb", "statsd_exporter": "histograms", "gostatsd": "newrelic", "datadog": "apm_config"}


def everything_said(builder) -> str:
    return "\n".join([*map(str, builder.lines), json.dumps([asdict(entry) for entry in builder.lines]), builder.toml()])


def holding(name: str, format_: str) -> dict:
    """A file of a daemon with the canary under a name at every level, and in every table that is dropped."""
    listed = [{name: CANARY}]
    options = {KNOWN[format_]: None, name: CANARY, "other": {name: CANARY}, "custom": listed}
    options |= {DROPPED[format_]: {"any": CANARY, "list": [{"x": CANARY}]}}
    options |= {"headers": {"Authorization": f"Bearer {CANARY}"}, "url": f"https://u:{CANARY}@h/?{name}={CANARY}"}
    if format_ == "statsd":
        backends = ["statsd-influxdb-backend"]
        options |= {"backends": backends, "graphiteHost": f"http://u:{CANARY}@h", "log": {name: CANARY}}
    if format_ == "statsd_exporter":
        options["defaults"] = {"histogram_options": {"any": CANARY}, name: CANARY}
        options["mappings"] = [{"match": "a.*", "name": "a", name: CANARY, "help": f"{name}: {CANARY}"}]
    if format_ == "gostatsd":
        options |= {"filters": "f", "filter": {"f": {name: CANARY}}, "datadog": {"api_key": CANARY, "x": CANARY}}
    if format_ == "datadog":
        options["dogstatsd_mapper_profiles"] = [{"name": "p", "prefix": "a.", name: CANARY, "mappings": listed}]
    return options


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("name", PRIVATE)
def test_a_secret_under_any_key_is_in_no_report(format_, name):
    assert CANARY not in everything_said(of_text(json.dumps(holding(name, format_)), format_))


def test_a_tag_that_may_be_a_secret_is_in_the_file_and_not_in_the_report():
    builder = of_text(json.dumps({"dogstatsd_tags": [f"vault_token:{CANARY}"]}))
    assert builder.holds_secret
    assert CANARY in builder.toml()
    assert CANARY not in "".join(map(str, builder.lines))


def test_a_secret_in_javascript_that_is_not_read_is_in_no_report():
    text = (
        f"process.env.API_KEY = '{CANARY}'; module.exports = {{ port: get({{ token: '{CANARY}' }}), x: f('{CANARY}') }}"
    )
    assert CANARY not in everything_said(of_text(text))


@pytest.mark.parametrize(
    ("text", "format_"),
    [
        (f"namespace = 'a'\n[newrelic]\napi-key = {CANARY}\n", "gostatsd"),
        (f"namespace = 'a'\nkeyy = {CANARY}\n", "gostatsd"),
        (f'namespace = """a\n{CANARY}""" x\n', "gostatsd"),
        (f"namespace = {CANARY}\n", "gostatsd"),
        (f"api_key: *{CANARY}\n", "datadog"),
        (f"api_key: !{CANARY} x\n", "datadog"),
        (f'api_key: "{CANARY}\n', "datadog"),
        (f"dogstatsd_port: {{ {CANARY} ]\n", "datadog"),
        (f"{{ port: 1 '{CANARY}' }}", "statsd"),
        (f"{{ port: '{CANARY}' x }}", "statsd"),
        (f"{{ port: `{CANARY}", "statsd"),
        (f"{{ '{CANARY}' x }}", "statsd"),
        (f"mappings: [\n{CANARY}: &a [*b]\n", "statsd_exporter"),
    ],
)
def test_a_secret_in_a_file_that_cannot_be_read_is_in_no_error(text, format_):
    with pytest.raises(ConfigError) as caught:
        of_text(text, format_)
    [problem] = caught.value.problems
    assert "0123" not in f"{problem} {asdict(problem)}"
