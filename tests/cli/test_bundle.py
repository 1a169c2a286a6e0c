"""`bundle` is one file with what a bug report needs, without secrets and by default without names."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from relay.tools.bundle.names import NameHider
from tests.support.canary import Canary
from tests.support.command import call
from tests.support.relay import SECRET, environment, make_emulator, relay_process

if TYPE_CHECKING:
    from pathlib import Path

TOP = "statsd-relay-bundle/"
NAMES = ("shop.orders", "cust-4711", "shop.bad", "shop.invoices")


def unpacked(path: Path) -> dict[str, str]:
    with tarfile.open(path) as tar:
        return {one.name.removeprefix(TOP): tar.extractfile(one).read().decode() for one in tar.getmembers()}


def run(environ: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "relay", "bundle", *map(str, arguments)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
async def bundles(tmp_path):
    """Bundles of a relay with bad lines and a refused metric: one with hashes, one with names."""
    emulator = make_emulator()
    emulator.poison = {"shop.invoices"}
    url = await emulator.start()
    environ = environment(url, tmp_path / "state", RULE=json.dumps([{"match": "debug.**", "action": "drop"}]))
    with relay_process(environ, tmp_path / "log") as relay:
        for _ in range(3):
            relay.send(b"shop.orders:1|c|#customer:cust-4711", b"shop.bad:x|ms", b"debug.sql:1|c", b"shop.invoices:1|c")
            await asyncio.sleep(0.4)
        await relay.wait_for(relay_dead_letters=1)
        found = {}
        for name, options in (("hashed", ()), ("named", ("--names",))):
            path = tmp_path / f"{name}.tar.gz"
            done = await asyncio.to_thread(run, environ, "-o", path, "--admin", relay.admin, *options)
            assert done.returncode == 0, done.stderr
            assert f"wrote {path}: " in done.stdout
            assert path.stat().st_mode & 0o777 == 0o600
            found[name] = unpacked(path)
        again = await asyncio.to_thread(run, environ, "-o", path, "--admin", relay.admin)
        assert again.returncode == 71
        assert again.stderr.startswith(f"error RLY101  {path} exists")
        port = relay.udp[1]
    await emulator.stop()
    return found, port, tmp_path


async def test_a_bundle_of_a_running_relay(bundles):
    found, port, tmp_path = bundles
    for files in found.values():
        for name in ("source.json", "versions.json", "config.json", "check.txt", "metrics.txt", "README.txt"):
            assert files[name], name
        for name in ("series", "tags", "rules", "senders", "dead-letters", "windows", "history", "log"):
            assert json.loads(files[f"api/{name}.json"]), name
        assert "relay_ledger_imbalance 0" in files["metrics.txt"]
        assert json.loads(files["source.json"])["version"] == json.loads(files["versions.json"])["statsd-relay"]
        assert int(files["kernel/rmem_max"]) > 0
        rows = files["kernel/net_udp"].splitlines()[1:]
        assert [int(row.split()[1].rpartition(":")[2], 16) for row in rows] == [port], "its own socket, and no other"
        assert any(name.endswith("/limits") for name in files)
        log = [json.loads(line) for line in json.loads(files["api/log.json"])["lines"]]
        assert len(log) > 2
        assert all(line["event"] for line in log)
        assert "debug.**" in files["config.json"], "rules are part of the configuration"
        canary = Canary({SECRET})
        assert canary.search(*(f"{name}\n{text}" for name, text in files.items())) == []
    for word in NAMES:
        assert [name for name, text in found["hashed"].items() if word in text] == [], word
    assert all(any(word in text for text in found["named"].values()) for word in NAMES)
    assert "127.0.0.1:" not in found["hashed"]["api/senders.json"]
    assert "hashes with a key of this bundle" in found["hashed"]["README.txt"]
    for file in tmp_path.glob("*.tar.gz"):
        assert SECRET.encode() not in file.read_bytes()


def test_without_a_relay_the_machine_and_the_file_are_left(tmp_path):
    file = tmp_path / "relay.toml"
    file.write_text(f'[cloud]\nregion = "cn-north-1"\nsecret_key = "{SECRET}"\n[admin]\nlisten = "127.0.0.1:1"\n')
    path = tmp_path / "out.tar.gz"
    done = call("bundle", "-o", path, "-c", file, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["missing"] == {"api/": "no relay answers"}
    files = unpacked(path)
    assert sorted(files) == sorted([*answer["files"]])
    assert "error RLY110  access_key is missing" in files["check.txt"]
    assert '"***"' in files["config.json"]
    assert Canary({SECRET}).search(*files.values()) == []
    assert "api/ (no relay answers)" in files["README.txt"]


def test_a_file_with_an_error_is_no_obstacle(tmp_path):
    file = tmp_path / "relay.toml"
    file.write_text('[window]\nseconds = 0\n[admin]\nlisten = "127.0.0.1:1"\n')
    done = call("bundle", "-o", tmp_path / "out.tar.gz", "-c", file)
    assert done.returncode == 0, done.stderr
    assert "not in it: config.json: " in done.stderr
    assert "window.seconds must be between 1 and 3600" in unpacked(tmp_path / "out.tar.gz")["check.txt"]


def test_a_relay_that_was_named_must_answer(tmp_path):
    done = call("bundle", "-o", tmp_path / "out.tar.gz", "--admin", "127.0.0.1:1")
    assert done.returncode == 69
    assert not (tmp_path / "out.tar.gz").exists()


def test_names_are_hidden_the_same_way_in_one_bundle_and_another_way_in_the_next():
    one, other = NameHider(b"1"), NameHider(b"2")
    hidden = one.hide({"metric": "a.b", "count": 3, "inner": [{"names": ["a.b", "c"]}], "text": "", "code": "RLY1"})
    assert hidden["metric"] == hidden["inner"][0]["names"][0] != "a.b"
    assert (hidden["count"], hidden["text"], hidden["code"]) == (3, "", "RLY1")
    about = {"code": "RLY310", "sentence": "x.y grows"}
    assert "x.y" not in str(one.hide(about))
    assert one.hide({**about, "code": "RLY120"})["sentence"] == "x.y grows"
    assert one.hide_in_text("a.b grows, c not") == f"{hidden['metric']} grows, c not"
    assert other.hide({"metric": "a.b"}) != {"metric": hidden["metric"]}
    assert NameHider(b"3").hide_in_text("a.b") == "a.b"
