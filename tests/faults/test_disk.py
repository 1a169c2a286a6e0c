"""Rows 9, 10, 12 to 15 and the size of row 26: the disk under a running relay."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import statistics
import subprocess
import time

import pytest

from relay.daemon.egress import pack_requests
from relay.hotpath.sketch import Sketch
from relay.jdcloud.points import PointEncoder
from relay.model import ClosedWindow, Kind, Rollup, Series
from tests.support.chaos import ChaosProxy
from tests.support.oracle import conserve, freshness
from tests.support.relay import run
from tests.support.spool import open_spool
from tests.support.state import bytes_of
from tests.support.tools import SickDisk, fill, missing, remount, take_inodes, tmpfs

RATE = 2000


@pytest.fixture
async def proxy(emulator):
    """A proxy to the emulator, which a test may close."""
    proxy = ChaosProxy(emulator.url)
    await proxy.start()
    yield proxy
    await proxy.stop()


def refuse_connections(proxy: ChaosProxy) -> None:
    """Close the listener and all connections."""
    proxy.refused = True
    proxy.cut()


class Lags:
    """Each measured lag of the event loop."""

    def __init__(self, relay) -> None:
        self._relay = relay
        self.seen: list[float] = []
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            self.seen.append((await asyncio.to_thread(self._relay.metrics))["relay_loop_lag_seconds"])
            await asyncio.sleep(0.25)

    def stop(self) -> str:
        self._task.cancel()
        return f"loop lag median {statistics.median(self.seen) * 1000:.1f} ms, worst {max(self.seen) * 1000:.1f} ms"


# --- row 9 ------------------------------------------------------------------------------------------------------------


async def test_row_09_state_directory_full_while_running(start, load, proxy, emulator, figure, tmp_path):
    """The cloud is down too for a while, so that windows are kept in memory only."""
    with tmpfs(tmp_path / "state", size="8m") as disk:
        relay = start(endpoint=proxy.url, SPOOL_MAX="4MiB")
        lags, generator = Lags(relay), load(relay, rate=RATE, seconds=60)
        await asyncio.sleep(1.5)
        filler = fill(disk)
        noticed = await relay.degraded(True)
        await freshness(relay, emulator, within=8)
        refuse_connections(proxy)
        await asyncio.sleep(2.5)
        proxy.heal()
        await freshness(relay, emulator, within=20)
        filler.unlink()
        recovered = await relay.degraded(False)
        verdict = await conserve(relay, emulator, await generator.stop(), fresh_within=20)
        assert await relay.stop() == 0
    assert "durability degraded" in relay.text()
    assert "durability restored" in relay.text()
    figure(
        9, f"full: degraded after {noticed:.1f} s, restored {recovered:.1f} s after the space; {verdict}; {lags.stop()}"
    )


@pytest.mark.full
async def test_row_09_the_restart_after_a_full_disk_sends_nothing_twice(start, load, emulator, figure, tmp_path):
    with tmpfs(tmp_path / "state", size="8m") as disk:
        relay = start(SPOOL_MAX="4MiB")
        generator = load(relay, rate=RATE, seconds=60)
        await asyncio.sleep(1.5)
        filler = fill(disk)
        await relay.degraded(True)
        await asyncio.sleep(2)
        sent = await generator.stop()
        filler.unlink()
        await relay.degraded(False)
        assert await relay.restart() == 0
        verdict = await conserve(relay, emulator, sent)
    assert verdict.resent <= 50, "at most the request that the stop cut off"
    figure(9, f"full, then restarted: {verdict}, {verdict.resent} points sent again")


@pytest.mark.parametrize(
    ("how", "used"),
    [
        ("full", True),
        *(
            pytest.param(how, used, marks=pytest.mark.full)
            for how, used in [
                ("read-only", True),
                ("no inodes", True),
                ("full", False),
                ("no inodes", False),
                ("read-only", False),
            ]
        ),
    ],
)
async def test_row_09_started_on_a_disk_that_refuses(  # noqa: PLR0917 - fixtures
    how, used, start, load, emulator, figure, tmp_path
):
    with tmpfs(tmp_path / "state", size="8m", inodes=60) as disk:
        if used:
            relay = start(SPOOL_MAX="4MiB")
            await freshness(relay, emulator, within=8)
            assert await relay.stop() == 0
        heal = refuse(disk, how)
        relay = start(SPOOL_MAX="4MiB")
        generator = load(relay, rate=RATE, seconds=60)
        assert (await asyncio.to_thread(relay.metrics))["relay_durability_degraded"] == 1
        await asyncio.sleep(2)
        heal()
        recovered = await relay.degraded(False)
        verdict = await conserve(relay, emulator, await generator.stop())
        assert await relay.stop() == 0
    figure(9, f"started {how}, {'used' if used else 'fresh'}: restored {recovered:.1f} s after; {verdict}")


def refuse(disk, how: str):
    """Make a disk refuse; return the function that repairs it."""
    if how == "full":
        return fill(disk).unlink
    if how == "no inodes":
        made = take_inodes(disk)
        return lambda: [path.unlink() for path in made]
    remount(disk, read_only=True)
    return lambda: remount(disk, read_only=False)


@pytest.mark.full
@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO], ids=["read-only", "broken"])
async def test_row_09_a_disk_that_fails_while_running(number, start, load, emulator, figure, tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    sick = SickDisk(tmp_path, under=tmp_path / "state")
    relay = start(environ=sick.environment)
    generator = load(relay, rate=RATE, seconds=60)
    await asyncio.sleep(1.5)
    with sick.failing(number):
        noticed = await relay.degraded(True)
        await freshness(relay, emulator, within=8)
        await asyncio.sleep(1)
    recovered = await relay.degraded(False)
    sent = await generator.stop()
    assert await relay.restart() == 0
    verdict = await conserve(relay, emulator, sent)
    name = errno.errorcode[number]
    figure(9, f"{name}: degraded after {noticed:.1f} s, restored {recovered:.1f} s after; {verdict}")


# --- row 10 -----------------------------------------------------------------------------------------------------------


@pytest.mark.full
async def test_row_10_an_outage_that_fills_the_quota(start, load, proxy, emulator, figure, tmp_path):
    quota, state, most = 2 * 1024 * 1024, tmp_path / "state", 0
    relay = start(endpoint=proxy.url, SPOOL_MAX=str(quota))
    await freshness(relay, emulator, within=8)
    refuse_connections(proxy)
    generator = load(relay, rate=200, seconds=120)
    names = [b"\n".join(b"flood.n%d:%d|c" % (n, n * 7919 % 1009) for n in range(k, k + 50)) for k in range(0, 6000, 50)]
    metrics = {"relay_spool_dropped_windows_total": 0}
    until = time.monotonic() + 60
    while metrics["relay_spool_dropped_windows_total"] < 5:
        assert time.monotonic() < until, relay.text()[-2000:]
        await asyncio.to_thread(relay.send, *names)
        await asyncio.sleep(0.5)
        most = max(most, bytes_of(state.glob("spool.*")))
        metrics = await asyncio.to_thread(relay.metrics)
    assert metrics["relay_durability_degraded"] == 0
    sent = await generator.stop()
    dropped = int(metrics["relay_spool_dropped_windows_total"])
    proxy.heal()
    verdict = await conserve(relay, emulator, sent, lost=200 * (dropped + 3), fresh_within=60)
    metrics = await asyncio.to_thread(relay.metrics)
    dropped, points = metrics["relay_spool_dropped_windows_total"], metrics['relay_points_total{outcome="dropped"}']
    delivered = metrics['relay_points_total{outcome="delivered"}']
    assert len(emulator.received) == delivered == metrics['relay_points_total{outcome="created"}'] - points
    assert verdict.gaps[0][0] == 0, "the oldest windows went"
    assert len(verdict.gaps) == 1, "and whole ones in a row"
    assert most <= quota
    assert "the spool is filling" in relay.text()
    share = most / quota * 100
    figure(10, f"{dropped:.0f} windows, {points:.0f} points dropped; {share:.0f} % of the quota at most; {verdict}")


# --- row 12 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "harm", ["header", *(pytest.param(harm, marks=pytest.mark.full) for harm in ("middle", "cut", "zeroes"))]
)
async def test_row_12_a_corrupt_database_at_start(  # noqa: PLR0917 - fixtures
    harm, start, load, proxy, emulator, figure, tmp_path
):
    relay = start(endpoint=proxy.url)
    refuse_connections(proxy)
    await load(relay, rate=500, seconds=2.5).wait()
    assert await relay.stop() == 0
    file = tmp_path / "state/spool.db"
    content = harmed(file.read_bytes(), harm)
    file.write_bytes(content)
    proxy.heal()
    began = time.monotonic()
    await asyncio.to_thread(relay.start)
    verdict = await conserve(relay, emulator, await load(relay, rate=500, seconds=2).wait())
    [aside] = [p for p in file.parent.glob("spool.db.corrupt-*") if not p.name.endswith(("-wal", "-shm"))]
    assert aside.read_bytes() == content
    assert any(event.get("code") == "RLY412" for event in relay.events())
    figure(12, f"{harm}: set aside, fresh packet {time.monotonic() - began:.1f} s after the start; {verdict}")


def harmed(content: bytes, harm: str) -> bytes:
    half = len(content) // 2 // 16384 * 16384
    return {
        "header": b"\0" * 100 + content[100:],
        "middle": content[:16384] + bytes(byte ^ 0x55 for byte in content[16384:]),
        "cut": content[:half],
        "zeroes": content[:100] + bytes(len(content) - 100),
    }[harm]


@pytest.mark.full
async def test_row_12_a_database_that_is_damaged_while_running(start, load, emulator, figure, tmp_path):
    """Batches still in memory are stored again; the rest is counted, and the relay goes on."""
    relay = start()
    generator = load(relay, rate=500, seconds=60)
    await asyncio.sleep(2)
    file = tmp_path / "state/spool.db"
    with file.open("r+b") as handle:
        handle.write(os.urandom(file.stat().st_size))
    with (tmp_path / "state/spool.db-wal").open("r+b") as handle:
        handle.write(os.urandom(4096))
    await asyncio.sleep(4)
    verdict = await conserve(relay, emulator, await generator.stop())
    assert await relay.restart() == 0
    await freshness(relay, emulator, within=8)
    assert any(event.get("code") == "RLY412" for event in relay.events())
    assert list(file.parent.glob("spool.db.corrupt-*"))
    figure(12, f"while running: set aside at the latest at the next start; {verdict}")


# --- row 13 -----------------------------------------------------------------------------------------------------------


@pytest.mark.full
async def test_row_13_a_disk_that_stalls_for_five_seconds(start, load, emulator, figure, tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    sick = SickDisk(tmp_path, under=tmp_path / "state")
    relay = start(environ=sick.environment)
    generator = load(relay, rate=RATE, seconds=60)
    await asyncio.sleep(2)
    lags, before = Lags(relay), len(emulator.received)
    with sick.stalled():
        await asyncio.sleep(5)
        during = len(emulator.received) - before
    recovered = await relay.degraded(False)
    lag = lags.stop()
    await asyncio.sleep(1)
    verdict = await conserve(relay, emulator, await generator.stop())
    assert await asyncio.to_thread(relay.kernel_drops) == 0
    assert during > 0, "live windows went on"
    assert statistics.median(lags.seen) < 0.02 * 4
    figure(13, f"{during} points delivered meanwhile, restored {recovered:.1f} s after; {verdict}; {lag}")


# --- row 14 -----------------------------------------------------------------------------------------------------------


def refused(environ) -> str:
    done = subprocess.run(run(), env=environ, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 71, done
    assert "Traceback" not in done.stderr
    return done.stderr


def test_row_14_an_unsafe_state_directory(settings, figure, tmp_path):
    state, environ = tmp_path / "state", settings()
    state.mkdir(mode=0o700)
    state.chmod(0o777)
    said = refused(environ)
    assert "error RLY104" in said
    for part in (str(state), f"uid {os.geteuid()}", "0777", f"fix: chmod 700 {state}"):
        assert part in said
    state.chmod(0o700)
    (state / "spool.db").symlink_to(tmp_path / "elsewhere")
    assert f"error RLY104  {state / 'spool.db'} is a symbolic link" in refused(environ)
    (state / "spool.db").unlink()
    if os.geteuid() != 0:
        missing("MOUNT", "not root: a directory of another user is not tested")
    os.chown(state, 65534, 65534)
    said = refused(environ)
    for part in ("error RLY104", str(state), "uid 65534", "0700", f"fix: chown -R {os.geteuid()} {state}"):
        assert part in said
    os.chown(state, os.geteuid(), -1)
    for name in ("spool.db", "checkpoint-1764000000.srp"):
        file = state / name
        file.touch(mode=0o600)
        os.chown(file, 65534, 65534)
        said = refused(environ)
        for part in ("error RLY104", str(file), "uid 65534", "0600", f"fix: chown {os.geteuid()} {file}"):
            assert part in said
        file.unlink()
    figure(14, "refused with path, uid, mode and fix: 0777, another owner of it or of a file in it, a link")


def test_row_14_a_second_relay(start, settings, figure):
    first = start()
    said = refused({**settings(), "STATSD_RELAY_LISTEN_UDP": "127.0.0.1:0", "STATSD_RELAY_ADMIN_LISTEN": "127.0.0.1:0"})
    assert "error RLY105" in said
    assert f"pid {first.worker_pid}" in said
    figure(14, "a second relay is told the pid of the first")


# --- row 15 -----------------------------------------------------------------------------------------------------------


@pytest.mark.full
@pytest.mark.parametrize("version", [0, 99])
async def test_row_15_state_of_another_release(  # noqa: PLR0917 - fixtures
    version, start, load, proxy, emulator, figure, tmp_path
):
    relay = start(endpoint=proxy.url)
    refuse_connections(proxy)
    sent = await load(relay, rate=500, seconds=2.5).wait()
    assert await relay.stop() == 0
    file = tmp_path / "state/spool.db"
    database = sqlite3.connect(file)
    database.execute(f"PRAGMA user_version = {version}")
    database.close()
    content = file.read_bytes()
    proxy.heal()
    await asyncio.to_thread(relay.start)
    if version == 0:
        verdict = await conserve(relay, emulator, sent)
        figure(15, f"an older spool is read: {verdict}")
    else:
        await freshness(relay, emulator, within=8)
        [aside] = file.parent.glob("spool.db.newer-*")
        assert aside.read_bytes() == content
        assert any(event.get("code") == "RLY412" for event in relay.events())
        figure(15, "a newer spool is set aside, byte for byte, with an alarm")


# --- row 26 -----------------------------------------------------------------------------------------------------------


def realistic(start: int, count: int) -> ClosedWindow:
    """A window of a web service: dotted names, three tags, counters, timers and gauges with plausible values."""
    rows = []
    for n in range(count):
        kind = (Kind.COUNTER, Kind.TIMER, Kind.GAUGE)[n % 3]
        tags = (
            ("endpoint", f"v1.orders.{n % 37}"),
            ("host", "web-17.cn-north-1"),
            ("status", ("200", "404", "500")[n % 7 % 3]),
        )
        name = f"shop.{('api', 'cart', 'search', 'login')[n % 4]}.{('requests', 'latency', 'queue')[n % 3]}.{n // 12}"
        value = (start * 31 + n * 7919) % 99_991 / 7
        sketch = Sketch() if kind is Kind.TIMER else None
        if sketch:
            sketch.extend([value + sample for sample in range(20)], 1.0, value, value + 19)
        rows.append(
            (
                Series(metric=name, dimensions=tags, kind=kind),
                Rollup(
                    samples=20, count=20, sum=value * 20, min=value / 3, max=value * 3, last=value, quantiles=sketch
                ),
            )
        )
    return ClosedWindow(start=start, seconds=60, samples=20 * count, series=[row[0] for row in rows], rows=rows)


async def test_row_26_bytes_a_point(tmp_path, figure):
    """500 points a minute through an outage, as the issue's; at most 100 bytes of disk for each."""
    encoder = PointEncoder(namespace="statsd", output="aggregate", counter_values="total", percentiles=[95])
    spool = await open_spool(tmp_path)
    for minute in range(200):
        encoding = encoder.encode_window(realistic(1_764_000_000 + minute * 60, 375))
        list(encoding.prepare())
        await spool.store(1_764_000_000 + minute * 60, list(pack_requests(encoding, 1_764_000_000 + minute * 60)), {})
    points = spool.points
    await spool.close()
    each = (tmp_path / "spool.db").stat().st_size / points
    assert each <= 100
    hours = 1024**3 / each / 500 / 60
    figure(
        26, f"{each:.0f} bytes a point on disk ({points} points): 1 GiB holds {hours:.0f} hours of 500 points a minute"
    )
