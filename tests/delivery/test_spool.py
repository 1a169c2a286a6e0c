"""The spool on a real disk: what was stored is there after a restart, byte for byte, until it is done."""

from __future__ import annotations

import asyncio

import pytest

from relay.delivery.spool import Spool
from relay.errors import ExitCode, RelayError
from relay.model import Batch
from relay.telemetry import Ledger


def batch(window: int, number: int = 0, points: int = 2) -> Batch:
    return Batch(window=window, points=points, body=b"body %d %d " % (window, number) * 50)


def balanced(spool: Spool, ledger: Ledger, done: int = 0) -> bool:
    return ledger.points_created + ledger.points_recovered == spool.points + spool.leased + done


async def test_newest_window_first_and_in_the_order_of_storing():
    ledger = Ledger()
    spool = await Spool.open(None, ledger=ledger)
    for window in (60, 180, 120):
        await spool.store(window, [batch(window, 0), batch(window, 1)], {})
    taken = [await spool.take() for _ in range(6)]
    assert [lease.batch for lease in taken] == [batch(w, n) for w in (180, 120, 60) for n in (0, 1)]
    assert (spool.points, spool.leased, spool.bytes) == (0, 12, 0)
    spool.put_back(taken[1])
    assert (spool.batches, spool.oldest_window) == (1, 180)
    assert (await spool.take()).batch == batch(180, 1)
    assert balanced(spool, ledger)
    await spool.close()


async def test_take_waits_for_a_batch():
    spool = await Spool.open(None, ledger=Ledger())
    taking = asyncio.create_task(spool.take())
    await asyncio.sleep(0)
    assert not taking.done()
    await spool.store(60, [batch(60)], {})
    assert (await taking).batch == batch(60)
    await spool.close()


async def test_what_is_not_done_is_there_after_a_restart(tmp_path):
    spool = await Spool.open(tmp_path, ledger=Ledger())
    await spool.store(60, [batch(60, n) for n in range(3)], {"gauges": b"g1", "classes": b"c1"})
    await spool.store(120, [batch(120)], {"gauges": b"g2"})
    spool.done(await spool.take())
    leased = await spool.take()
    assert leased.batch == batch(60, 0)
    await spool.close()

    ledger = Ledger()
    again = await Spool.open(tmp_path, ledger=ledger)
    assert (again.points, ledger.points_recovered, again.committed) == (6, 6, {60, 120})
    assert [(await again.take()).batch for _ in range(3)] == [batch(60, n) for n in range(3)]
    assert (await again.state("gauges"), await again.state("classes"), await again.state("x")) == (b"g2", b"c1", None)
    assert balanced(again, ledger)
    await again.close()


async def test_a_window_is_stored_whole_or_not_at_all(tmp_path):
    ledger = Ledger()
    spool = await Spool.open(tmp_path, ledger=ledger)
    await spool.store(60, [batch(60)], {"gauges": b"1"})
    with pytest.raises(Exception, match="UNIQUE"):
        await spool.store(60, [batch(60, 9)], {"gauges": b"2"})
    assert (spool.points, await spool.state("gauges")) == (2, b"1")
    assert balanced(spool, ledger)
    await spool.close()


async def test_an_empty_window_is_committed_too(tmp_path):
    spool = await Spool.open(tmp_path, ledger=Ledger())
    await spool.store(60, [], {})
    await spool.close()
    again = await Spool.open(tmp_path, ledger=Ledger())
    assert again.committed == {60}
    await again.close()


async def test_a_taken_lease_survives_its_takers_cancellation():
    spool = await Spool.open(None, ledger=Ledger())
    await spool.store(60, [batch(60)], {})
    taking = asyncio.create_task(spool.take())
    await asyncio.sleep(0)
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    assert (spool.points, spool.leased) == (2, 0)
    await spool.close()


async def test_two_relays_cannot_share_a_directory(tmp_path):
    spool = await Spool.open(tmp_path, ledger=Ledger())
    with pytest.raises(RelayError, match=r"RLY101.*locked") as caught:
        await Spool.open(tmp_path, ledger=Ledger())
    assert caught.value.exit_code == ExitCode.BIND_OR_STATE
    await spool.close()


async def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "spool.db").write_bytes(b"not a database at all, but long enough to be looked at" * 100)
    with pytest.raises(RelayError, match="RLY101"):
        await Spool.open(tmp_path, ledger=Ledger())
