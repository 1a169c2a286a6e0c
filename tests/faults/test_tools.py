"""The tools cause the faults that they promise."""

from __future__ import annotations

import asyncio
import errno
import subprocess
import sys
import time

import pytest

from tests.support.chaos import KINDS, ChaosProxy
from tests.support.oracle import conserve
from tests.support.relay import RelayProcess
from tests.support.tools import FakeTime, SickDisk, fill, remount, take_inodes, tmpfs


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("hang", "slow answer")])
async def test_a_proxy_breaks_requests_and_nothing_is_lost(kind, start, load, emulator):
    proxy = ChaosProxy(emulator.url)
    relay = start(endpoint=await proxy.start())
    try:
        proxy.spoil(kind, times=3)
        verdict = await conserve(relay, emulator, await load(relay, rate=500, seconds=2).wait(), fresh_within=30)
    finally:
        await proxy.stop()
    assert proxy.spoiled == {kind: 3}
    assert (verdict.resent > 0) == kind.startswith("answer")


def test_a_file_system_fills_up_and_loses_its_inodes(tmp_path):
    with tmpfs(tmp_path / "small", size="1m", inodes=50) as disk:
        filler = fill(disk)
        with pytest.raises(OSError, match="No space") as full:
            (disk / "more").write_bytes(b"x" * 5000)
        assert full.value.errno == errno.ENOSPC
        filler.unlink()
        (disk / "more").write_bytes(b"x" * 5000)
        made = take_inodes(disk)
        with pytest.raises(OSError, match="No space"):
            (disk / "one").touch()
        made[0].unlink()
        (disk / "one").touch()


def test_a_file_system_becomes_read_only(tmp_path):
    with tmpfs(tmp_path / "small") as disk:
        remount(disk, read_only=True)
        with pytest.raises(OSError, match="Read-only"):
            (disk / "one").touch()
        remount(disk, read_only=False)
        (disk / "one").touch()


def test_a_disk_stalls_and_other_files_do_not(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    sick = SickDisk(tmp_path, under=disk)
    script = (
        "import sqlite3, sys, time\n"
        "def timed(path):\n"
        "    began = time.monotonic()\n"
        "    db = sqlite3.connect(path); db.execute('CREATE TABLE t (a)'); db.commit(); db.close()\n"
        "    return time.monotonic() - began\n"
        "print(timed(sys.argv[1]), flush=True)\n"
        "print(timed(sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", script, tmp_path / "beside.db", disk / "stalled.db"]
    with sick.stalled():
        process = subprocess.Popen(command, env=sick.environment, stdout=subprocess.PIPE, text=True)
        beside = float(process.stdout.readline())
        time.sleep(1)
        assert process.poll() is None
    stalled = float(process.communicate(timeout=20)[0])
    assert beside < stalled
    assert stalled > 0.3


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO, errno.ENOSPC])
def test_a_disk_fails_and_recovers(number, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    sick = SickDisk(tmp_path, under=disk)
    script = (
        "import errno, sys, os\n"
        "fd = os.open(sys.argv[1] + '/open', os.O_CREAT | os.O_WRONLY)\n"
        "directory = os.open(sys.argv[1], os.O_RDONLY)\n"
        "def attempt(call, *args, **more):\n"
        "    try:\n"
        "        call(*args, **more)\n"
        "        return 'ok'\n"
        "    except OSError as error:\n"
        "        return str(error.errno)\n"
        "print('open', flush=True)\n"
        "for _ in range(2):\n"
        "    input()\n"
        "    print(attempt(os.write, fd, b'x'), attempt(os.fdatasync, fd), attempt(open, sys.argv[1] + '/new', 'w'),\n"
        "          attempt(os.open, 'at', os.O_CREAT | os.O_RDWR, dir_fd=directory), attempt(open, os.devnull, 'w'),\n"
        "          attempt(os.rename, sys.argv[1] + '/open', sys.argv[1] + '/to'), flush=True)\n"
    )
    command = [sys.executable, "-c", script, disk]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=sick.environment, **pipes) as process:
        assert process.stdout.readline() == "open\n"
        with sick.failing(number):
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline().split() == [*[str(number)] * 4, "ok", str(number)]
        assert process.communicate("\n", timeout=20)[0].split() == ["ok"] * 6


def test_a_clock_steps_and_monotonic_time_does_not(tmp_path):
    faketime = FakeTime(tmp_path)
    script = "import time\nfor _ in range(2):\n    print(time.time(), time.monotonic(), flush=True)\n    input()\n"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command, env=faketime.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        before = list(map(float, process.stdout.readline().split()))
        faketime.step(3600)
        process.stdin.write("\n")
        process.stdin.flush()
        after = list(map(float, process.stdout.readline().split()))
        process.communicate("\n", timeout=20)
    assert after[0] - before[0] == pytest.approx(3600, abs=10)
    assert after[1] - before[1] < 10
    assert faketime.wall() == pytest.approx(time.time() + 3600, abs=1)


@pytest.fixture
def forking():
    """A supervisor with children between fork and exec."""
    relay = RelayProcess.__new__(RelayProcess)
    copies = "import os, time\nos.fork() and os.fork()\ntime.sleep(60)\n"
    relay.process = subprocess.Popen([sys.executable, "-c", copies])
    yield relay
    relay.kill()


async def test_a_copy_of_a_supervisor_is_no_worker_and_ends_with_it(forking):
    """Between fork and exec it is a copy; as the next worker it would let a test go on too early."""
    while len(children := forking.children()) < 2:
        await asyncio.sleep(0.01)
    assert forking.worker_pid == forking.process.pid
    forking.kill()
    for child in children:
        await forking.gone(child)
