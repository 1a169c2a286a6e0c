"""A relay that is held up: by a log that is not read, a pipe in the place of a file, a signal at the start."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from relay.tools.emulator import Fault
from tests.support.relay import ACCESS, REGION, SECRET, run
from tests.support.tools import SickDisk

STOP = 5.0
"""Seconds that a stop may take; asserted x 4."""


def full_pipe() -> tuple[int, int]:
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writes, b"\n" * 4096)
    os.set_blocking(writes, True)
    return reads, writes


def begin(environ, output) -> subprocess.Popen:
    return subprocess.Popen(run(), env=environ, stdout=output, stderr=output, cwd="/")


async def arrives(emulator, metric: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not emulator.points(metric):
        assert time.monotonic() < deadline, f"{metric} does not arrive"
        await asyncio.sleep(0.05)


async def stops(relay) -> None:
    began = time.monotonic()
    assert await relay.stop() == 0
    assert time.monotonic() - began < STOP * 4


async def test_a_log_that_is_not_read_blocks_nothing(settings, emulator):
    environ = settings()
    host, port = environ["STATSD_RELAY_LISTEN_UDP"].split(":")
    reads, writes = full_pipe()
    process = begin(environ, writes)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(200):
                sock.sendto(b"web.hits:1|c", (host, int(port)))
                await asyncio.sleep(0.1)
                if emulator.points("web.hits"):
                    break
        assert emulator.points("web.hits")
        url = f"http://{environ['STATSD_RELAY_ADMIN_LISTEN']}/-/healthy"
        assert (await asyncio.to_thread(urllib.request.urlopen, url, timeout=10)).status == 200
        process.terminate()
        assert await asyncio.to_thread(process.wait, STOP * 4) == 0
    finally:
        process.kill()
        process.wait()
        os.close(reads)
        os.close(writes)


async def test_a_pipe_in_the_place_of_a_secret_keeps_no_request(start, emulator, tmp_path):
    """The cloud refuses the key for a moment; the credential file is then a pipe without end."""
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_text(SECRET)
    relay = start(CLOUD_ACCESS_KEY=ACCESS, CLOUD_SECRET_KEY_FILE=str(key), CLOUD_REGION=REGION)
    key.unlink()
    os.mkfifo(key, 0o600)
    emulator.add_fault(Fault("401", left=1))
    relay.send(b"web.hits:1|c")
    await relay.wait_for(**{'relay_requests_total{code="401"}': 1})
    await asyncio.sleep(3)
    await stops(relay)


async def test_a_pipe_in_the_place_of_the_configuration_ends_no_reload_for_good(start, emulator, tmp_path):
    path = tmp_path / "relay.toml"
    path.write_text("")
    relay = start(command=run("-c", path))
    path.unlink()
    os.mkfifo(path)
    relay.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 60
    while "RLY502" not in relay.text():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    relay.process.send_signal(signal.SIGHUP)
    await asyncio.sleep(1)
    relay.send(b"web.hits:1|c")
    await arrives(emulator, "web.hits")
    await stops(relay)


@pytest.mark.parametrize("after", [0.0, 0.3])
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT])
async def test_a_signal_in_the_first_moments_does_what_it_does_later(number, after, settings, emulator, tmp_path):
    environ = settings()
    host, port = environ["STATSD_RELAY_LISTEN_UDP"].split(":")
    with (tmp_path / "log").open("wb") as log:
        process = begin(environ, log)
    try:
        while not _holds_back(process.pid):  # until the program runs, the system ends any process
            await asyncio.sleep(0.005)
        await asyncio.sleep(after)
        process.send_signal(number)
        if number in (signal.SIGTERM, signal.SIGINT):
            assert await asyncio.to_thread(process.wait, 30) == 0
        else:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                while not emulator.points("web.hits"):
                    assert process.poll() is None
                    sock.sendto(b"web.hits:1|c", (host, int(port)))
                    await asyncio.sleep(0.1)
        assert b"Traceback" not in (tmp_path / "log").read_bytes()
    finally:
        process.terminate()
        process.wait()


async def test_a_stop_while_a_start_waits_for_a_disk_that_hangs(start, emulator, tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    disk = SickDisk(tmp_path, under=tmp_path / "state")
    relay = start(environ=disk.environment)
    relay.kill()
    with disk.stalled(), relay.log.open("ab") as log:
        process = begin(relay.environ, log)
        while not disk.holds():
            await asyncio.sleep(0.1)
        began = time.monotonic()
        process.terminate()
        assert await asyncio.to_thread(process.wait, 50) != 0
    assert time.monotonic() - began < STOP * 2 * 4
    assert relay.events("worker killed, what it alone had is lost")


@pytest.mark.parametrize("spoil", ["replaced by two lines", "removed", "certificates removed"])
async def test_a_worker_dies_while_a_file_that_the_configuration_names_cannot_be_used(spoil, start, emulator, tmp_path):
    """The next worker receives and keeps everything, and sends it once the file can be used again."""
    key, certificates = tmp_path / "key", tmp_path / "ca.pem"
    key.touch(0o600)
    key.write_text(SECRET)
    trustme.CA().cert_pem.write_to_path(certificates)
    relay = start(
        CLOUD_ACCESS_KEY=ACCESS, CLOUD_SECRET_KEY_FILE=str(key), CLOUD_REGION=REGION, CLOUD_CA_FILE=str(certificates)
    )
    spoiled = certificates if spoil.startswith("certificates") else key
    well = spoiled.read_bytes()
    spoiled.unlink() if "removed" in spoil else spoiled.write_text("two\nlines")
    victim = relay.signal_worker(signal.SIGKILL)
    await relay.gone(victim)
    await relay.wait_for()
    relay.send(b"web.hits:1|c")
    await relay.wait_for(**{'relay_points{state="spooled"}': 1})
    spoiled.write_bytes(well)
    spoiled.chmod(0o600)
    await arrives(emulator, "web.hits", 60)
    await stops(relay)


def _holds_back(pid: int) -> bool:
    """Say whether a process blocks or handles SIGHUP."""
    status = Path(f"/proc/{pid}/status").read_text()
    masks = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigBlk", "SigCgt"))]
    return any(mask >> (signal.SIGHUP - 1) & 1 for mask in masks)
