"""The units, and a relay that systemd's own tool activates, with a service manager that the test plays."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.relay import RelayProcess, environment, free_port, make_emulator, run

UNITS = Path(__file__).parents[2] / "deploy/systemd"


def tool(name: str) -> str:
    """Find a tool of systemd; its absence skips loudly, or fails where it is expected."""
    found = shutil.which(name)
    if found is None and os.environ.get("RELAY_EXPECT_SYSTEMD") != "1":
        pytest.skip(f"{name} is not installed: apt-get install systemd")
    assert found
    return found


def ask(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})


def test_the_exposure_of_the_service_is_low(record_property):
    done = ask(
        tool("systemd-analyze"),
        "security",
        "--offline=true",
        "--threshold=20",
        "--no-pager",
        str(UNITS / "statsd-relay.service"),
    )
    [level] = re.findall(r"Overall exposure level for statsd-relay.service: ([\d.]+)", done.stdout)
    record_property("exposure", level)
    sys.stdout.write(f"systemd-analyze security: exposure {level}\n")
    assert done.returncode == 0
    assert float(level) <= 2.0


def test_the_service_leaves_no_core_dump():
    assert "\nLimitCORE=0\n" in (UNITS / "statsd-relay.service").read_text()


def test_the_units_are_well_formed(tmp_path):
    """With the program where this machine has it, and the type that this machine's systemd knows."""
    analyze = tool("systemd-analyze")
    version = int(re.search(r"systemd (\d+)", ask(analyze, "--version").stdout)[1])
    service = (UNITS / "statsd-relay.service").read_text()
    service = re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", service, flags=re.MULTILINE)
    if version < 253:
        service = service.replace("Type=notify-reload", "Type=notify")
    (tmp_path / "statsd-relay.service").write_text(service)
    shutil.copy(UNITS / "statsd-relay.socket", tmp_path)
    done = ask(analyze, "verify", str(tmp_path / "statsd-relay.socket"), str(tmp_path / "statsd-relay.service"))
    assert (done.returncode, done.stderr) == (0, "")


class Manager:
    """The socket that a service manager listens on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(0.05)
        self.heard: list[str] = []

    def listen(self, seconds: float) -> list[str]:
        """Return the messages of that time."""
        ends, began = time.monotonic() + seconds, len(self.heard)
        while time.monotonic() < ends:
            try:
                self.heard += self.socket.recv(4096).decode().splitlines()
            except TimeoutError:
                continue
        return self.heard[began:]

    async def wait_for(self, *wanted: str) -> list[str]:
        """Wait for each message, in this order, after those received before."""
        said: list[str] = []
        deadline = time.monotonic() + 60
        rest = list(wanted)
        while rest:
            assert time.monotonic() < deadline, (rest, said)
            for line in await asyncio.to_thread(self.listen, 0.1):
                said.append(line)
                if rest and line.startswith(rest[0]):
                    rest.pop(0)
        return said


@pytest.fixture
async def manager(tmp_path):
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.socket.close()


@pytest.fixture(params=["activated", "supervised"])
async def managed(request, manager, tmp_path):
    """A relay below a service manager: activated by a socket, or with our own supervisor."""
    emulator = make_emulator()
    url = await emulator.start()
    port = free_port()
    environ = {
        **environment(url, tmp_path / "state", LISTEN_UDP=f"127.0.0.1:{port}"),
        "NOTIFY_SOCKET": str(manager.path),
        "WATCHDOG_USEC": "600000",
    }
    command = run()
    if request.param == "activated":
        activate = tool("systemd-socket-activate")
        passed = [f"--setenv={name}" for name in environ]
        command = (activate, "--datagram", f"--listen=127.0.0.1:{port}", "--fdname=udp", *passed, *run())
    starting = asyncio.create_task(asyncio.to_thread(RelayProcess, environ, tmp_path / "log", command=command))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        while not starting.done():
            sender.sendto(b"hits:1|c", ("127.0.0.1", port))
            await asyncio.sleep(0.1)
    relay = await starting
    relay.kind, relay.emulator = request.param, emulator
    yield relay
    relay.kill()
    await emulator.stop()


async def test_a_service_manager_gets_every_state(managed, manager):
    await manager.wait_for("READY=1", "STATUS=listening on 1 socket", "WATCHDOG=1", "WATCHDOG=1")
    assert (managed.worker_pid == managed.process.pid) == (managed.kind == "activated")

    managed.process.send_signal(signal.SIGHUP)
    await manager.wait_for("RELOADING=1", "MONOTONIC_USEC=", "READY=1")

    managed.signal_worker(signal.SIGSTOP)
    await asyncio.to_thread(manager.listen, 0.5)
    assert await asyncio.to_thread(manager.listen, 1.5) == [], "a relay that hangs must not feed the watchdog"
    managed.signal_worker(signal.SIGCONT)
    await manager.wait_for("WATCHDOG=1")

    managed.process.send_signal(signal.SIGUSR2)
    said = await manager.wait_for("READY=1", "WATCHDOG=1")
    assert "STOPPING=1" not in said, "a replacement is no stop"

    managed.process.send_signal(signal.SIGTERM)
    await manager.wait_for("STOPPING=1")
    assert await asyncio.to_thread(managed.process.wait, 20) == 0
    assert managed.emulator.total("hits") > 0
