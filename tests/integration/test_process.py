"""A real relay process, killed by real signals, in front of a cloud that comes and goes."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys

from tests.support.relay import environment, free_port, relay_process
from tests.support.state import LONG_WINDOW, checkpointed, recorded


async def test_sigterm_in_the_middle_of_a_window_loses_nothing(emulator, tmp_path):
    """Windows of an hour: all samples are in an open window, and in the emulator after the process has ended."""
    with relay_process(
        environment(emulator.url, recorded(tmp_path), WINDOW_SECONDS=str(LONG_WINDOW)), tmp_path / "log"
    ) as relay:
        relay.send(*[b"hits:1|c\nlat:%d|ms\nusers:u%d|s\ntemp:%d|g" % (n, n % 7, n) for n in range(500)])
        assert await relay.stop() == 0
    assert (emulator.total("hits"), emulator.total("lat"), emulator.total("lat", "count")) == (
        500,
        sum(range(500)),
        500,
    )
    assert (emulator.total("users"), emulator.total("temp", "last")) == (7, 499)
    assert emulator.duplicates() == []
    event = relay.stopped()
    assert (event["imbalance"], event["waiting"], event["losses"]) == (0, 0, "nothing lost")


async def test_the_cloud_is_down_at_first_and_everything_arrives_once(emulator, tmp_path):
    port = int(emulator.url.rpartition(":")[2])
    await emulator.stop()
    with relay_process(environment(emulator.url, tmp_path), tmp_path / "log") as relay:
        for _ in range(3):
            relay.send(*[b"hits:1|c"] * 100)
            await asyncio.sleep(1.05)
        await relay.wait_for(**{'relay_requests_total{code="error"}': 1, "relay_accepted_lines_total": 300})
        await emulator.start(port=port)
        while emulator.total("hits") < 300:
            await asyncio.sleep(0.05)
        metrics = await relay.wait_for(
            **{"relay_accepted_lines_total": 300, 'relay_points_total{outcome="delivered"}': 1}
        )
        assert metrics["relay_ambiguous_requests_total"] == 0
        assert await relay.stop() == 0
    assert emulator.total("hits") == 300
    assert emulator.duplicates() == []


async def test_stopped_while_the_cloud_is_down_the_next_start_delivers(emulator, tmp_path):
    port = int(emulator.url.rpartition(":")[2])
    await emulator.stop()
    env = environment(emulator.url, tmp_path, WINDOW_SECONDS="2")
    with relay_process(env, tmp_path / "log") as relay:
        relay.send(b"hits:1|c\nload:5|g")
        await relay.wait_for(**{'relay_samples_total{state="closed"}': 2})
        assert await relay.stop() == 0
        assert relay.stopped()["waiting"] >= 2
    await emulator.start(port=port)
    with relay_process(env, tmp_path / "log2") as relay:
        relay.send(b"hits:2|c\nload:+1|g")
        await relay.wait_for(**{'relay_points_total{outcome="recovered"}': 2})
        assert await relay.stop() == 0
        kept = relay.stopped()["open_window_is"]
    if "kept" in kept:
        with relay_process(env, tmp_path / "log3") as relay:
            await asyncio.sleep(2.5)
            await relay.stop()
    assert emulator.total("hits") == 3
    assert max(point["values"]["last"] for point in emulator.points("load")) == 6
    assert emulator.duplicates() == []


async def test_a_restart_within_a_minute_never_sends_a_second_value(emulator, tmp_path):
    """The first stop commits the current minute; later samples belong to the next, and are kept on disk."""
    env = environment(emulator.url, recorded(tmp_path), WINDOW_SECONDS=str(LONG_WINDOW))
    for number in range(3):
        with relay_process(env, tmp_path / f"log{number}") as relay:
            relay.send(b"hits:1|c")
            await relay.wait_for(relay_accepted_lines_total=1)
            assert await relay.stop() == 0
            assert relay.stopped()["imbalance"] == 0
    assert (emulator.total("hits"), emulator.duplicates()) == (1, [])
    [checkpoint] = tmp_path.glob("checkpoint-*.srp")
    with relay_process(env, tmp_path / "log9") as relay:
        metrics = await relay.wait_for(**{'relay_samples{state="open"}': 2})
        assert metrics['relay_samples_total{state="accepted"}'] == 2
        await relay.stop()
    assert checkpoint.exists()


async def test_what_was_deleted_does_not_come_back_after_a_kill(emulator, tmp_path):
    """A deletion is on disk as soon as a sample is."""
    port = f"127.0.0.1:{free_port(socket.SOCK_STREAM)}"
    env = environment(
        emulator.url, recorded(tmp_path), WINDOW_SECONDS=str(LONG_WINDOW), WINDOW_CHECKPOINT="100ms", ADMIN_LISTEN=port
    )
    with relay_process(env, tmp_path / "log") as relay:
        relay.send(b"del.c:100|c\nstay.c:1|c\ndel.g:5|g")
        await relay.wait_for(**{'relay_samples{state="open"}': 3})
        await checkpointed(tmp_path, 3)
        for command in (b"delcounters del.c\n", b"delgauges del.g\n"):
            await asyncio.to_thread(console, relay, command)
        await relay.wait_for(**{'relay_dropped_samples_total{reason="forgotten"}': 2})
        await asyncio.sleep(0.5)
        await relay.gone(relay.signal_worker(signal.SIGKILL))
        metrics = await relay.wait_for(**{'relay_samples{state="open"}': 1})
        assert metrics['relay_samples{state="open"}'] == 1
        assert await relay.stop() == 0
    assert {point["metric"] for point in emulator.received} == {"stay.c"}


def console(relay, command: bytes) -> None:
    """Send a command to the console."""
    host, _, port = relay.admin.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(command)
        connection.recv(4096)


async def test_without_a_state_directory_a_loss_is_counted_and_said(emulator, tmp_path):
    await emulator.stop()
    env = environment(emulator.url, "none", WINDOW_SECONDS=str(LONG_WINDOW))
    with relay_process(env, tmp_path / "log") as relay:
        relay.send(b"hits:1|c")
        await relay.wait_for(relay_accepted_lines_total=1)
        assert await relay.stop() == 0
        event = relay.stopped()
    assert event["imbalance"] == 0
    assert event["losses"] == "1 dropped (stop_without_state)"


async def test_healthcheck_of_a_running_relay(emulator, tmp_path):
    with relay_process(environment(emulator.url, tmp_path), tmp_path / "log") as relay:
        command = [sys.executable, "-m", "relay", "healthcheck", "--admin", relay.admin]
        for more in ([], ["--ready"]):
            done = await asyncio.to_thread(
                subprocess.run, [*command, *more], capture_output=True, text=True, check=False
            )
            source = f"relay {relay.admin} test pid {relay.process.pid}, no file generation 1\n"
            assert (done.returncode, done.stderr) == (0, source)
        done = await asyncio.to_thread(
            subprocess.run, [*command, "--json"], capture_output=True, text=True, check=False
        )
        answer = json.loads(done.stdout)
        assert answer.pop("source")["relay"] == relay.admin
        assert answer == {"healthy": True, "status": 200, "sentence": "ok"}


async def test_the_secret_shows_nowhere(emulator, tmp_path):
    env = environment(emulator.url, tmp_path, LOG_LEVEL="debug") | {"JDCLOUD_SECRET_ACCESS_KEY": "c4n4ry-s3cret"}
    with relay_process(env, tmp_path / "log") as relay:
        relay.send(b"a:1|c")
        await relay.wait_for(**{'relay_requests_total{code="401"}': 1})
        await relay.stop()
    assert "RLY120" in relay.text()
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"c4n4ry" not in path.read_bytes()
