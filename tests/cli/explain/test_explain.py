"""The exact output of `explain`."""

from __future__ import annotations

import json
import re

import pytest

from relay.cli import COMMANDS
from relay.cli.explain.codes import pages
from relay.config.schema import Config
from relay.errors import CODES
from tests.support.command import Done, call

RELAY = """
[tags]
host = "web01"
[cloud]
namespace = "app"
[[rule]]
match = "web.*.request.*"
metric = "web.request"
tags = { service = "$1", outcome = "$2" }
drop_tags = ["request_id"]
[[rule]]
regex = '^debug\\.(\\w+)'
type = "counter"
action = "drop"
"""


@pytest.fixture
def file(tmp_path) -> str:
    path = tmp_path / "relay.toml"
    path.write_text(RELAY)
    return str(path)


def explain(*arguments: str, **env: str) -> Done:
    return call("explain", *arguments, env=env)


PAGES = pages()
NO_RELAY = "no relay answers on 127.0.0.1:8126, [::1]:8126"


def test_every_code_has_a_page_and_no_other():
    assert list(PAGES) == list(CODES)
    assert all(page.causes and page.remedies for page in PAGES.values())


def test_pages_name_commands_and_keys_that_exist():
    text = "\n".join(entry for page in PAGES.values() for part in page for entry in part)
    commands = set(re.findall(r"`statsd-relay (\w+)", text))
    assert commands
    assert commands <= set(COMMANDS)
    keys = {(table, key) for table, key in re.findall(r"\[(\w+)\] (\w+)", text) if table != "tags"}
    config = Config()
    assert len(keys) > 10
    assert {(table, key) for table, key in keys if not hasattr(getattr(config, table), key)} == set()


def test_a_code_prints_its_page():
    done = explain("rly121")
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        done.stdout
        == """\
RLY121  A secret file can be read by every user of this machine.

usual causes
  - The file with the secret key has a mode such as 0644.
  - In Kubernetes, a Secret is mounted with the default mode.

what to do
  - chmod 600 FILE, owned by the relay's user.
  - In Kubernetes: defaultMode: 0400 at the volume, and fsGroup or runAsUser for the relay.
"""
    )
    page = json.loads(explain("RLY121", "--json").stdout)
    assert page == {"code": "RLY121", "meaning": CODES["RLY121"], **PAGES["RLY121"]._asdict()}


@pytest.mark.parametrize("code", ["RLY999", "RLY", "rly1"])
def test_a_code_that_does_not_exist(code):
    done = explain(code)
    assert done.returncode == 64
    assert f"there is no code {code.upper()}; there are RLY101, " in done.stderr


def test_a_line_is_walked_from_the_socket_to_the_points(file):
    done = explain("web.api.request.ok:12|ms|@0.5|#env:prod,request_id:9f3", "-c", file)
    assert (done.returncode, done.stderr) == (0, f"file {file}; {NO_RELAY}\n")
    assert (
        done.stdout
        == """\
timer       12, rate 0.5: weight 2
dialect     DogStatsD 1.0
tags        env=prod request_id=9f3
rule 1      web.*.request.*  $1=api $2=ok
            metric = "web.request", tags = { service = "$1", outcome = "$2" }, drop_tags = ["request_id"]
name        web.api.request.ok becomes web.request: rule 1
removed     request_id: by rule 1
dimensions  env=prod host=web01 outcome=ok service=api  (4 of 5, 43 of 255 bytes)
class       web.request.timer if a counter, gauge or set had the name first
sent as     app/web.request      type 2  sum 24  count 2  avg 12  min 12  max 12  last 12
            app/web.request.p95  type 2  sum 12  count 1  avg 12  min 12  max 12  last 12
"""
    )


def test_a_line_that_a_rule_drops(file):
    done = explain("debug.noise:1|c", "-c", file)
    assert done.returncode == 0
    assert (
        done.stdout
        == """\
counter     1
dialect     StatsD
rule 2      regex ^debug\\.(\\w+) (counters)  $1=noise
            action = "drop"
dropped     rule: the rule drops it
"""
    )


def test_a_bad_line_is_an_answer_and_no_error(file):
    done = explain("web.hits:1x|c", "-c", file)
    assert (done.returncode, done.stderr) == (0, f"file {file}; {NO_RELAY}\n")
    assert (
        done.stdout
        == """\
rejected    bad_value: not a number, too large for one, or longer than 64 bytes
            web.hits:1x|c
                      ^
"""
    )
    shown = json.loads(explain("web.hits:1x|c", "--json").stdout)
    assert (shown["verdict"], shown["reason"], shown["at"]) == ("rejected", "bad_value", 10)


def test_a_name_is_told_as_each_type(file):
    assert (
        explain("debug.noise", "-c", file).stdout
        == """\
as a        counter
rule 2      regex ^debug\\.(\\w+) (counters)  $1=noise
            action = "drop"
dropped     rule: the rule drops it
as a        timer, gauge, set
rule        no rule matches
dimensions  host=web01  (1 of 5, 11 of 255 bytes)
timer       app/debug.noise      type 2  sum  count  avg  min  max  last
            app/debug.noise.p95  type 2  sum  count  avg  min  max  last
gauge       app/debug.noise      type 2  sum  count  avg  min  max  last
set         app/debug.noise      type 2  sum  count  avg  min  max  last
"""
    )


def test_facts_for_programs(file):
    shown = json.loads(explain("web.api.request.ok:12|ms|#request_id:9f3", "-c", file, "--json").stdout)
    [part] = shown["parts"]
    assert (shown["verdict"], part["rule"], part["captures"]) == ("sent", 1, ["api", "ok"])
    assert (part["metric"], part["removed"]) == ("web.request", ["request_id"])
    assert part["dimensions"] == {"host": "web01", "outcome": "ok", "service": "api"}
    assert [(point["namespace"], point["metric"]) for point in shown["points"]] == [
        ("app", "web.request"),
        ("app", "web.request.p95"),
    ]
    assert json.loads(explain("debug.noise", "-c", file, "--json").stdout).keys() == {
        "counter",
        "timer",
        "gauge",
        "set",
        "source",
    }
    assert shown["source"] == {"relay": None, "file": file, "tried": ["127.0.0.1:8126", "[::1]:8126"]}


def test_wrong_input(file):
    assert explain("a:1|c\nb:1|c").returncode == 64
    assert explain("a:1|c", "b:1|c").returncode == 64
    assert explain("a:1|c", "-c", "/nowhere.toml").returncode == 78
    bad = explain("a:1|c", STATSD_RELAY_LIMITS_SERIES="many")
    assert bad.returncode == 78
    assert "error RLY102" in bad.stderr
