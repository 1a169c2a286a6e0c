"""The spool on a disk that is full, small, read-only, slow or damaged: real file systems, real SQLite."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from relay.delivery.spool import memory, writer
from relay.delivery.spool.database import Database
from relay.delivery.spool.errors import DiskTrouble
from relay.ledger import Ledger
from tests.support.spool import balanced, batch, open_spool
from tests.support.state import bytes_of
from tests.support.tools import fill, remount, take_inodes, tmpfs

if TYPE_CHECKING:
    from pathlib import Path

    from relay.delivery.spool.spool import Spool

MIB = 1024 * 1024


@pytest.fixture
def disk(tmp_path):
    with tmpfs(tmp_path / "disk", size="16m", inodes=60) as path:
        yield path


def window(id_: int, count: int = 20, size: int = 8000):
    return [batch(id_, number, size=size) for number in range(count)]


async def until(condition, seconds: float = 5.0) -> float:
    """Wait; return the seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds * 4, "never happened"
        await asyncio.sleep(0.01)
    return time.monotonic() - began


def batches_on(disk: Path) -> int:
    """Return the number of batches in the database."""
    with closing(sqlite3.connect(f"file:{disk / 'spool.db'}?mode=ro", uri=True)) as database:
        return database.execute("SELECT count(*) FROM batches").fetchone()[0]


async def drain(spool: Spool) -> list[tuple[int, bytes]]:
    """Lease all waiting batches, and end the leases as done."""
    taken = []
    while spool.batches:
        lease = await spool.lease()
        taken.append((lease.batch.window, lease.batch.body))
        spool.done(lease)
    return taken


def expected(*windows: int, **options) -> list[tuple[int, bytes]]:
    return sorted((id_, one.body) for id_ in windows for one in window(id_, **options))


# --- full -------------------------------------------------------------------------------------------------------------


async def test_storage_full_while_running_loses_nothing_and_recovers_by_itself(disk):
    """StorageFull: windows are stored in memory, sent from memory, and go to disk when there is room again."""
    ledger = Ledger()
    spool = await open_spool(disk, ledger=ledger, limit_bytes=8 * MIB)
    await spool.store(60, window(60), {"gauges": b"1"})
    assert not spool.degraded
    filler = fill(disk)
    for id_ in range(120, 1200, 60):
        began = time.monotonic()
        await spool.store(id_, window(id_), {"gauges": b"%d" % id_})
        assert time.monotonic() - began < 2 * 4
        assert balanced(spool, ledger)
    await until(lambda: spool.degraded)
    assert spool.points == 19 * 40
    live = await spool.lease(live=True)
    assert live.batch == batch(1140, 0, size=8000)
    spool.done(live)
    assert await spool.state("gauges") == b"1140"
    filler.unlink()
    seconds = await until(lambda: not spool.degraded)
    assert seconds < 5 * 4
    await spool.close()
    assert balanced(spool, ledger, done=2)

    again = await open_spool(disk, limit_bytes=8 * MIB)
    assert again.committed == set(range(60, 1200, 60))
    assert await again.state("gauges") == b"1140"
    assert sorted(await drain(again)) == sorted(set(expected(*range(60, 1200, 60))) - {(1140, live.batch.body)})
    await again.close()


async def test_deletions_that_could_not_be_written_are_made_later(disk):
    """A batch that is done while the disk is full is not sent again after it, nor after a restart."""
    spool = await open_spool(disk, limit_bytes=4 * MIB)
    await spool.store(60, window(60), {})
    filler = fill(disk)
    for id_ in range(120, 600, 60):
        await spool.store(id_, window(id_), {})
    await until(lambda: spool.degraded)
    assert len(await drain(spool)) == 9 * 20
    filler.unlink()
    await until(lambda: not spool.degraded)
    await until(lambda: not batches_on(disk))  # a stop gives up after two seconds
    await spool.close()
    again = await open_spool(disk, limit_bytes=4 * MIB)
    assert (again.batches, again.committed) == (0, set(range(60, 600, 60)))
    await again.close()


async def test_a_start_on_a_full_disk_delivers_stored_and_new_batches(disk):
    spool = await open_spool(disk, limit_bytes=4 * MIB)
    await spool.store(60, window(60), {})
    await spool.close()
    filler = fill(disk)
    ledger = Ledger()
    again = await open_spool(disk, ledger=ledger, limit_bytes=4 * MIB)
    assert again.degraded
    assert again.committed == {60}
    for id_ in (120, 180, 240, 300):
        await again.store(id_, window(id_), {})
    assert {id_ for id_, _ in await drain(again)} == {60, 120, 180, 240, 300}
    assert balanced(again, ledger, done=5 * 40)
    filler.unlink()
    await until(lambda: not again.degraded)
    await again.close()
    last = await open_spool(disk, limit_bytes=4 * MIB)
    assert (last.batches, last.committed) == (0, {60, 120, 180, 240, 300})
    await last.close()


async def test_a_first_start_on_a_full_disk(disk):
    filler = fill(disk)
    ledger = Ledger()
    spool = await open_spool(disk, ledger=ledger, limit_bytes=4 * MIB)
    assert spool.degraded
    await spool.store(60, window(60), {"gauges": b"g"})
    assert await spool.state("gauges") == b"g"
    filler.unlink()
    await until(lambda: not spool.degraded)
    await spool.close()
    again = await open_spool(disk, limit_bytes=4 * MIB)
    assert (sorted(await drain(again)), await again.state("gauges")) == (expected(60), b"g")
    await again.close()


async def test_a_disk_without_inodes(disk):
    made = take_inodes(disk)
    ledger = Ledger()
    spool = await open_spool(disk, ledger=ledger, limit_bytes=4 * MIB)
    assert spool.degraded
    await spool.store(60, window(60), {})
    for path in made:
        path.unlink()
    await until(lambda: not spool.degraded)
    await spool.close()
    again = await open_spool(disk, limit_bytes=4 * MIB)
    assert sorted(await drain(again)) == expected(60)
    await again.close()


@pytest.mark.parametrize("ballast", [True, False])
async def test_a_kill_on_a_full_disk_leaves_what_was_committed(disk, tmp_path, ballast):
    """The last commit is in a log that could not be checkpointed; a start on a disk still full finds it."""
    spool = await open_spool(disk, limit_bytes=4 * MIB)
    await spool.store(60, window(60), {})
    fill(disk)
    await spool.store(120, window(120, count=3), {})
    await until(lambda: spool.degraded and not spool._writer._queue.jobs)
    with tmpfs(tmp_path / "copy", size="16m") as copy:
        for path in disk.glob("spool.*"):
            if not path.name.endswith("-shm") and (ballast or "ballast" not in path.name):
                (copy / path.name).write_bytes(path.read_bytes())
        filler = fill(copy)
        again = await open_spool(copy, limit_bytes=4 * MIB)
        assert again.degraded
        assert again.committed == {60, 120}
        if ballast:
            assert (await again.lease()).batch == batch(120, 0, size=8000)
        filler.unlink()
        await until(lambda: not again.degraded)
        assert {id_ for id_, _ in await drain(again)} == {60, 120}
        await again.close()
    await spool.close()


# --- a part of a window is on disk already ---------------------------------------------------------------------------


def broken(*_):
    raise DiskTrouble("io", "broken")


def break_writes(patch):
    """Let every transaction fail."""
    patch.setattr(Database, "write", broken)
    patch.setattr(Database, "delete", broken)


async def test_a_checkpointed_window_waits_until_it_is_stored_and_the_checkpoint_gone(tmp_path, monkeypatch):
    """Else a start would send the part again, from memory at once, or where the database is lost after it was stored.

    One with nothing else on disk is sent at once.
    """
    monkeypatch.setattr(writer, "_RETRY", 0.05)
    ledger = Ledger()
    spool = await open_spool(tmp_path, ledger=ledger)
    with monkeypatch.context() as patch:
        break_writes(patch)
        spool.checkpointed.add(60)
        await spool.store(60, [batch(60)], {})
        await spool.store(120, [batch(120)], {})
        spool.done(await spool.lease())
        assert (spool.points, spool.can_send) == (2, False)
        assert (spool.is_recorded(60), spool.is_recorded(120)) == (True, False), "what was tried may be on disk"
        assert balanced(spool, ledger, done=2)
    await until(lambda: not spool.degraded)
    assert (spool.points, spool.can_send) == (2, False)
    spool.checkpointed.remove([60])
    assert (await asyncio.wait_for(spool.lease(), 20)).batch == batch(60)
    assert spool.is_recorded(60)
    assert spool.is_recorded(120)
    await spool.close()


async def test_a_window_is_sent_from_memory_once_its_checkpoint_is_gone(tmp_path, monkeypatch):
    spool = await open_spool(tmp_path)
    break_writes(monkeypatch)
    spool.checkpointed.add(60)
    await spool.store(60, [batch(60)], {})
    taking = asyncio.create_task(spool.lease())
    await asyncio.sleep(0.05)
    assert not taking.done()
    spool.checkpointed.remove([60])
    assert (await taking).batch == batch(60)
    await spool.close()


async def test_what_waits_for_the_disk_at_the_end_is_left_to_its_part_and_counted(tmp_path, monkeypatch):
    ledger = Ledger()
    spool = await open_spool(tmp_path, ledger=ledger)
    break_writes(monkeypatch)
    spool.checkpointed.add(60)
    await spool.store(60, [batch(60)], {})
    await spool.settle()
    assert ledger.points_dropped["stop_without_state"] == 2
    assert balanced(spool, ledger)
    await spool.close()


async def test_what_is_stored_with_a_part_beside_it_waits_at_a_start_for_the_part_to_go(tmp_path):
    spool = await open_spool(tmp_path)
    await spool.store(60, [batch(60)], {})
    await spool.store(120, [batch(120)], {})
    await spool.close()
    (tmp_path / "checkpoint-60.srp").write_bytes(b"a part")
    (tmp_path / "checkpoint-120.srp").touch()
    again = await open_spool(tmp_path)
    assert 60 in again.checkpointed
    assert (await again.lease()).batch == batch(120)
    assert (again.batches, again.can_send) == (1, False)
    again.checkpointed.replace([])
    assert (await again.lease()).batch == batch(60)
    await again.close()


# --- removed under a running relay ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["spool.db", "spool.db-wal"])
async def test_a_database_that_is_removed_is_made_again_with_all_that_was_in_it(tmp_path, monkeypatch, name):
    """SQLite goes on writing to the removed file; no waiting batch is lost with it."""
    monkeypatch.setattr(writer, "_CHECK_EVERY", 0.05)
    monkeypatch.setattr(writer, "_RETRY", 0.05)
    ledger = Ledger()
    spool = await open_spool(tmp_path, ledger=ledger)
    running = asyncio.create_task(spool.run())
    await spool.store(60, window(60), {"gauges": b"g"})
    (tmp_path / name).unlink()
    await until(lambda: spool.degraded)
    await spool.store(120, window(120), {})
    await until(lambda: not spool.degraded)
    assert (tmp_path / "spool.db").stat().st_mode & 0o777 == 0o600
    await spool.store(180, window(180), {})
    await spool.close()
    await running
    assert balanced(spool, ledger)
    again = await open_spool(tmp_path)
    assert again.committed == {60, 120, 180}
    assert await again.state("gauges") == b"g"
    assert sorted(await drain(again)) == expected(60, 120, 180)
    await again.close()


async def test_another_database_in_its_place_is_set_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "_CHECK_EVERY", 0.05)
    monkeypatch.setattr(writer, "_RETRY", 0.05)
    spool = await open_spool(tmp_path)
    running = asyncio.create_task(spool.run())
    await spool.store(60, window(60), {})
    (tmp_path / "other").write_bytes(b"another file")
    (tmp_path / "other").rename(tmp_path / "spool.db")
    await until(lambda: spool.degraded)
    await until(lambda: not spool.degraded)
    [aside] = [path for path in tmp_path.glob("spool.db.replaced-*") if not path.name.endswith("-shm")]
    assert aside.read_bytes() == b"another file"
    await spool.close()
    await running
    again = await open_spool(tmp_path)
    assert sorted(await drain(again)) == expected(60)
    await again.close()


async def test_a_database_that_vanishes_while_the_disk_refuses_is_counted(tmp_path, monkeypatch):
    """The connection was given up, so what was on disk only is gone; committed ids are written to the next one."""
    monkeypatch.setattr(writer, "_RETRY", 0.05)
    ledger = Ledger()
    monkeypatch.setattr(memory, "CACHE_BYTES", 0)
    spool = await open_spool(tmp_path, ledger=ledger)
    await spool.store(60, [batch(60)], {})
    with monkeypatch.context() as patch:
        break_writes(patch)
        patch.setattr(Database, "connect", broken)
        await spool.store(120, [batch(120)], {})
        await until(lambda: not list(tmp_path.glob("spool.db-*")))  # closed: SQLite has removed its log
        (tmp_path / "spool.db").unlink()
    await until(lambda: not spool.degraded)
    assert ledger.points_dropped["spool_damaged"] == 2
    assert balanced(spool, ledger)
    await spool.close()
    again = await open_spool(tmp_path)
    assert again.committed == {60, 120}
    assert [lease[0] for lease in await drain(again)] == [120]
    await again.close()


# --- read-only, slow --------------------------------------------------------------------------------------------------


async def test_a_start_on_a_read_only_disk(disk):
    spool = await open_spool(disk, limit_bytes=4 * MIB)
    await spool.store(60, window(60), {"gauges": b"old"})
    await spool.close()
    remount(disk, read_only=True)
    ledger = Ledger()
    again = await open_spool(disk, ledger=ledger, limit_bytes=4 * MIB)
    assert again.degraded
    assert again.committed == {60}, "an id that was committed must not open again"
    assert await again.state("gauges") == b"old"
    await again.store(120, window(120), {"gauges": b"new"})
    lease = await again.lease()
    assert lease.batch.window == 120
    again.put_back(lease)
    remount(disk, read_only=False)
    await until(lambda: not again.degraded)
    assert ledger.points_recovered == 40
    assert sorted(await drain(again)) == expected(60, 120)
    assert balanced(again, ledger, done=80)
    assert await again.state("gauges") == b"new"
    await again.close()


async def test_what_never_reached_the_disk_is_counted_at_the_end(disk):
    ledger = Ledger()
    fill(disk)
    spool = await open_spool(disk, ledger=ledger, limit_bytes=4 * MIB)
    await spool.store(60, window(60), {})
    await spool.close()
    assert ledger.points_dropped == {"stop_without_state": 40}
    assert balanced(spool, ledger)


async def test_a_stalled_disk_delays_neither_the_live_window_nor_the_loop(tmp_path, monkeypatch):
    """While the thread hangs, a window stored before is sent at once, and one stored meanwhile after STALL."""
    monkeypatch.setattr(writer, "STALL", 0.2)
    ledger = Ledger()
    spool = await open_spool(tmp_path, ledger=ledger)
    await spool.store(60, window(60), {})
    well = threading.Event()
    hanging = asyncio.ensure_future(spool._writer._run(well.wait, 30))
    for _ in range(20):
        spool.done(await spool.lease())
    await spool.store(120, window(120), {})
    assert spool.degraded
    for _ in range(20):
        spool.done(await spool.lease())
    assert not hanging.done()
    well.set()
    assert await hanging, "it was not the disk's time that passed"
    await until(lambda: not spool.degraded)
    await spool.close()
    again = await open_spool(tmp_path)
    assert (again.batches, again.committed) == (0, {60, 120})
    await again.close()


async def test_a_stalled_disk_keeps_no_more_than_two_senders(tmp_path, monkeypatch):
    """Of a backlog on disk, two batches are waited for; the live window goes on meanwhile."""
    spool = await open_spool(tmp_path)
    for id_ in range(60, 660, 60):
        await spool.store(id_, window(id_), {})
    await spool.close()
    again = await open_spool(tmp_path)
    await again.store(660, window(660), {})
    well = threading.Event()
    hanging = asyncio.ensure_future(again._writer._run(well.wait, 30))
    senders = [asyncio.create_task(again.lease()) for _ in range(8)]
    await until(lambda: sum(sender.done() for sender in senders) == 6)
    assert {sender.result().batch.window for sender in senders if sender.done()} == {660}
    assert not hanging.done()
    well.set()
    leases = await asyncio.gather(*senders)
    assert await hanging, "it was not the disk's time that passed"
    assert sorted(lease.batch.window for lease in leases)[:3] == [60, 60, 660]
    await again.close()


# --- the quota --------------------------------------------------------------------------------------------------------


async def test_at_the_quota_whole_oldest_windows_go_and_nothing_exceeds_it(tmp_path):
    ledger, limit, most = Ledger(), 2 * MIB, 0
    spool = await open_spool(tmp_path, ledger=ledger, limit_bytes=limit)
    leased = None
    for number in range(1, 61):
        await spool.store(number * 60, window(number * 60, count=10), {"gauges": b"g" * 5000})
        assert balanced(spool, ledger)
        if number == 1:
            leased = await spool.lease()
        most = max(most, bytes_of(path for path in tmp_path.iterdir() if path.name != "spool.db-shm"))
    assert most <= limit
    assert not spool.degraded
    assert ledger.points_dropped == {"spool_full": ledger.windows_dropped * 20 - 2}
    assert leased.batch == batch(60, 0, size=8000), "what is leased goes on"
    spool.put_back(leased)
    sent = sorted(await drain(spool))
    kept = sorted({id_ for id_, _ in sent} - {60})
    assert kept == list(range(kept[0], 3660, 60)), "the oldest went"
    assert len(kept) * 80_000 > limit / 2
    assert ledger.windows_dropped == 60 - len(kept)
    assert sent == sorted([(60, leased.batch.body), *expected(*kept, count=10)])
    await spool.close()


async def test_filling_is_forecast(tmp_path, clock, capsys):
    spool = await open_spool(tmp_path, limit_bytes=2 * MIB, clock=clock)
    for number in range(1, 15):
        clock.advance(60)
        await spool.store(number * 60, window(number * 60, count=10), {})
    await spool.close()
    said = capsys.readouterr().out
    assert "the spool is filling" in said
    assert "hours=0." in said
    assert "the spool is full" not in said


async def test_capacity_smaller_after_a_restart(tmp_path):
    """The quota was lowered: the file is what it is, and the next windows push the oldest out."""
    spool = await open_spool(tmp_path, limit_bytes=8 * MIB)
    for number in range(1, 61):
        await spool.store(number * 60, window(number * 60, count=10), {})
    await spool.close()
    ledger = Ledger()
    again = await open_spool(tmp_path, ledger=ledger, limit_bytes=2 * MIB)
    assert again.batches == 600
    await again.store(3660, window(3660, count=10), {})
    assert again.batches * 8000 < 2 * MIB
    assert balanced(again, ledger)
    assert (await again.lease(live=True)).batch.window == 3660
    await again.close()


async def test_a_window_larger_than_the_quota_is_kept_in_memory(tmp_path, capsys):
    ledger = Ledger()
    spool = await open_spool(tmp_path, ledger=ledger, limit_bytes=MIB)
    await spool.store(60, window(60, count=200), {})
    assert (spool.batches, spool.degraded) == (200, True)
    assert "reason=quota" in capsys.readouterr().out
    assert sorted(await drain(spool)) == expected(60, count=200)
    await until(lambda: not spool.degraded)
    assert balanced(spool, ledger, done=400)
    await spool.close()


async def test_memory_is_bounded_while_the_disk_refuses(disk, monkeypatch):
    monkeypatch.setattr("relay.delivery.spool.quota.MEMORY_MAX", MIB)
    ledger = Ledger()
    fill(disk)
    spool = await open_spool(disk, ledger=ledger, limit_bytes=4 * MIB)
    for number in range(1, 21):
        await spool.store(number * 60, window(number * 60), {})
        assert balanced(spool, ledger)
    assert spool.bytes <= MIB
    (disk / "filler").unlink()
    await until(lambda: not spool.degraded)
    sent = sorted(await drain(spool))
    kept = sorted({id_ for id_, _ in sent})
    assert kept == list(range(kept[0], 1260, 60))
    assert ledger.points_dropped == {"spool_full": 40 * (20 - len(kept))}
    assert ledger.windows_dropped == 20 - len(kept)
    assert sent == expected(*kept)
    await spool.close()


async def test_an_outage_gives_its_space_back(tmp_path):
    spool = await open_spool(tmp_path)
    for id_ in range(60, 660, 60):
        await spool.store(id_, window(id_, count=500, size=16_000), {})
    size = (tmp_path / "spool.db").stat().st_size
    assert size > 70 * MIB
    for _ in range(20):
        for _ in range(250):
            spool.done(await spool.lease())
        await until(lambda: not spool._writer._queue.deletions)
    await spool.close()
    assert (tmp_path / "spool.db").stat().st_size < size / 2 + 40 * MIB


def test_the_cache_keeps_the_newest_window_and_of_it_the_first_batches(monkeypatch):
    monkeypatch.setattr(memory, "CACHE_BYTES", 250)
    cache = memory.PayloadCache()
    rows = [memory.StoredBatch(id=n, window=n // 10, points=1, body=b"x" * 100) for n in (10, 11, 20, 21, 22)]
    for row in rows[:2]:
        cache.cache(row)
    for row in reversed(rows[2:]):
        cache.pin(row)
        cache.unpin(row.id)
    assert [row.id for row in rows if cache.has(row.id)] == [20, 21]
    cache.drop(20)
    cache.cache(rows[0])
    assert [row.id for row in rows if cache.has(row.id)] == [10, 21]


# --- damage -----------------------------------------------------------------------------------------------------------


async def test_corrupted_data_found_at_start_is_set_aside(tmp_path):
    """CorruptedData: a page of zeroes in the middle of the file."""
    spool = await open_spool(tmp_path)
    for id_ in (60, 120, 180):
        await spool.store(id_, window(id_), {})
    await spool.close()
    file = tmp_path / "spool.db"
    content = bytearray(file.read_bytes())
    content[16384 * 2 : 16384 * 8] = bytes(16384 * 6)
    file.write_bytes(content)
    ledger = Ledger()
    again = await open_spool(tmp_path, ledger=ledger)
    assert (again.points, ledger.points_recovered, again.degraded) == (0, 0, False)
    await again.store(240, window(240), {})
    assert sorted(await drain(again)) == expected(240)
    await again.close()
    [aside] = tmp_path.glob("spool.db.corrupt-????????T??????Z")
    assert aside.read_bytes() == content


async def test_corrupted_data_found_while_running(tmp_path, monkeypatch):
    """The file is damaged under the relay: what memory holds is stored again, what is lost is counted."""
    ledger = Ledger()
    spool = await open_spool(tmp_path, ledger=ledger)
    for id_ in (60, 120, 180):
        await spool.store(id_, window(id_), {})
    await spool.close()
    ledger = Ledger()
    again = await open_spool(tmp_path, ledger=ledger)
    await again.store(240, window(240), {})
    leased = await again.lease(live=True)
    await again._writer._run(lambda: again._writer._database._connection.execute("PRAGMA shrink_memory"))
    with (tmp_path / "spool.db").open("r+b") as file:
        file.write(os.urandom(os.fstat(file.fileno()).st_size))
    sent = []
    with suppress(TimeoutError):
        while again.batches:
            lease = await asyncio.wait_for(again.lease(), 3)
            sent.append((lease.batch.window, lease.batch.body))
            again.done(lease)
            assert balanced(again, ledger, done=2 * len(sent))
    again.put_back(leased)
    assert {id_ for id_, _ in sent} >= {240}
    assert len([1 for id_, _ in sent if id_ == 240]) == 19
    assert ledger.points_dropped["spool_damaged"] == 4 * 40 - 2 * len(sent) - 2
    assert balanced(again, ledger, done=2 * len(sent))
    await again.close()
    assert len([path for path in tmp_path.glob("spool.db.corrupt-*") if not path.name.endswith(("-wal", "-shm"))]) == 1
    last = await open_spool(tmp_path)
    assert (await drain(last), last.committed) == ([(240, leased.batch.body)], {60, 120, 180, 240})
    await last.close()


async def test_a_damaged_body_costs_its_batch_only(tmp_path):
    spool = await open_spool(tmp_path)
    await spool.store(60, window(60, count=3), {})
    await spool.close()
    database = sqlite3.connect(tmp_path / "spool.db")
    database.execute("UPDATE batches SET body = zeroblob(100) WHERE id = (SELECT min(id) FROM batches)")
    database.commit()
    database.close()
    ledger = Ledger()
    again = await open_spool(tmp_path, ledger=ledger)
    assert [body for _, body in await drain_known(again, 2)] == [batch(60, n, size=8000).body for n in (1, 2)]
    assert ledger.points_dropped == {"spool_damaged": 2}
    assert balanced(again, ledger, done=4)
    await again.close()


async def drain_known(spool: Spool, count: int) -> list[tuple[int, bytes]]:
    leases = [await spool.lease() for _ in range(count)]
    for lease in leases:
        spool.done(lease)
    return [(lease.batch.window, lease.batch.body) for lease in leases]
