"""Row 46: another user of the machine binds the admin port as soon as it is free."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

import pytest

from tests.support.activated import HeldRelay, Holder
from tests.support.oracle import conserve, freshness
from tests.support.relay import free_port, run

RATE = 1000
HOSTILE = """
import os, socket, sys, time
os.setgroups([]), os.setgid(65534), os.setuid(65534)
host, port = sys.argv[1].rsplit(":", 1)
print("looking", flush=True)
while True:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, int(port)))
        except OSError:
            time.sleep(0.0005)
            continue
        sock.listen(64)
        print("taken", flush=True)
        while True:
            connection, _ = sock.accept()
            connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\nhostile")
            connection.close()
"""


class Hostile:
    """A process of another user that binds an address as soon as it is free, and answers there."""

    def __init__(self, address: str) -> None:
        if os.getuid() != 0:
            pytest.skip("another user needs root")
        command = [sys.executable, "-I", "-c", HOSTILE, address]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd="/", env={})
        self.said: list[bytes] = [self._process.stdout.readline()]
        self._reader = threading.Thread(target=lambda: self.said.extend(self._process.stdout))
        self._reader.start()

    @property
    def has_taken(self) -> bool:
        return b"taken\n" in self.said

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()


class Probe:
    """Requests health all the time; records answers that are not the relay's."""

    def __init__(self, admin: str) -> None:
        self.answers, self.strange = 0, []
        self._url = f"http://{admin}/-/healthy"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(0.02):
            try:
                with urllib.request.urlopen(self._url, timeout=10) as answer:
                    text = answer.read()
            except OSError as error:
                text = repr(error).encode()
            self.answers += text == b"ok\n"
            if text != b"ok\n":
                self.strange.append(text)

    def end(self) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture
def hostile():
    """`hostile(address)`: see Hostile."""
    running: list[Hostile] = []

    def begin(address: str) -> Hostile:
        running.append(Hostile(address))
        return running[-1]

    yield begin
    for one in running:
        one.end()


async def told(relay, event: str, times: int = 1) -> dict:
    async with asyncio.timeout(30):
        while len(found := relay.events(event)) < times:
            await asyncio.sleep(0.02)
    return found[-1]


async def test_row_46_a_port_that_no_other_process_can_bind(start, load, emulator, figure, hostile):
    relay = start()
    generator = load(relay, rate=RATE, seconds=120)
    taker, probe = hostile(relay.admin), Probe(relay.admin)
    for _ in range(2):
        await asyncio.sleep(1)
        before = relay.worker_pid
        relay.process.send_signal(signal.SIGUSR2)
        await relay.gone(before)
        await told(relay, "started", len(relay.events("started")))
        await asyncio.sleep(1)
        await relay.gone(relay.signal_worker(signal.SIGKILL))
    await asyncio.sleep(1)
    sent = await generator.stop()
    verdict = await conserve(relay, emulator, sent, lost=2 * 4 * RATE)
    probe.end()
    assert not taker.has_taken
    assert "giving up" not in relay.text()
    # A request that the worker has taken ends with it: killed twice, and replaced twice within the second of a stop.
    assert b"hostile" not in b"".join(probe.strange)
    assert len(probe.strange) <= 4
    assert probe.answers > 20
    assert await relay.stop() == 0
    figure(46, f"2 replacements and 2 kills, another user after the port: {probe.answers} probes answered; {verdict}")


async def test_row_46_an_admin_address_that_is_refused_ends_nothing(start, emulator, figure, hostile, tmp_path):
    first, taken, free = (free_port(socket.SOCK_STREAM) for _ in range(3))
    path = tmp_path / "relay.toml"
    text = '[admin]\nlisten = "127.0.0.1:{}"\n[config]\nwatch = false\n'
    path.write_text(text.format(first))
    relay = start(command=run("-c", path))
    relay.environ.pop("STATSD_RELAY_ADMIN_LISTEN")
    await relay.restart()
    taker = hostile(f"127.0.0.1:{taken}")
    while not taker.has_taken:
        await asyncio.sleep(0.02)
    worker = relay.worker_pid
    path.write_text(text.format(taken))
    for times, number in enumerate((signal.SIGHUP, signal.SIGUSR2), 1):
        relay.process.send_signal(number)
        event = await told(relay, "not replaced, nothing has changed", times)
        assert f"cannot bind admin port 127.0.0.1:{taken}: in use" in event["why"]
    assert relay.worker_pid == worker
    await freshness(relay, emulator, within=20)
    path.write_text(text.format(free))
    relay.process.send_signal(signal.SIGHUP)
    await relay.gone(worker)
    await told(relay, "started", 3)
    assert relay.events("started")[-1]["admin"] == f"127.0.0.1:{free}"
    relay.admin = f"127.0.0.1:{free}"
    later = hostile(f"127.0.0.1:{free}")
    await relay.gone(relay.signal_worker(signal.SIGKILL))
    await freshness(relay, emulator, within=20)
    assert not later.has_taken
    figure(46, "an admin address that is taken is refused by name; one that is free is held from then on")


async def test_row_46_a_worker_of_systemd_receives_without_an_admin_port(
    settings, load, emulator, figure, hostile, tmp_path
):
    """Without a supervisor: the relay waits for the admin port, and delivers meanwhile."""
    holder = Holder()
    relay = HeldRelay(settings(), tmp_path / "held.log", holder)
    try:
        taker = hostile(relay.admin)
        generator = load(to=f"udp:127.0.0.1:{relay.udp[1]}", rate=RATE, seconds=120)
        before = relay.events("started")
        relay.process.send_signal(signal.SIGUSR2)
        await told(relay, "started", len(before) + 1)
        assert not taker.has_taken, "the next worker is given the port by the one before, which is the same process"
        await relay.stop(signal.SIGKILL)
        while not taker.has_taken:
            await asyncio.sleep(0.02)
        await asyncio.to_thread(relay.start)
        event = await told(relay, "the admin port is taken, waiting for it")
        assert "in use" in event["why"]
        await asyncio.sleep(2)
        taker.end()
        await told(relay, "the admin port is free, listening")
        verdict = await conserve(relay, emulator, await generator.stop(), lost=4 * RATE)
        figure(46, f"socket activation, the port taken after a kill: ingest goes on; {verdict}")
    finally:
        relay.kill()
        holder.socket.close()


async def test_row_46_a_port_that_a_daemon_leaves_is_held_from_then_on(start, emulator, figure, hostile):
    """`--take-over`: the worker waits for the port, and the supervisor holds it as soon as it is free."""
    with socket.create_server(("127.0.0.1", 0)) as daemon:
        address = f"127.0.0.1:{daemon.getsockname()[1]}"
        relay = start(command=run("--take-over"), ADMIN_LISTEN=address)
        await told(relay, "the admin port is taken, waiting for it")
    await told(relay, "the admin port is free, listening")
    await asyncio.sleep(0.5)
    taker = hostile(address)
    await relay.gone(relay.signal_worker(signal.SIGKILL))
    await freshness(relay, emulator, within=20)
    before = relay.worker_pid
    relay.process.send_signal(signal.SIGUSR2)
    await relay.gone(before)
    await freshness(relay, emulator, within=20)
    assert not taker.has_taken
    figure(46, "a port that a daemon left is held over a kill and a replacement")
