"""Rows 1, 2, 4 and 6: restarts and replacements under load, a worker that cannot run, and a second signal."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sqlite3
import time
from contextlib import suppress

import pytest

from relay.tools.emulator.faults import Fault
from tests.support.activated import HeldRelay, Holder
from tests.support.oracle import conserve, freshness
from tests.support.relay import run
from tests.support.state import LONG_WINDOW, recorded

RATE = 2000
STOP = 5.0
"""Seconds that a stop may take."""


async def replaced(relay, before: int) -> float:
    """Wait until another worker is ready; return the seconds."""
    began = time.monotonic()
    while relay.worker_pid in (before, relay.process.pid):
        assert time.monotonic() < began + 20, relay.text()[-3000:]
        await asyncio.sleep(0.01)
    while not await asyncio.to_thread(relay.scrape):
        assert time.monotonic() < began + 20, relay.text()[-3000:]
        await asyncio.sleep(0.02)
    return time.monotonic() - began


@pytest.mark.parametrize("times", [pytest.param(4, id="four"), pytest.param(20, id="twenty", marks=pytest.mark.full)])
async def test_row_01_replaced_under_load(times, start, load, emulator, figure):
    relay = start()
    generator = load(relay, rate=RATE, seconds=120)
    worst = 0.0
    for _ in range(times):
        await asyncio.sleep(0.4)
        before = relay.worker_pid
        relay.process.send_signal(signal.SIGUSR2)
        worst = max(worst, await replaced(relay, before))
    verdict = await conserve(relay, emulator, await generator.stop())
    assert (verdict.lost, verdict.duplicated) == (0, 0)
    assert "RLY501" not in relay.text()
    assert await relay.stop() == 0
    figure(1, f"{times} replacements: {verdict}; {verdict.resent} resent; another worker after {worst:.1f} s at most")


@pytest.fixture
def held(settings, tmp_path):
    """A relay on a socket that another process holds."""
    holder = Holder()
    relay = HeldRelay(settings(), tmp_path / "held.log", holder)
    yield relay
    relay.kill()
    holder.socket.close()


@pytest.mark.parametrize("times", [pytest.param(4, id="four"), pytest.param(20, id="twenty", marks=pytest.mark.full)])
async def test_row_01_sigterm_under_load_with_the_socket_held(times, held, load, emulator, figure):
    relay = held
    assert relay.worker_pid == relay.process.pid, "socket activation needs no supervisor"
    generator = load(to=f"udp:127.0.0.1:{relay.udp[1]}", rate=RATE, seconds=120)
    longest = 0.0
    for _ in range(times):
        await asyncio.sleep(0.4)
        began = time.monotonic()
        assert await relay.stop() == 0
        longest = max(longest, time.monotonic() - began)
        await asyncio.to_thread(relay.start)
    verdict = await conserve(relay, emulator, await generator.stop())
    assert longest < 4 * STOP
    figure(1, f"{times} SIGTERM restarts, socket held: {verdict}; stop {longest:.2f} s at most")


async def test_row_01_sigterm_while_it_starts(held, load, emulator, figure):
    """A worker reads packets before it can stop in order: an earlier signal waits until then."""
    relay = held
    generator = load(to=f"udp:127.0.0.1:{relay.udp[1]}", rate=RATE, seconds=60)
    assert await relay.stop() == 0
    codes = []
    for hundredths in range(10, 60, 10):
        process = relay.begin()
        await asyncio.sleep(hundredths / 100)
        process.send_signal(signal.SIGTERM)
        codes.append(await asyncio.to_thread(process.wait, 30))
    await asyncio.to_thread(relay.start)
    verdict = await conserve(relay, emulator, await generator.stop())
    figure(1, f"SIGTERM 100 to 500 ms after the start: {verdict}; {codes.count(0)} of {len(codes)} had begun to read")


async def test_row_01_replaced_in_place_under_socket_activation(held, load, emulator, figure):
    relay, pid = held, held.process.pid
    generator = load(to=f"udp:127.0.0.1:{relay.udp[1]}", rate=RATE, seconds=60)
    for number in range(1, 4):
        await asyncio.sleep(0.5)
        relay.process.send_signal(signal.SIGUSR2)
        deadline = time.monotonic() + 20
        while len(relay.events("started")) <= number:
            assert time.monotonic() < deadline, relay.text()[-3000:]
            await asyncio.sleep(0.02)
    assert relay.process.pid == relay.worker_pid == pid
    verdict = await conserve(relay, emulator, await generator.stop())
    assert await relay.stop() == 0
    figure(1, f"3 replacements in place: {verdict}")


@pytest.mark.full
async def test_row_01_a_hanging_cloud_does_not_delay_the_stop(start, load, emulator, figure):
    emulator.add_fault(Fault("hang"))
    relay = start(CLOUD_TIMEOUT="60s")
    generator = load(relay, rate=RATE, seconds=3)
    sent = await generator.wait()
    began = time.monotonic()
    assert await relay.stop() == 0
    took = time.monotonic() - began
    assert took < 4 * STOP
    emulator.clear_faults()
    await asyncio.to_thread(relay.start)
    verdict = await conserve(relay, emulator, sent)
    figure(1, f"hanging cloud: stop {took:.1f} s; {verdict}")


async def test_row_01_a_small_buffer_says_how_long_a_restart_may_take(start, figure):
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed: a privileged relay gets the buffer it asks for")
    relay = start(command=("setpriv", "--bounding-set", "-net_admin", *run()), LISTEN_RECEIVE_BUFFER="1GiB")
    [event] = [one for one in await relay.told("RLY201") if "restart_ms" in one]
    assert event["granted_bytes"] < event["asked_bytes"]
    assert event["restart_ms"] > 0
    figure(1, f"{event['granted_bytes']} bytes granted: a restart may take {event['restart_ms']} ms at 8,000 packets/s")


async def test_row_01_without_a_state_directory_a_replacement_is_refused(start, emulator):
    relay = start(SPOOL_PATH="none")
    worker = relay.worker_pid
    relay.process.send_signal(signal.SIGUSR2)
    deadline = time.monotonic() + 20
    while "RLY502" not in relay.text():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    await freshness(relay, emulator, within=20)
    assert relay.worker_pid == worker


async def test_row_02_the_kernel_drops_nothing_while_a_worker_is_replaced(start, load, emulator, figure):
    relay = start()
    generator = load(relay, rate=8000, seconds=60)
    worst = 0.0
    for _ in range(4):
        await asyncio.sleep(0.6)
        before = relay.signal_worker(signal.SIGKILL)
        worst = max(worst, await replaced(relay, before))
    await generator.stop()
    await freshness(relay, emulator, within=20)
    assert await asyncio.to_thread(relay.kernel_drops) == 0
    figure(2, f"4 kills: 0 kernel drops at 8,000 packets/s; ready again after {worst:.1f} s at most")


async def test_row_04_a_worker_that_never_runs_ends_the_supervisor(start, figure, tmp_path):
    """The code on disk breaks after the start: every new worker dies."""
    broken = tmp_path / "broken"
    broken.mkdir()
    relay = start(environ={"PYTHONPATH": str(broken)})
    (broken / "sitecustomize.py").write_text("import os, sys\n'run' in sys.argv and os._exit(70)\n")
    relay.signal_worker(signal.SIGKILL)
    began = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(relay.udp)
        with suppress(ConnectionRefusedError):  # a closed socket answers so: that is the end of the process
            while time.monotonic() < began + 60:
                sender.send(b"a:1|c")
                await asyncio.sleep(0.05)
        await relay.gone(relay.process.pid, within=5)
    took = time.monotonic() - began
    assert relay.process.returncode == 70
    ends = [event for event in relay.events() if event.get("code") == "RLY501"]
    assert [event.get("pause_seconds") for event in ends[:-1]] == sorted(event["pause_seconds"] for event in ends[:-1])
    assert ends[-1]["deaths"] == 5
    figure(4, f"5 workers in a row: gave up after {took:.1f} s with code 70, sockets open till then")


async def test_row_04_a_mistake_of_a_person_is_told_once(start, settings, tmp_path, figure):
    state = tmp_path / "file"
    state.write_text("not a directory")
    log = tmp_path / "log"
    with pytest.raises(AssertionError, match="did not start"):
        start(log=log, SPOOL_PATH=str(state / "below"))
    assert log.read_text().count("RLY101") == 1
    figure(4, "a mistake of a person: told once, no second worker")


async def test_row_06_a_second_signal_ends_at_once_and_nothing_is_corrupt(start, load, emulator, figure, tmp_path):
    emulator.add_fault(Fault("hang"))
    relay = start(CLOUD_TIMEOUT="60s")
    generator = load(relay, rate=RATE, seconds=30)
    took = 0.0
    for number in (signal.SIGTERM, signal.SIGINT):
        await asyncio.sleep(1.2)
        worker = relay.worker_pid
        relay.process.send_signal(number)
        await asyncio.sleep(0.8)
        began = time.monotonic()
        assert await relay.stop(number) == -number
        took = max(took, time.monotonic() - began)
        await relay.gone(worker)
        with sqlite3.connect(tmp_path / "state" / "spool.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.close()
        await asyncio.to_thread(relay.start)
    emulator.clear_faults()
    sent = await generator.stop()
    verdict = await conserve(relay, emulator, sent, lost=sent.count)
    assert took < 4
    figure(
        6, f"ended {took:.2f} s after the second signal; {verdict.duplicated} duplicated, {verdict.invented} invented"
    )


@pytest.mark.full
async def test_row_06_a_supervisor_that_dies_stops_its_worker_in_order(start, emulator, figure, tmp_path):
    recorded(tmp_path / "state")
    relay = start(WINDOW_SECONDS=str(LONG_WINDOW))
    relay.send(*[b"hits:1|c"] * 100)
    await relay.wait_for(relay_accepted_lines_total=100)
    worker = relay.worker_pid
    began = time.monotonic()
    relay.process.kill()
    relay.process.wait()
    while os.path.exists(f"/proc/{worker}"):  # noqa: ASYNC240, PTH110 - not this process's child any more
        assert time.monotonic() < began + 20
        await asyncio.sleep(0.05)
    assert emulator.total("hits") == 100
    figure(6, f"supervisor killed: the worker stopped in order after {time.monotonic() - began:.1f} s")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "both-signalled"])
async def test_row_06_a_signal_to_the_whole_group_is_one_signal(number, start, load, emulator, figure, tmp_path):
    """A terminal's Ctrl-C, and a service manager that signals every process: still an orderly stop."""
    recorded(tmp_path / "state")
    relay = start(command=("setsid", *run()), WINDOW_SECONDS=str(LONG_WINDOW))
    assert os.getpgid(relay.worker_pid) == relay.process.pid
    relay.send(*[b"hits:1|c"] * 100)
    await relay.wait_for(relay_accepted_lines_total=100)
    os.killpg(relay.process.pid, number)
    assert await asyncio.to_thread(relay.process.wait, 30) == 0
    assert emulator.total("hits") == 100
    figure(6, f"{number.name} to the whole group: stopped in order, nothing lost")


@pytest.mark.parametrize("kind", ["supervised", "activated"])
async def test_row_06_two_signals_at_once_are_one(kind, start, emulator, figure, settings, tmp_path):
    """`timeout` sends two signals within a millisecond: still a stop in order, which closes and sends the window."""
    numbers = ((signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT))
    sent = 0
    for pair in numbers:
        state = recorded(tmp_path / f"state-{sent}")
        holder, changes = Holder(), {"WINDOW_SECONDS": str(LONG_WINDOW), "SPOOL_PATH": str(state)}
        if kind == "supervised":
            relay = start(**changes)
        else:
            relay = HeldRelay(settings(**changes), tmp_path / "held.log", holder)
        relay.send(*[b"hits:1|c"] * 100)
        await relay.wait_for(relay_accepted_lines_total=100)
        for number in pair:
            relay.process.send_signal(number)
        assert await asyncio.to_thread(relay.process.wait, 30) == 0
        sent += 100
        assert emulator.total("hits") == sent
        assert relay.stopped()
        holder.socket.close()
    figure(6, f"two signals within a millisecond, {len(numbers)} times, {kind}: stopped in order, nothing lost")
