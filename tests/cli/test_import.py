"""`statsd-relay import` from the command line: exit codes, files and their modes."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from relay.cli.shared.output_file import write
from relay.config.toml.places import read_text
from relay.errors import ConfigError, ExitCode, RelayError
from tests.support.command import call
from tests.support.node import has_node, install

SAMPLES = Path(__file__).parents[1] / "tools/importers/samples"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_import_check_and_what_is_to_do(tmp_path):
    result = tmp_path / "relay.toml"
    done = call("import", SAMPLES / "servers.js", "-o", result)
    assert (done.returncode, done.stderr) == (0, "")
    report, summary = done.stdout.splitlines()[:-1], done.stdout.splitlines()[-1]
    assert report[0] == "ok       line 8    servers[0].server ./servers/udp -> listen.udp = 0.0.0.0:8125"
    assert all(line[:8].strip() in ("ok", "changed", "dropped") for line in report)
    assert summary.startswith(f"wrote {result}: ")
    assert summary.endswith(f"Next: statsd-relay check {result}")
    assert mode(result) == 0o644
    assert call("check", "--without-credentials", result).returncode == 0


def test_something_for_a_person_is_a_warning_and_the_file_is_there(tmp_path):
    result = tmp_path / "relay.toml"
    done = call("import", SAMPLES / "config.js", "-o", result)
    assert done.returncode == 0
    assert done.stderr.startswith("warning RLY140  ")
    assert "by hand  line 30   graphite.globalSuffix require('os').hostname().split('.')[0] -> " in done.stdout
    assert call("check", "--without-credentials", result).returncode == 0


def test_without_a_file_the_configuration_is_all_that_is_printed():
    done = call("import", SAMPLES / "mapper.json")
    assert done.returncode == 0
    assert done.stdout.startswith(f"# From {SAMPLES / 'mapper.json'} (Datadog agent), by `statsd-relay import`")
    assert done.stdout.endswith('tags = { country = "${1}", state = "${2}" }\n')
    assert "shop: shop.orders.*.* -> rule 1" in done.stderr


def test_json(tmp_path):
    found = json.loads(call("import", SAMPLES / "mapper.json", "--json").stdout)
    assert (found["daemon"], found["by_hand"]) == ("Datadog agent", 0)
    assert {"verdict": "ok", "line": 2, "what": "shop: shop.orders.*.*", "became": "rule 1"} in found["report"]
    assert '[[rule]]\nmatch = "shop.orders.*.*"' in found["toml"]
    result = tmp_path / "relay.toml"
    assert "toml" not in json.loads(call("import", SAMPLES / "mapper.json", "--json", "-o", result).stdout)
    assert result.read_text() == found["toml"]


def test_a_file_is_never_overwritten_unasked(tmp_path):
    result = tmp_path / "relay.toml"
    result.write_text("mine\n")
    done = call("import", SAMPLES / "mapper.json", "-o", result)
    assert (done.returncode, done.stdout) == (71, "")
    assert "exists" in done.stderr
    assert result.read_text() == "mine\n"
    assert call("import", SAMPLES / "mapper.json", "-o", result, "--force").returncode == 0
    assert result.read_text().startswith("# From ")
    assert [path.name for path in tmp_path.iterdir()] == ["relay.toml"], "nothing temporary stays"


def test_what_may_be_a_secret_is_for_its_owner_alone(tmp_path):
    (tmp_path / "datadog.yaml").write_text("dogstatsd_tags: ['vault_token:hunter2']\n")
    result = tmp_path / "relay.toml"
    assert call("import", tmp_path / "datadog.yaml", "-o", result).returncode == 0
    assert 'vault_token = "hunter2"' in result.read_text()
    assert mode(result) == 0o600


def test_writing_fails_in_one_sentence(tmp_path):
    with pytest.raises(RelayError, match="cannot write") as caught:
        write(tmp_path / "absent/relay.toml", "x", is_private=False, force=False)
    assert caught.value.exit_code == ExitCode.BIND_OR_STATE


def test_errors_point_at_the_place(tmp_path):
    path = tmp_path / "config.js"
    path.write_text("{\n  port: 8125\n  address: '0.0.0.0'\n}\n")
    done = call("import", path)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.splitlines()[:3] == [
        f"{path}:3:3 error RLY103  expected a comma before this",
        "    3 |   address",
        "      |   ^",
    ]
    assert call("import", path, "--from", "gostatsd").returncode == 78
    assert call("import", path, "--from", "nobody").returncode == 64


def test_files_that_are_none(tmp_path):
    path = tmp_path / "config.js"
    with pytest.raises(ConfigError, match="cannot read"):
        read_text(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        read_text(path)
    path.write_bytes(b"/" * 1_048_577)
    with pytest.raises(ConfigError, match="is longer than"):
        read_text(path)


def test_standard_input_is_read_too():
    command = [sys.executable, "-m", "relay", "import", "-"]
    done = subprocess.run(command, input="{ port: 8130 }", capture_output=True, text=True, check=True)
    assert done.stdout.startswith("# From standard input (statsd/statsd)")
    assert 'udp = ["0.0.0.0:8130"]' in done.stdout
    done = subprocess.run(command, input="hello", capture_output=True, text=True, check=False)
    assert done.returncode == 78
    assert "RLY103  standard input: not a known configuration" in done.stderr


def test_a_comment_of_config_js_may_be_of_any_encoding(tmp_path):
    path = tmp_path / "config.js"
    path.write_bytes("{ port: 8130 /* für */ }".encode("latin-1"))
    assert call("import", path).returncode == 0
    path.write_bytes("mappings: [] # für\n".encode("latin-1"))
    done = call("import", path)
    assert (done.returncode, "is not UTF-8 text" in done.stderr) == (78, True)


@pytest.mark.skipif(not has_node(), reason="no npm")
def test_the_example_of_the_real_daemon(tmp_path):
    done = call("import", install() / "statsd/exampleConfig.js", "-o", tmp_path / "relay.toml")
    assert done.returncode == 0
    assert "dropped  line 128  graphiteHost graphite.example.com -> points go to [cloud] instead" in done.stdout
    assert call("check", "--without-credentials", tmp_path / "relay.toml").returncode == 0
