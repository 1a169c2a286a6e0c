"""The secret appears nowhere (I10): every log, file and page of the fault tests is searched.

conftest.py searches the files that each test of this folder leaves. Here a relay meets every error that might show the
secret, and the search is proved to find a secret.
"""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import sqlite3
import subprocess
import sys
import urllib.request
import zlib
from contextlib import closing

import pytest

from relay.tools.emulator import Fault
from tests.support.canary import Canary
from tests.support.chaos import ChaosProxy
from tests.support.command import call
from tests.support.oracle import conserve
from tests.support.relay import SECRET, run
from tests.support.statsd import ask

TOKEN = "canary-t0ken/+="
PAGES = ("/metrics", "/-/healthy", "/-/ready", "/nowhere")
CONSOLE = b"help\nhealth\nstats\ncounters\ntimers\ngauges\nconfig\n"
COMMANDS = (
    "config show",
    "config show --json",
    "check",
    "spool stat",
    "spool verify --json",
    "dead list --json",
    "dead show",
    "dead show --json",
)


def test_the_search_finds_what_it_looks_for(tmp_path):
    canary = Canary({"s3cret/key"})
    (tmp_path / "fine").write_text("nothing here")
    assert canary.search(tmp_path, "nor here") == []
    assert canary.files == 1
    shapes = ("s3cret/key", "s3cret%2Fkey", b"s3cret/key".hex(), base64.b64encode(b"xx s3cret/key yy").decode())
    for shape in (*shapes, "Signature=2a98f83c074e7bee", "JDCLOUD2-HMAC-SHA256 Credential=ak/20190214"):
        (tmp_path / "log").write_text(f"event {shape} end")
        assert len(canary.search(tmp_path)) == 1, shape
        assert len(canary.search(f"page {shape}")) == 1, shape
    (tmp_path / "log").unlink()
    with closing(sqlite3.connect(tmp_path / "spool.db")) as database:
        database.execute("CREATE TABLE batches (body BLOB)")
        database.execute("INSERT INTO batches VALUES (?)", (zlib.compress(b"s3cret/key" * 100),))
        database.commit()
    assert len(canary.search(tmp_path)) == 1
    with pytest.raises(AssertionError, match="no secret"):
        Canary().search(tmp_path)


def page(admin: str, path: str) -> bytes:
    try:
        with urllib.request.urlopen(f"http://{admin}{path}", timeout=5) as answer:
            return str(answer.headers).encode() + answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return str(error.headers).encode() + error.read()


def command(text: str, environ: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "relay", *text.split()],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


async def reload(relay) -> None:
    """Reload; a relay without a supervisor cannot."""
    if relay.worker_pid == relay.process.pid:
        return
    relay.process.send_signal(signal.SIGHUP)
    for _ in range(200):
        if any("reload" in event["event"] for event in relay.events()):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"no reload:\n{relay.text()}")


BAD_FILES = (
    "[cloud]\nsecret_key = '{}",
    "[cloud]\nsecret_key = '{}' x",
    "[cloud]\nsecret_key = ['{}']",
    "[cloud]\nsecret_keyy = '{}'",
    "[cloud]\nsecrt_key = '{}'",
    "[clud]\nsecret_key = '{}'",
    "[cloud]\nsecret_key = '{}'\nsecret_key = '{}'",
    "[cloud]\nsecret_key = '{}'\ntimeout = 'soon'",
    '[cloud]\nsecret_access_key = "{}',
    '[cloud]\nsecretkey = "{}',
    '[cloud]\nsecret_key = """\n{}\n',
    '[cloud]\nsecret_key = """x"""\n{}\n',
    "[cloud]\nproxy = 'http://u:{}@h:1' x",
    "[cloud]\nproxy = 'http://u:{}@h:99999'",
    "[cloud]\ntimeout = '{}'",
    "[cloud]\nsignature = '{}'",
    "secretkey = '{}'",
)


@pytest.mark.parametrize("text", BAD_FILES)
def test_a_file_that_is_wrong_where_the_secret_stands_does_not_tell_it(canary, settings, tmp_path, text):
    path = tmp_path / "relay.toml"
    path.write_text(text.replace("{}", SECRET))
    environ = settings()
    said = [call(*words, path, env=environ) for words in (("check",), ("check", "--json"), ("config", "show", "-c"))]
    for printed in (command(f"run -c {path}", environ), *(done.stdout + done.stderr for done in said)):
        assert "RLY10" in printed
        assert canary.search(printed) == []


async def test_a_bad_file_tells_no_secret_to_the_log_at_a_reload_and_at_a_replacement(start, canary, tmp_path):
    """A valid file with a password in a URL shows it in no command and on no page."""
    path = tmp_path / "relay.toml"
    path.write_text(good := f"[cloud]\nproxy = 'http://u:{SECRET}@127.0.0.1:9'\n")
    relay = start(command=run("-c", path), CONFIG_WATCH="false")
    shown = [command(f"config show {form} -c {path}", relay.environ) for form in ("", "--json")]
    shown.append((await asyncio.to_thread(ask, int(relay.admin.rpartition(":")[2]), CONSOLE)).decode())
    assert all("http://***@127.0.0.1:9" in text for text in shown)
    seen = 0
    for text in BAD_FILES:
        path.write_text(text.replace("{}", SECRET))
        for number in (signal.SIGHUP, signal.SIGUSR2):
            relay.process.send_signal(number)
            while (told := sum(event.get("code") == "RLY502" for event in relay.events())) == seen:
                await asyncio.sleep(0.02)
            seen = told
    path.write_text(good)
    await relay.stop()
    assert canary.search(relay.text(), *shown) == []


async def test_a_relay_in_every_trouble_shows_its_secret_nowhere(start, load, emulator, canary, tmp_path):
    """401, 5xx, 400, a refused point, resets, a lost answer, a reload, kill -9 and a wrong secret; with a debug log."""
    proxy = ChaosProxy(emulator.url)
    environ = {"JDCLOUD_SESSION_TOKEN": TOKEN}
    relay = start(endpoint=await proxy.start(), environ=environ, LOG_LEVEL="debug", CLOUD_TIMEOUT="2s")
    canary.know(environ)
    for kind in ("503:1", "500:1", "garbage:1"):
        emulator.add_fault(Fault.parse(kind))
    for kind in ("reset before", "reset in", "answer lost"):
        proxy.spoil(kind, times=1)
    generator = load(relay, rate=500, seconds=8)
    await asyncio.sleep(3)
    relay.signal_worker(signal.SIGKILL)
    await asyncio.sleep(0.5)
    if relay.process.poll() is not None:
        await asyncio.to_thread(relay.start)
    sent = await generator.wait()
    await conserve(relay, emulator, sent, lost=1000, fresh_within=40)
    await reload(relay)
    emulator.add_fault(Fault.parse("partial:1"))
    relay.send(b"refused.a:1|c\nrefused.b:1|c")
    metrics = await relay.wait_for(relay_dead_letters=1)
    assert metrics["relay_dead_letters"] >= 1
    emulator.add_fault(Fault.parse("401:1"))
    relay.send(b"denied:1|c")
    await relay.wait_for(**{'relay_requests_total{code="401"}': 1})
    pages = [await asyncio.to_thread(page, relay.admin, path) for path in PAGES]
    pages.append(await asyncio.to_thread(ask, int(relay.admin.rpartition(":")[2]), CONSOLE))
    assert b"cloud > secret_key: " in pages[-1]
    printed = [await asyncio.to_thread(command, text, relay.environ) for text in COMMANDS]
    await relay.stop()
    await proxy.stop()
    assert "refused_point" in printed[COMMANDS.index("dead show --json")], "the commands looked at this relay"
    assert json.loads(printed[COMMANDS.index("spool verify --json")])["wrong"] == []
    assert "RLY120" in relay.text()
    assert {SECRET, TOKEN} <= canary.secrets
    assert canary.search(*pages, *printed, tmp_path) == []


@pytest.mark.full
async def test_a_wrong_secret_is_not_told_either(start, canary, tmp_path):
    environ = {"JDCLOUD_SECRET_ACCESS_KEY": "wr0ng-canary-secret"}
    relay = start(environ=environ, LOG_LEVEL="debug")
    canary.know(environ)
    relay.send(b"denied:1|c")
    await relay.wait_for(**{'relay_requests_total{code="401"}': 1})
    pages = [await asyncio.to_thread(page, relay.admin, path) for path in PAGES]
    await relay.stop()
    assert "RLY120" in relay.text()
    assert canary.search(*pages, tmp_path) == []
