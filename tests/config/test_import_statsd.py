"""config.js of statsd/statsd: what its options become."""

from __future__ import annotations

import pytest

from relay.config.importers.hints import Variable, find_variable, is_hostname
from tests.support.imports import by_hand, imported, of_text, said, settings


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


def test_bins_that_exempt_timers_are_kept():
    draft = of_text("{ histogram: [ { metric: 'foo', bins: [] }, { metric: '', bins: [50, 'inf'] } ] }")
    expected = [{"metric": "foo", "bins": []}, {"metric": "", "bins": [50, "inf"]}]
    assert settings(draft)["window.histogram"] == expected
    assert draft.needs_person == 0


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
