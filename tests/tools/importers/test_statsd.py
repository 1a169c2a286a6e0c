"""config.js of statsd/statsd: the result of each option."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import re2
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

from relay.config.loading import load
from relay.daemon.build import make_namer
from relay.errors import ConfigError
from relay.model import Identity, Kind, Resolution
from relay.naming.ruleset import Ruleset
from relay.tools.importers.readers.javascript import EnvReference, find_env_reference, is_hostname
from tests.support.imports import by_hand, imported, of_text, said, settings, verdicts


def test_config_js():
    builder = imported("config.js")
    assert settings(builder) == {
        "listen.udp": ["0.0.0.0:8125"],
        "listen.dialects": ["statsd", "dogstatsd", "graphite"],
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
    assert by_hand(builder) == {30}
    assert said(builder, "graphite.globalSuffix").startswith("by hand: tags.host, by default the host name; or host =")
    assert '# host = "${HOSTNAME}"' in builder.toml()
    assert said(builder, "flushInterval 10000") == "changed: window.seconds = 60: the cloud charts minutes"
    assert said(builder, "address") == "ok: every address, as before"
    assert said(builder, "keyFlush.interval").startswith("dropped: ")


def test_several_servers():
    builder = imported("servers.js")
    assert settings(builder) == {
        "listen.udp": ["0.0.0.0:8125", "0.0.0.0:8127", "[::]:8127"],
        "listen.dialects": ["statsd", "dogstatsd", "graphite"],
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
    assert by_hand(builder) == set()


def test_what_comes_from_the_environment():
    builder = imported("environment.js")
    text = builder.toml()
    assert 'udp = ["${BIND_ADDRESS:-0.0.0.0}:${STATSD_PORT:-8125}"]' in text
    assert 'to = "${OLD_HOST:-127.0.0.1}:8125"' in text
    assert 'listen = "127.0.0.1:${MGMT_PORT:-8126}"' in text
    assert settings(builder)["window.percentiles"] == [95]
    assert by_hand(builder) == {2, 3, 4, 5, 7, 9, 10}
    assert "hunter2" not in text + "".join(map(str, builder.lines)), "a back end's password must not be shown"


def test_an_empty_config_js_becomes_what_the_reference_does_by_default():
    builder = of_text("{ backends: ['./backends/graphite'] }")
    assert settings(builder) == {
        "listen.udp": ["0.0.0.0:8125"], "window.percentile_style": "statsd", "window.percentiles": [90],
        "listen.dialects": ["statsd", "dogstatsd", "graphite"],
    }  # fmt: skip
    assert {entry.what for entry in builder.lines if entry.verdict == "changed"} == {
        "flushInterval 10000", "deleteIdleStats", "deleteGauges", "mgmt_address", "graphite.legacyNamespace",
    }  # fmt: skip
    assert builder.needs_person == 0


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
        ("server: './servers/tcp'", {"listen.tcp": ["0.0.0.0:8125", "[::]:8125"], "listen.udp": []}),
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
    builder = of_text("{ repeater: [{ host: '10.0.0.1', port: 8125 }] }")
    assert "tee" not in settings(builder)
    assert said(builder, "repeater").startswith("dropped: statsd does not use it")


def test_bins_that_exempt_timers_are_kept():
    builder = of_text("{ histogram: [ { metric: 'foo', bins: [] }, { metric: '', bins: [50, 'inf'] } ] }")
    expected = [{"metric": "foo", "bins": []}, {"metric": "", "bins": [50, "inf"]}]
    assert settings(builder)["window.histogram"] == expected
    assert builder.needs_person == 0


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("process.env.PORT || 8125", EnvReference("PORT", "8125")),
        ("process.env['PORT']", EnvReference("PORT", None)),
        ("parseInt(process.env.PORT, 10) || 8125", EnvReference("PORT", "8125")),
        ("Number(process.env.P ?? '5')", EnvReference("P", "5")),
        ("process.env.A + process.env.B", None),
        ("process.env.A || '${B}'", None),
    ],
)
def test_variables_in_expressions(source, expected):
    assert find_env_reference(source) == expected


def test_host_names_in_expressions():
    assert is_hostname("require('os').hostname().split('.')[0]")
    assert is_hostname("os.hostname()")
    assert not is_hostname("hostnames[0]")


def test_the_commonest_file_that_is_a_function_is_read():
    builder = of_text(
        "(function () { return { port: 8130, deleteIdleStats: true, backends: ['./backends/repeater'],"
        " repeater: [{ host: '192.0.2.7', port: 8125 }] }; })();"
    )
    found = settings(builder)
    assert (found["listen.udp"], found["window.idle_gauges"], found["tee"]) == (
        ["0.0.0.0:8130"], "drop", ["192.0.2.7:8125"],
    )  # fmt: skip
    assert builder.needs_person == 0


def test_nothing_is_said_of_defaults_while_a_part_is_not_read():
    for text in ("{ port: 8130, ...require('./base') }", "if (x) { y() }\nmodule.exports = { port: 8130 }"):
        builder = of_text(text)
        assert [entry for entry in builder.lines if not entry.line] == []
        assert said(builder, "defaults of statsd").startswith("by hand: ")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("deleteIdleStats: 'false'", {"window.idle_gauges": "drop"}),
        ("deleteIdleStats: []", {"window.idle_gauges": "drop"}),
        ("deleteIdleStats: ''", {"window.idle_gauges": "keep", "window.idle": "zero"}),
        ("address_ipv6: {}", {"listen.udp": ["0.0.0.0:8125", "[::]:8125"]}),
        ("flush_counts: 0", {"cloud.counter_values": "rate"}),
        ("flush_counts: 'false'", {"cloud.counter_values": None}),
        ("automaticConfigReload: 0", {"config.watch": False}),
        ("debug: 'false'", {"log.level": "debug"}),
    ],
)
def test_truths_are_those_of_javascript(options, expected):
    found = settings(of_text(f"{{ port: 8125, {options} }}"))
    assert {key: found.get(key) for key in expected} == expected


def test_prefixes_that_the_reference_has_by_default_are_told():
    builder = of_text("{ graphite: { legacyNamespace: false, globalPrefix: '', prefixTimer: 'time' } }")
    assert {what: verdict for what, verdict in verdicts(builder).items() if "refix" in what} == {
        "graphite.globalPrefix": "ok", "graphite.prefixTimer time": "ok", "graphite.prefixCounter counters": "changed",
        "graphite.prefixGauge gauges": "changed", "graphite.prefixSet sets": "changed",
    }  # fmt: skip


KINDS = {Kind.COUNTER: "Counter", Kind.TIMER: "Timer", Kind.GAUGE: "Gauge", Kind.SET: "Set"}
PREFIX = st.sampled_from([None, "", "a", "a.b", "x_"])


@settings_of(max_examples=60)
@given(
    st.sampled_from([None, True, False]),
    st.fixed_dictionaries({f"prefix{kind}": PREFIX for kind in KINDS.values()} | {"globalPrefix": PREFIX}),
    st.sampled_from(["web.hits", "a"]),
)
def test_names_are_those_of_the_reference_or_the_report_says_changed(legacy, prefixes, name):
    """The reference: prefix for all, prefix of the class, name, where legacyNamespace is false; else `stats`."""
    given_ = {key: text for key, text in prefixes.items() if text is not None}
    builder = of_text(json.dumps({"graphite": given_ | ({} if legacy is None else {"legacyNamespace": legacy})}))
    told = verdicts(builder)
    namer = make_namer(load(Path("relay.toml"), {}, text=builder.toml()).config, Ruleset([], re2=re2))
    if legacy is not False:
        assert told.get("graphite.legacyNamespace", told.get("graphite.legacyNamespace true")) == "changed"
        return
    for kind, word in KINDS.items():
        parts = [prefixes["globalPrefix"], prefixes[f"prefix{word}"], name]
        if None in parts:
            assert any(what.startswith("graphite.") and verdict == "changed" for what, verdict in told.items())
            continue
        resolution = namer.resolve(Identity(name.encode(), kind, b""))
        assert isinstance(resolution, Resolution)
        assert resolution.series.metric.removesuffix(f".{kind}") == ".".join(filter(None, parts))


def test_a_proxys_file_becomes_one_relay():
    builder = of_text(
        "{ nodes: [{host: '127.0.0.1', port: 8127, adminport: 8128}], host: '10.0.0.1', port: 8125,"
        " udp_version: 'udp4', mgmt_port: 8126, forkCount: 4, checkInterval: 1000, cacheSize: 10000 }"
    )
    assert settings(builder)["listen.udp"] == ["10.0.0.1:8125"]
    assert builder.needs_person == 0
    assert said(builder, "nodes").startswith("dropped: of the proxy: one relay replaces")
    assert {"host 10.0.0.1", "forkCount 4", "checkInterval 1000"} <= verdicts(builder).keys()


def test_a_server_that_is_an_expression_is_udp_and_work_for_a_person():
    builder = of_text(
        "{ server: './servers/' + (process.env.P || 'udp'), port: parseInt(process.env.PORT) || 8125,"
        " address: '10.0.0.1' }"
    )
    assert 'udp = ["10.0.0.1:${PORT:-8125}"]' in builder.toml()
    assert said(builder, "server").startswith("by hand: udp is assumed")
    assert said(builder, "port").startswith("by hand: ${PORT:-8125}")


def test_options_of_back_ends_go_with_them_and_every_other_has_a_line():
    builder = of_text(
        "{ backends: ['./backends/repeater', 'statsd-librato-backend', '@acme/redis-statsd'], librato: { email: 'x' },"
        " redisHost: 'r', other: 1, repeater: [{ host: 'h', port: 1, ttl: 5 }] }"
    )
    told = verdicts(builder)
    assert (told["librato"], told["redisHost"], told["other"]) == ("dropped", "dropped", "by hand")
    assert told["repeater[0].ttl"] == "by hand"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("\nexports.port = 8125;\nexports.debug = true", 3, "which is another value"),
        (
            "'use strict';\nvar cfg = { port: 8125, debug: true };\nmodule.exports = cfg; 'done'",
            3,
            "which is another value",
        ),
        ("const cfg = { port: 8125, debug: true };\nmodule.exports = cfg;", 1, "const cannot follow it"),
        ("#!/usr/bin/env node\nmodule.exports = { port: 8125, debug: true };", 1, "#!"),
    ],
)
def test_nothing_is_ok_of_a_file_that_the_reference_cannot_read(text, line, reason):
    builder = of_text(text, "statsd")
    [entry] = [entry for entry in builder.lines if entry.what == "the file as a whole"]
    assert (entry.verdict, entry.line) == ("by hand", line)
    assert "an error in statsd" in entry.became
    assert reason in entry.became
    assert "ok" not in verdicts(builder).values()
    assert settings(builder)["log.level"] == "debug"


def test_a_file_that_names_an_object_and_comes_to_none_is_refused():
    with pytest.raises(ConfigError, match="there is no object literal"):
        of_text("'use strict';\nvar cfg = { port: 8125 };", "statsd")
