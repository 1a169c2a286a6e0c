"""Row 3: a reload with a good and with a bad file, under load."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.oracle import conserve, freshness
from tests.support.relay import ACCESS, SECRET, free_port, run

RATE = 1000

GOOD = """
[names]
prefix = "{prefix}"

[limits]
series = 40_000

[window]
percentiles = [50]

[log]
level = "{level}"
"""


@pytest.fixture
def reloaded(start, tmp_path):
    """`reloaded(text)`: a relay that was started with a file; `.write(text)` and `.reload()` change it."""

    class Reloaded:
        def __init__(self, text: str, **settings: str) -> None:
            self.path = tmp_path / "relay.toml"
            self.write(text)
            self.relay = start(command=run("-c", self.path), **{"CONFIG_WATCH": "false", "LOG_LEVEL": None, **settings})

        def write(self, text: str) -> None:
            fresh = self.path.with_suffix(".new")
            fresh.write_text(text)
            fresh.rename(self.path)

        async def reload(self, text: str, event: str) -> dict:
            """Write the file, signal, and wait for the outcome in the log."""
            seen = len(self.relay.events(event))
            self.write(text)
            self.relay.process.send_signal(signal.SIGHUP)
            return await told(self.relay, event, seen)

    return Reloaded


async def told(relay, event: str, seen: int = 0) -> dict:
    deadline = time.monotonic() + 20
    while len(found := relay.events(event)) <= seen:
        assert time.monotonic() < deadline, relay.text()[-3000:]
        await asyncio.sleep(0.02)
    return found[-1]


REFUSED = "reload refused, nothing has changed"


async def test_row_03_a_good_file_changes_names_limits_and_log_without_losing_the_window(
    reloaded, load, emulator, figure
):
    it = reloaded(GOOD.format(prefix="", level="info"))
    relay, worker = it.relay, it.relay.worker_pid
    generator = load(relay, rate=RATE, seconds=8)
    other = load(relay, rate=RATE, seconds=8, name="other")
    await asyncio.sleep(1.3)
    began = time.monotonic()
    event = await it.reload(GOOD.format(prefix="", level="warning") + "\n[tags]\nenv='x'\n", "reloaded")
    took = time.monotonic() - began
    assert (event["at_once"], set(event["at_the_next_window"])) == (["log.level"], {"tags"})
    await asyncio.sleep(2.2)
    after = relay.events()[relay.events().index(event) + 1 :]
    assert {one["level"] for one in after} <= {"warning", "error"}, "the log's level holds at once"
    assert relay.worker_pid == worker
    sents = [await generator.wait(), await other.wait()]
    verdict = await conserve(relay, emulator, *sents)
    with_tag = {point["timestamp"] for point in emulator.received if point["dimensions"].get("env") == "x"}
    without = {point["timestamp"] for point in emulator.received if "env" not in point["dimensions"]}
    assert with_tag
    assert without
    assert max(without) < min(with_tag), "names change at the edge of a window"
    assert (await asyncio.to_thread(relay.metrics))["relay_config_last_reload_successful"] == 1
    figure(3, f"good file: {verdict}; applied in {took:.2f} s")


@pytest.mark.full
async def test_row_03_credentials_change_at_once(reloaded, emulator, figure):
    keys = "[cloud]\naccess_key = '{}'\nsecret_key = '{}'\n"
    it = reloaded(keys.format(ACCESS, SECRET), WINDOW_SECONDS="1")
    await freshness(it.relay, emulator, within=20)
    event = await it.reload(keys.format(ACCESS, "c4n4ry-rotated"), "reloaded")
    assert (event["at_once"], event["at_the_next_window"]) == (["cloud.secret_key"], [])
    it.relay.send(b"hits:1|c")
    metrics = await it.relay.wait_for(**{'relay_requests_total{code="401"}': 1})
    assert metrics['relay_points{state="spooled"}'] + metrics['relay_points{state="in_flight"}'] >= 1
    assert "c4n4ry" not in it.relay.text()
    figure(3, "credentials: the next request is signed with the new ones, which show nowhere")


@pytest.mark.full
async def test_row_03_another_namespace_begins_with_the_next_window(reloaded, load, emulator, figure):
    it = reloaded("[cloud]\nnamespace = 'before'\n")
    generator = load(it.relay, rate=RATE, seconds=4)
    await asyncio.sleep(1.5)
    await it.reload("[cloud]\nnamespace = 'after'\n", "reloaded")
    verdict = await conserve(it.relay, emulator, await generator.wait())
    spaces = {
        name: {p["timestamp"] for p in emulator.received if p["namespace"] == name} for name in ("before", "after")
    }
    assert max(spaces["before"]) < min(spaces["after"])
    figure(3, f"another namespace: {verdict}")


BAD = {
    "not TOML": ("[limits\nseries = 5", "not TOML"),
    "unknown key": ("[limits]\nserie = 5", "did you mean series"),
    "broken rule": ("[limits]\nseries = 1", "must be between"),
    "only a restart": ("[listen]\nreceive_buffer = '1MiB'\n[names]\nprefix='x'", "listen.receive_buffer"),
    "no such file of a secret": ("[cloud]\nsecret_key_file = '/nowhere'\naccess_key = 'a'", "cannot read /nowhere"),
}


async def test_row_03_a_bad_file_changes_nothing_and_says_why(reloaded, load, emulator, figure):
    it = reloaded("[limits]\nseries = 1000\n", LOG_LEVEL="info")
    relay, worker = it.relay, it.relay.worker_pid
    generator = load(relay, rate=RATE, seconds=4)
    for text, reason in BAD.values():
        event = await it.reload(text, REFUSED)
        assert reason in event["why"]
        metrics = await asyncio.to_thread(relay.metrics)
        assert metrics["relay_config_last_reload_successful"] == 0
        assert metrics["relay_series_limit"] == 1000
    await it.reload("[limits]\nseries = 2000\n", "reloaded")
    verdict = await conserve(relay, emulator, await generator.wait())
    metrics = await asyncio.to_thread(relay.metrics)
    assert (metrics["relay_config_last_reload_successful"], metrics["relay_series_limit"]) == (1, 2000)
    assert relay.worker_pid == worker
    figure(3, f"{len(BAD)} bad files: {verdict}")


OUTLIVED = "the file on disk is not in force, what was accepted last is"
NOT_REPLACED = "not replaced, nothing has changed"
KEYS = f"[cloud]\naccess_key = '{ACCESS}'\nsecret_key = '{SECRET}'\n[limits]\n"


async def killed(relay) -> None:
    """Kill the worker; return when another one answers."""
    victim = relay.signal_worker(signal.SIGKILL)
    await relay.gone(victim)
    await asyncio.to_thread(relay.metrics)
    assert relay.worker_pid != victim


@pytest.mark.full
async def test_row_03_a_bad_file_outlives_the_worker(reloaded, load, emulator, figure, canary):
    """Only the file has the secret; the new worker uses the last reloaded file, not that of the start."""
    it = reloaded(f"{KEYS}series = 1000\n", WINDOW_SECONDS="5")
    relay = it.relay
    for name in [name for name in relay.environ if name.startswith("JDCLOUD_") and "REGION" not in name]:
        relay.environ.pop(name)
    await relay.restart()
    generator = load(relay, rate=RATE, seconds=60)
    await it.reload(f"{KEYS}series = 2000\n", "reloaded")
    await it.reload(f"{KEYS}serie = 3000\n", REFUSED)
    await asyncio.sleep(2)
    for kill in range(2):
        if kill:
            it.path.unlink()
        await killed(relay)
        reason = (await told(relay, OUTLIVED, kill))["why"]
        assert ("cannot read" if kill else "did you mean series") in reason
        metrics = await relay.wait_for(relay_series_limit=2000)
        assert (metrics["relay_series_limit"], metrics["relay_config_last_reload_successful"]) == (2000, 0)
    process = Path(f"/proc/{relay.worker_pid}")
    assert b"RELAY_CONFIGURATION" in (process / "environ").read_bytes()
    assert canary.search((process / "environ").read_bytes(), (process / "cmdline").read_bytes()) == []
    await it.reload(f"{KEYS}series = 4000\n", "reloaded")
    metrics = await relay.wait_for(relay_series_limit=4000)
    assert metrics["relay_config_last_reload_successful"] == 1
    verdict = await conserve(relay, emulator, await generator.stop(), lost=2 * 4 * RATE, window=5)
    figure(3, f"a bad file, then none, and kill -9 each time: the last good one goes on; {verdict}")


@pytest.mark.full
async def test_row_03_a_replacement_that_could_not_start_is_refused(reloaded, emulator, figure):
    """The preflight check also opens what only a worker opens."""
    it = reloaded("[limits]\nseries = 1000\n")
    worker = it.relay.worker_pid
    it.write("[cloud]\nca_file = '/nowhere'\n[limits]\nseries = 2000\n")
    it.relay.process.send_signal(signal.SIGUSR2)
    assert "/nowhere" in (await told(it.relay, NOT_REPLACED))["why"]
    await freshness(it.relay, emulator, within=20)
    assert it.relay.worker_pid == worker
    assert (await asyncio.to_thread(it.relay.metrics))["relay_series_limit"] == 1000
    figure(3, "a replacement that could not start: refused, the worker goes on")


@pytest.mark.full
async def test_row_03_another_address_is_opened_before_the_worker_is_replaced(reloaded, load, emulator, figure):
    first, second = free_port(), free_port()
    it = reloaded(f"[listen]\nudp = ['127.0.0.1:{first}']\n")
    it.relay.environ.pop("STATSD_RELAY_LISTEN_UDP")
    await it.relay.restart()
    relay, worker = it.relay, it.relay.worker_pid
    generator = load(to=f"udp:127.0.0.1:{first}", rate=RATE, seconds=3)
    await asyncio.sleep(1)
    it.write(f"[listen]\nudp = ['127.0.0.1:{first}', '127.0.0.1:{second}']\n")
    relay.process.send_signal(signal.SIGHUP)
    await told(relay, "worker replaced")
    await relay.gone(worker)
    other = load(to=f"udp:127.0.0.1:{second}", rate=RATE, seconds=1, name="other")
    sents = [await generator.wait(), await other.wait()]
    relay.udp = ("127.0.0.1", second)
    it.write(f"[listen]\nudp = ['127.0.0.1:{second}']\n")
    relay.send(*[b"at.the.end:1|c"] * 100)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", first))
        sender.send(b"at.the.end:1|c")
        relay.process.send_signal(signal.SIGHUP)
        await told(relay, "worker replaced", 1)
        with suppress(ConnectionRefusedError):
            sender.send(b"x:1|c")
        with pytest.raises(ConnectionRefusedError):
            sender.send(b"x:1|c")
    verdict = await conserve(relay, emulator, *sents)
    assert emulator.total("at.the.end") == 101, "the worker that left drained the address that is gone"
    figure(3, f"another address: {verdict}")


@pytest.mark.full
async def test_row_03_an_address_that_is_taken_changes_nothing(reloaded, load, emulator, figure):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port, first = taken.getsockname()[1], free_port()
        it = reloaded(f"[listen]\nudp = ['127.0.0.1:{first}']\n")
        it.relay.environ.pop("STATSD_RELAY_LISTEN_UDP")
        await it.relay.restart()
        relay, worker = it.relay, it.relay.worker_pid
        it.write(f"[listen]\nudp = ['127.0.0.1:{first}', '127.0.0.1:{port}']\n")
        relay.process.send_signal(signal.SIGHUP)
        event = await told(relay, NOT_REPLACED)
        assert "RLY101" in event["why"]
        await freshness(relay, emulator, within=20)
        assert relay.worker_pid == worker
        assert (await asyncio.to_thread(relay.metrics))["relay_config_last_reload_successful"] == 0
        figure(3, "a taken address: nothing changed")


async def test_row_03_the_command_waits_for_the_result(reloaded, emulator, figure, tmp_path):
    it = reloaded("[limits]\nseries = 1000\n")
    relay, worker = it.relay, it.relay.worker_pid

    async def command(*arguments: str, path=it.path) -> tuple[int, str]:
        line = [sys.executable, "-m", "relay", "reload", "-c", str(path), *arguments]
        done = await asyncio.to_thread(
            subprocess.run, line, env=relay.environ, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    it.write("[limits]\nserie = 1\n")
    code, said = await command()
    assert (code, "did you mean series" in said) == (78, True)
    assert len(relay.events(REFUSED)) == 1
    it.write("[limits]\nseries = 2000\n")
    code, said = await command()
    assert code == 0, said
    assert "limits.series" in said
    await told(relay, "reloaded")
    code, said = await command("--upgrade", "--json")
    assert code == 0, said
    told_of = json.loads(said)
    assert told_of["is_replacing"]
    assert told_of["before"]["worker"] == worker
    await told(relay, "worker replaced")
    await freshness(relay, emulator, within=20)
    assert relay.worker_pid == told_of["source"]["worker"] != worker
    figure(3, "the command: bad file exit 78, else it waits for what changes, or for the new worker")


@pytest.mark.full
async def test_row_03_a_watched_file_is_followed_through_a_symbolic_link(start, emulator, figure, tmp_path):
    """As in Kubernetes: the link is exchanged, the file never written."""
    for name, series in (("one", 1000), ("two", 2000)):
        (tmp_path / name).write_text(f"[limits]\nseries = {series}\n")
    link = tmp_path / "relay.toml"
    link.symlink_to("one")
    relay = start(command=run("-c", link))
    fresh = tmp_path / "fresh"
    fresh.symlink_to("two")
    began = time.monotonic()
    fresh.rename(link)
    await told(relay, "reloaded")
    took = time.monotonic() - began
    await relay.wait_for(relay_series_limit=2000)
    assert took < 4 * 4
    figure(3, f"a watched file: reloaded after {took:.1f} s")
