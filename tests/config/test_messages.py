"""Configuration errors name the value, the rule and the numbers of both."""

from __future__ import annotations

import json
import os

import pytest

from relay.config.loading import keys, load
from relay.config.types import to_toml
from relay.config.validate import ELEMENT_RULES, RULES
from relay.errors import ConfigError
from tests.config.test_loading import problems, write

BROKEN = {
    "listen.udp": (["x:1"], ['"x:1"', "ADDRESS:PORT"]),
    "listen.tcp": (["127.0.0.1:99999"], ["127.0.0.1:99999", "ADDRESS:PORT"]),
    "listen.unix": (["dgram:/a", "stream:/a"], ['"/a"', "2 times", "once"]),
    "listen.unix_mode": ("9x9", ['"9x9"', '"0660"']),
    "listen.stream_connections": (10_001, ["10001", "1 and 10000"]),
    "listen.stream_idle": ("2d", ["2d", "0.1s and 1d"]),
    "listen.line_limit": ("63B", ["63B", "64B and 64KiB"]),
    "listen.allow": (["10.0.0.0/33"], ["10.0.0.0/33", "10.0.0.0/8"]),
    "listen.receive_buffer": ("2GiB", ["2GiB", "4KiB and 1GiB"]),
    "listen.receive_delay": ("11ms", ['"11ms"', '"10ms"']),
    "listen.readers": (65, ["65", "1 and 64", f"has {os.cpu_count()} core"]),
    "names.prefix": ("a b", ['"a b"', "255"]),
    "names.counter_prefix": ("a-b", ['"a-b"', "255"]),
    "names.timer_prefix": ("a-b", ['"a-b"', "255"]),
    "names.gauge_prefix": ("a-b", ['"a-b"', "255"]),
    "names.set_prefix": ("x" * 256, ["xxx", "with 256", "255"]),
    "window.seconds": (3601, ["3601", "1 and 3600"]),
    "window.idle_gauges": ("keep:soon", ['"keep:soon"', '"drop"', "36500d"]),
    "window.checkpoint": ("16s", ["16s", "0.05s and 15s"]),
    "window.percentiles": ([100.5], ["100.5", "0 and 100"]),
    "window.histogram": ([{"bins": [2, 1.25]}], ["entry 1", "[2.0, 1.25]", "ascend"]),
    "window.timer_metrics": (["sum"], ['"plain"', '"statsd"']),
    "window.idle": ("zero:gauges", ['"zero:gauges"', "counters, timers, sets"]),
    "limits.series": (9, ["not 9", "10 and 10000000"]),
    "limits.series_per_metric": (10_000_001, ["10000001", "1 and 10000000"]),
    "limits.memory": ("1KiB", ["1KiB", "1MiB and 1024GiB"]),
    "admin.listen": ("x:1", ['"x:1"', "ADDRESS:PORT"]),
    "admin.hosts": (["a b"], ['"a b"', "host name"]),
    "telemetry.prefix": ("a-b", ['"a-b"', "255"]),
    "admin.history": ("2GiB", ["2GiB", "and 1GiB"]),
    "spool.max": ("1KiB", ["1KiB", "1MiB and 1024GiB"]),
    "spool.dead_letters": ("1KiB", ["1KiB", "64KiB and 1024GiB"]),
}
"""Each key with a rule: a value that breaks it, and words of the message. Values of [cloud] are never shown."""
MISTYPED = {
    "listen.readers": (1.5, ["whole number", ": 1.5"]),
    "listen.stream_connections": ("many", ["whole number", ': "many"']),
    "listen.line_limit": ("-1KiB", ['not "-1KiB"', "64KiB"]),
    "listen.stream_idle": ("soon", ['not "soon"', "36500d"]),
    "log.level": ("loud", ['"loud"', '"info"']),
    "config.watch": ("maybe", ["true or false", ': "maybe"']),
}
"""Values of the wrong type."""
CASES = [(key, *case) for table in (BROKEN, MISTYPED) for key, case in table.items()]


def test_every_key_with_a_rule_is_in_the_table():
    assert {key for key in RULES | ELEMENT_RULES if not key.startswith("cloud.")} == BROKEN.keys()


def as_variable(key: str, value: object) -> dict[str, str]:
    name = f"STATSD_RELAY_{key.upper().replace('.', '_')}"
    if key == "window.histogram":
        return {name: json.dumps(value)}
    return {name: ",".join(map(str, value)) if isinstance(value, list) else str(value)}


@pytest.mark.parametrize("is_variable", [False, True], ids=["file", "variable"])
@pytest.mark.parametrize(("key", "value", "words"), CASES, ids=[key for key, *_ in CASES])
def test_a_message_names_the_value_and_the_numbers_of_its_rule(key, value, words, is_variable, tmp_path):
    table, name = key.split(".")
    text = "" if is_variable else f"[{table}]\n{name} = {to_toml(value)}\n"
    found = [problem.message for problem in problems(tmp_path, text, as_variable(key, value) if is_variable else {})]
    assert all(message.startswith(f"{key} ") for message in found)
    wanted = [word for word in words if not (is_variable and word == ": 1.5")]
    assert [word for word in wanted if word not in " ".join(found)] == [], found


def test_a_message_of_the_proxy_keeps_its_example(tmp_path):
    [problem] = problems(tmp_path, '[cloud]\nproxy = "x"\n')
    assert "such as http://HOST:PORT" in problem.message


DIGITS = "9" * 400
STRANGE = (DIGITS, f"-{DIGITS}", f"[{DIGITS}]", "9" * 5000, "1e999", "nan", "-inf", "[" * 500 + "]" * 500)


@pytest.mark.parametrize("key", keys())
def test_no_number_of_any_size_ends_in_anything_but_problems(key, tmp_path):
    table, name = key.split(".")
    for value in STRANGE:
        with pytest.raises(ConfigError):
            load(write(tmp_path, f"[{table}]\n{name} = {value}\n"), {})
