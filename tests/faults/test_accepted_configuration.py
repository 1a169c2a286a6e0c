"""Row 45: the configuration in force is the one that was accepted last, not the file on disk."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

import relay as program
from tests.support.activated import HeldRelay, Holder
from tests.support.oracle import conserve, freshness
from tests.support.relay import free_port, run

RATE = 500
REFUSED = "reload refused, nothing has changed"
NOT_REPLACED = "not replaced, nothing has changed"
SUCCESSFUL = "relay_config_last_reload_successful"


class Changing:
    """A relay with its own file, which is not watched."""

    def __init__(self, start, path: Path, text: str, **settings: str) -> None:
        self.path = path
        self.write(text)
        self.relay = start(command=run("-c", path), CONFIG_WATCH="false", **settings)

    def write(self, text: str) -> None:
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self.path)

    def hup(self) -> None:
        self.relay.process.send_signal(signal.SIGHUP)

    def usr2(self) -> None:
        self.relay.process.send_signal(signal.SIGUSR2)

    async def kill(self) -> None:
        """Kill the worker; return when another one runs."""
        count = len(self.relay.events("started"))
        await self.relay.gone(self.relay.signal_worker(signal.SIGKILL))
        await self.told("started", count + 1)

    async def told(self, event: str, times: int = 1) -> dict:
        async with asyncio.timeout(30):
            while len(found := self.relay.events(event)) < times:
                await asyncio.sleep(0.01)
        return found[-1]

    async def reload(self, text: str, event: str = "reloaded") -> dict:
        count = len(self.relay.events(event))
        self.write(text)
        self.hup()
        return await self.told(event, count + 1)

    async def metrics(self) -> dict[str, float]:
        return await asyncio.to_thread(self.relay.metrics)


@pytest.fixture
def changing(start, tmp_path):
    return lambda text, **settings: Changing(start, tmp_path / "relay.toml", text, **settings)


async def test_row_45_two_reloads_in_one_window_both_take_effect(changing, emulator, figure):
    """The second reload is compared with what is in force, not with what the first one asked for."""
    it = changing("[cloud]\nrequests_per_minute = 900\n", WINDOW_SECONDS="5")
    it.relay.environ.pop("STATSD_RELAY_CLOUD_REQUESTS_PER_MINUTE")
    await it.relay.restart()

    async def reload_twice(first: str, second: str) -> dict:
        """Reload twice early in a window of 5 s, so that both are in the same one; return the second outcome."""
        while time.time() % 5 > 1:
            await asyncio.sleep(0.05)
        await it.reload(first)
        event = await it.reload(second)
        await asyncio.sleep(5.5 - time.time() % 5)
        return event

    text = "[cloud]\nrequests_per_minute = {}\n[tags]\nenv = '{}'\n"
    event = await reload_twice(text.format(300, "a"), text.format(300, "b"))
    assert set(event["at_the_next_window"]) == {"cloud.requests_per_minute", "tags"}
    async with asyncio.timeout(20):  # the senders are told of it in a task of its own
        while (await it.metrics())["relay_rate_limit"] != 300:
            await asyncio.sleep(0.05)
    it.relay.send(b"later:1|c")
    async with asyncio.timeout(30):
        while not emulator.total("later"):
            await asyncio.sleep(0.05)
    assert {point["dimensions"].get("env") for point in emulator.received if point["metric"] == "later"} == {"b"}
    event = await reload_twice(text.format(200, "b"), text.format(300, "b"))
    assert event["at_the_next_window"] == [], "the file is what is in force already"
    assert (await it.metrics())["relay_rate_limit"] == 300
    figure(45, "two reloads in one window: after its edge all of the file is in force")


async def test_row_45_a_refused_change_is_not_taken_when_the_worker_dies(changing, load, emulator, figure, tmp_path):
    state = tmp_path / "state"
    it = changing(f"[spool]\npath = '{state}'\n")
    it.relay.environ.pop("STATSD_RELAY_SPOOL_PATH")
    await it.relay.restart()
    generator = load(it.relay, rate=RATE, seconds=60)
    await asyncio.sleep(1)
    event = await it.reload(f"[spool]\npath = '{tmp_path / 'other'}'\n", REFUSED)
    assert "spool.path" in event["why"]
    await it.kill()
    assert (await it.metrics())[SUCCESSFUL] == 0
    assert it.relay.events("started")[-1]["state"] == str(state)
    assert not (tmp_path / "other").exists()
    verdict = await conserve(it.relay, emulator, await generator.stop(), lost=4 * RATE)
    figure(45, f"a refused state directory, then kill -9: the one in force goes on; {verdict}")


async def test_row_45_a_changed_file_without_a_reload_is_not_used_by_the_next_worker(changing, load, emulator, figure):
    first, second = free_port(), free_port()
    text = "[listen]\nudp = [{}]\n[limits]\nseries = {}\n"
    it = changing(text.format(f"'127.0.0.1:{first}'", 1000))
    it.relay.environ.pop("STATSD_RELAY_LISTEN_UDP")
    await it.relay.restart()
    it.write(text.format(f"'127.0.0.1:{first}', '127.0.0.1:{second}'", 2000))
    await it.kill()
    metrics = await it.metrics()
    assert (metrics["relay_series_limit"], metrics[SUCCESSFUL]) == (1000, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", second))
    it.hup()
    await it.told("worker replaced")
    generator = load(to=f"udp:127.0.0.1:{second}", rate=RATE, seconds=1)
    sent = await generator.wait()
    metrics = await it.relay.wait_for(relay_series_limit=2000)
    assert metrics[SUCCESSFUL] == 1
    verdict = await conserve(it.relay, emulator, sent)
    figure(45, f"an address added, kill -9, then a reload: bound by the reload alone; {verdict}")


async def test_row_45_after_an_upgrade_what_was_tried_is_in_force(changing, emulator, figure):
    """The next worker uses it too, not the file at the time of its start."""
    it = changing("[limits]\nseries = 1000\n")
    it.write("[limits]\nseries = 2000\n")
    it.usr2()
    await it.told("worker replaced")
    it.write("[limits]\nserie = 3\n")
    metrics = await it.relay.wait_for(relay_series_limit=2000)
    assert (metrics["relay_series_limit"], metrics[SUCCESSFUL]) == (2000, 0)
    await it.reload("[limits]\nseries = 3000\n")
    assert (await it.relay.wait_for(relay_series_limit=3000))[SUCCESSFUL] == 1
    figure(45, "a file that changes during an upgrade: what was tried is in force")


async def test_row_45_a_reload_that_comes_while_no_worker_can_do_it_is_done(changing, emulator, figure):
    it = changing("[limits]\nseries = 1000\n")
    it.write("[limits]\nseries = 2000\n")
    victim = it.relay.signal_worker(signal.SIGKILL)
    it.hup()
    await it.relay.gone(victim)
    assert (await it.relay.wait_for(relay_series_limit=2000))[SUCCESSFUL] == 1
    it.usr2()
    async with asyncio.timeout(20):
        while it.relay.worker_pid == victim:
            await asyncio.sleep(0.01)
    it.write("[limits]\nseries = 3000\n")
    it.hup()
    await it.told("worker replaced")
    assert (await it.relay.wait_for(relay_series_limit=3000))[SUCCESSFUL] == 1
    figure(45, "a reload beside a kill and beside an upgrade: done by whichever worker is there")


INTERPRETER = Path(sys.executable).resolve()
BROKEN = (
    "relay/config/schema.py",
    "relay/window/closer.py",
    "relay/admin/http/server.py",
    "relay/daemon/lifecycle/worker.py",
)


@pytest.fixture
def installed(tmp_path):
    """A copy of the program that a test can break, with its compiled files, so that no start compiles it again."""
    copy = tmp_path / "installed"
    being_written = shutil.ignore_patterns("*.pyc.*")
    shutil.copytree(Path(program.__file__).parent, copy / "relay", ignore=being_written)
    return copy


@pytest.fixture(params=["supervised", "activated"])
def breakable(request, start, settings, installed, tmp_path):
    """A relay of that copy: under its supervisor, or on a socket of systemd."""
    environ = {"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    holder = Holder()
    if request.param == "supervised":
        relay = start(environ=environ)
    else:
        relay = HeldRelay({**settings(), **environ}, tmp_path / "held.log", holder)
    yield relay
    relay.kill()
    holder.socket.close()


async def test_row_45_a_program_that_does_not_start_replaces_nothing(breakable, load, emulator, figure, installed):
    relay = breakable
    worker, started = relay.worker_pid, len(relay.events("started"))
    generator = load(to=f"udp:127.0.0.1:{relay.udp[1]}", rate=RATE, seconds=60)
    for times, name in enumerate(BROKEN, 1):
        file = installed / name
        whole = file.read_text()
        file.write_text(f"{whole}\nraise RuntimeError('half of it')\n")
        relay.process.send_signal(signal.SIGUSR2)
        async with asyncio.timeout(30):
            while len(relay.events(NOT_REPLACED)) < times:
                await asyncio.sleep(0.02)
        file.write_text(whole)
        assert "RuntimeError: half of it" in relay.events(NOT_REPLACED)[-1]["why"]
        assert relay.worker_pid == worker
    assert len(relay.events("started")) == started
    relay.process.send_signal(signal.SIGUSR2)
    async with asyncio.timeout(30):
        while len(relay.events("started")) == started:
            await asyncio.sleep(0.02)
    verdict = await conserve(relay, emulator, await generator.stop())
    figure(45, f"{len(BROKEN)} programs that do not start: refused; a whole one takes over; {verdict}")


async def test_row_45_an_interpreter_that_has_gone_is_named(start, emulator, figure, tmp_path):
    link = tmp_path / "python"
    link.symlink_to(INTERPRETER)
    environ = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    relay = start(command=(str(link), "-m", "relay", "run"), environ=environ)
    await freshness(relay, emulator, within=20)
    link.unlink()
    relay.process.send_signal(signal.SIGUSR2)
    async with asyncio.timeout(20):
        while not relay.events(NOT_REPLACED):
            await asyncio.sleep(0.02)
    assert relay.events(NOT_REPLACED)[-1]["why"] == f"{link} cannot be executed: No such file or directory"
    await relay.gone(relay.signal_worker(signal.SIGKILL))
    async with asyncio.timeout(20):
        while not (events := relay.events("the worker cannot be executed")):
            await asyncio.sleep(0.02)
    assert (events[0]["program"], events[0]["why"]) == (str(link), "No such file or directory")
    figure(45, "an interpreter that has gone: named, before and after the worker's death")


@pytest.mark.full
@pytest.mark.parametrize("seed", range(3))
async def test_row_45_whatever_happens_to_the_file_what_was_accepted_last_runs(
    seed, changing, load, emulator, figure, request
):
    """A random walk; the model is the file that was accepted last."""
    dice = random.Random(seed)
    it = changing("[limits]\nseries = 1000\n")
    generator = load(it.relay, rate=RATE, seconds=200)
    accepted = on_disk = 1000
    kills = 0
    for _ in range(14):
        step = dice.choice(["good", "good", "bad", "half", "hup", "hup", "usr2", "kill"])
        if step == "good":
            on_disk = dice.randrange(1000, 9000)
            it.write(f"[limits]\nseries = {on_disk}\n")
        elif step in ("bad", "half"):
            on_disk = 0
            it.write("[limits]\nserie = 5\n" if step == "bad" else "[limits]\nseries = ")
        elif step == "hup":
            count = len(it.relay.events("reloaded")) + len(it.relay.events(REFUSED))
            it.hup()
            async with asyncio.timeout(30):
                while len(it.relay.events("reloaded")) + len(it.relay.events(REFUSED)) == count:
                    await asyncio.sleep(0.01)
            accepted = on_disk or accepted
        elif step == "usr2":
            events = ("started", NOT_REPLACED)
            count = sum(len(it.relay.events(event)) for event in events)
            it.usr2()
            async with asyncio.timeout(30):
                while sum(len(it.relay.events(event)) for event in events) == count:
                    await asyncio.sleep(0.01)
            accepted = on_disk or accepted
        else:
            kills += 1
            await asyncio.sleep(1)
            await it.kill()
        metrics = await it.relay.wait_for(relay_series_limit=accepted)
        assert metrics["relay_series_limit"] == accepted or step == "hup", (seed, step)
    await asyncio.sleep(1.2)
    assert (await it.metrics())["relay_series_limit"] == accepted
    verdict = await conserve(it.relay, emulator, await generator.stop(), lost=4 * RATE * kills)
    figure(45, f"a random walk of 14 steps, {kills} kills: {verdict}")
