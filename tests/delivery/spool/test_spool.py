"""The spool on a real disk: a stored batch is there after a restart, byte for byte, until it is done."""

from __future__ import annotations

import asyncio
import sqlite3
import zlib

import pytest

from relay.delivery.spool.database import Database
from relay.ledger import Ledger
from tests.support.spool import balanced, batch, open_spool


async def test_newest_window_first_with_a_share_for_the_oldest():
    ledger = Ledger()
    spool = await open_spool(None, ledger=ledger)
    for window in (60, 180, 120):
        await spool.store(window, [batch(window, 0), batch(window, 1)], {})
    taken = [await spool.lease() for _ in range(6)]
    order = [(180, 0), (60, 0), (180, 1), (120, 0), (60, 1), (120, 1)]
    assert [lease.batch for lease in taken] == [batch(w, n) for w, n in order]
    assert [lease.live for lease in taken] == [True, False, True, True, False, True]
    assert (spool.points, spool.leased, spool.bytes) == (0, 12, 0)
    spool.put_back(taken[2])
    assert (spool.batches, spool.oldest_window) == (1, 60), "a leased batch waits for its answer"
    assert (await spool.lease()).batch == batch(180, 1)
    assert balanced(spool, ledger)
    await spool.close()


async def test_a_lease_waits_for_a_batch():
    spool = await open_spool(None)
    taking = asyncio.create_task(spool.lease())
    await asyncio.sleep(0)
    assert not taking.done()
    await spool.store(60, [batch(60)], {})
    assert (await taking).batch == batch(60)
    await spool.close()


async def test_a_window_is_committed_when_it_is_stored_and_not_before(tmp_path):
    """Until then a crash leaves only its checkpoint."""
    spool = await open_spool(tmp_path)
    storing = asyncio.create_task(spool.store(60, [batch(60)], {}))
    await asyncio.sleep(0)
    assert spool.committed == set()
    await storing
    assert spool.committed == {60}
    await spool.close()


async def test_a_start_recovers_the_batches_that_were_not_done(tmp_path):
    """Batches that wait or are leased at a stop are there after it; done batches are not."""
    spool = await open_spool(tmp_path)
    await spool.store(60, [batch(60, n) for n in range(3)], {"gauges": b"g1", "classes": b"c1"})
    await spool.store(120, [batch(120)], {"gauges": b"g2"})
    spool.done(await spool.lease())
    leased = await spool.lease()
    assert leased.batch == batch(60, 0)
    await spool.close()

    ledger = Ledger()
    again = await open_spool(tmp_path, ledger=ledger)
    assert (again.points, ledger.points_recovered, again.committed) == (6, 6, {60, 120})
    assert [(await again.lease()).batch for _ in range(3)] == [batch(60, n) for n in range(3)]
    assert (await again.state("gauges"), await again.state("classes"), await again.state("x")) == (b"g2", b"c1", None)
    assert balanced(again, ledger)
    await again.close()


async def test_a_window_is_stored_once(tmp_path):
    ledger = Ledger()
    spool = await open_spool(tmp_path, ledger=ledger)
    await spool.store(60, [batch(60)], {"gauges": b"1"})
    with pytest.raises(ValueError, match="closed twice"):
        await spool.store(60, [batch(60, 9)], {"gauges": b"2"})
    assert (spool.points, await spool.state("gauges")) == (2, b"1")
    assert balanced(spool, ledger)
    await spool.close()


async def test_an_empty_window_is_committed_too(tmp_path):
    spool = await open_spool(tmp_path)
    await spool.store(60, [], {})
    await spool.close()
    again = await open_spool(tmp_path)
    assert again.committed == {60}
    await again.close()


async def test_a_cancelled_lease_loses_no_batch(tmp_path):
    spool = await open_spool(tmp_path)
    await spool.store(60, [batch(60)], {})
    await spool.close()
    again = await open_spool(tmp_path)
    taking = asyncio.create_task(again.lease())
    await asyncio.sleep(0)
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    assert (again.points, again.leased) == (2, 0)
    await again.close()


async def test_a_done_batch_is_deleted_before_the_end(tmp_path):
    """A batch done right before a stop is not sent again."""
    spool = await open_spool(tmp_path)
    await spool.store(60, [batch(60, n) for n in range(50)], {})
    for _ in range(50):
        spool.done(await spool.lease())
    await spool.close()
    again = await open_spool(tmp_path)
    assert (again.batches, again.committed) == (0, {60})
    await again.close()


async def test_replayed_batches_are_counted_as_such_and_commit_no_window(tmp_path):
    ledger = Ledger()
    spool = await open_spool(tmp_path, ledger=ledger)
    await spool.add_replayed([batch(60), batch(120)], {})
    assert (ledger.points_replayed, ledger.points_created, spool.points, spool.committed) == (4, 0, 4, set())
    assert balanced(spool, ledger)
    await spool.close()
    again = await open_spool(tmp_path)
    assert (again.points, again.committed) == (4, set())
    await again.close()


async def test_without_a_directory_the_batches_left_at_the_end_are_counted():
    ledger = Ledger()
    spool = await open_spool(None, ledger=ledger)
    await spool.store(60, [batch(60), batch(60, 1)], {"gauges": b"g"})
    assert (await spool.state("gauges"), spool.degraded) == (b"g", False)
    spool.put_back(await spool.lease())
    await spool.close()
    assert (ledger.points_dropped, spool.points) == ({"stop_without_state": 4}, 0)
    assert balanced(spool, ledger)


# --- several transactions ---------------------------------------------------------------------------------------------


async def test_a_large_window_is_visible_whole_or_not_at_all(tmp_path, monkeypatch):
    """5,000 requests are three transactions; killed after each of them, the next start finds nothing of the window."""
    copies = []
    whole = Database._checkpoint

    def checkpoint(database):
        whole(database)
        copy = tmp_path / f"copy{len(copies)}"
        copy.mkdir()
        for path in directory.glob("spool.db*"):
            (copy / path.name).write_bytes(path.read_bytes())
        copies.append(copy)

    directory = tmp_path / "state"
    directory.mkdir()
    spool = await open_spool(directory)
    await spool.store(60, [batch(60)], {"gauges": b"old"})
    monkeypatch.setattr(Database, "_checkpoint", checkpoint)
    await spool.store(120, [batch(120, n, size=20) for n in range(5000)], {"gauges": b"new"})
    monkeypatch.undo()
    await spool.close()
    found = []
    for copy in copies:
        again = await open_spool(copy)
        found.append((again.committed, again.batches, await again.state("gauges")))
        await again.close()
        with sqlite3.connect(copy / "spool.db") as database:
            assert database.execute("SELECT key FROM state WHERE key = 'uncommitted'").fetchall() == []
        database.close()
    assert found == [({60}, 1, b"old")] * 2 + [({60, 120}, 5001, b"new")]


# --- formats and damage -----------------------------------------------------------------------------------------------


async def test_a_database_of_release_0_1_0_is_read(tmp_path):
    database = sqlite3.connect(tmp_path / "spool.db")
    database.executescript(
        """
        PRAGMA page_size = 16384; PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;
        CREATE TABLE windows (id INTEGER PRIMARY KEY);
        CREATE TABLE batches (id INTEGER PRIMARY KEY, window INTEGER, points INTEGER, body BLOB);
        CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB);
        INSERT INTO windows VALUES (60); INSERT INTO state VALUES ('gauges', x'6731');
        """
    )
    database.execute("INSERT INTO batches VALUES (1, 60, 2, ?)", (zlib.compress(batch(60).body, 1),))
    database.commit()
    database.close()
    spool = await open_spool(tmp_path)
    assert ((await spool.lease()).batch, spool.committed, await spool.state("gauges")) == (batch(60), {60}, b"g1")
    await spool.store(120, [batch(120)], {})
    await spool.close()
    assert (tmp_path / "spool.db").read_bytes()[60:64] == (1).to_bytes(4, "big")


async def test_a_database_of_a_newer_release_is_set_aside_untouched(tmp_path):
    spool = await open_spool(tmp_path)
    await spool.store(60, [batch(60)], {})
    await spool.close()
    database = sqlite3.connect(tmp_path / "spool.db")
    database.execute("PRAGMA user_version = 2")
    database.close()
    before = (tmp_path / "spool.db").read_bytes()
    again = await open_spool(tmp_path)
    assert (again.points, again.degraded) == (0, False)
    await again.store(120, [batch(120)], {})
    await again.close()
    [aside] = tmp_path.glob("spool.db.newer-*")
    assert aside.read_bytes() == before


@pytest.mark.parametrize("content", [b"not a database at all" * 1000, b"x", b"SQLite format 3\0" + bytes(5000)])
async def test_a_file_that_is_no_database_is_set_aside(tmp_path, content):
    (tmp_path / "spool.db").write_bytes(content)
    spool = await open_spool(tmp_path)
    await spool.store(60, [batch(60)], {})
    assert not spool.degraded
    await spool.close()
    [aside] = tmp_path.glob("spool.db.corrupt-*")
    assert aside.read_bytes() == content
    again = await open_spool(tmp_path)
    assert again.points == 2
    await again.close()


async def test_a_clock_that_was_ahead_for_some_windows_forgets_no_committed_id(tmp_path):
    """By these ids all others would be over 30 days old. A pruned window would open again, and be sent twice."""
    now, ahead, days = 1_764_000_000, 40 * 86_400, 30 * 86_400
    spool = await open_spool(tmp_path)
    for window in (now - days - 600, now - 60, now, *range(now + ahead, now + ahead + 540, 60)):
        await spool.store(window, [], {})
    await spool.close()
    spool = await open_spool(tmp_path)
    assert {now - 60, now} <= set(spool.committed)
    await spool.store(now + ahead + 540, [], {})
    await spool.close()
    spool = await open_spool(tmp_path)
    assert min(spool.committed) == now + ahead, "a clock that goes on is believed"
    await spool.close()
