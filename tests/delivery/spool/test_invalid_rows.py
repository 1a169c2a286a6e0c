"""A database that SQLite finds intact, with rows that the relay never writes: it is set aside, and the relay runs."""

from __future__ import annotations

import sqlite3

import pytest

from relay.delivery.spool.file import salvage
from tests.support.spool import batch, open_spool

BATCHES = "INSERT INTO batches VALUES ({})"
STRANGE = {
    "a window that is text": BATCHES.format("1, 'abc', 5, x'00'"),
    "a window before all": BATCHES.format("1, -60, 5, x'00'"),
    "a window after all": BATCHES.format("1, 9223372036854775807, 5, x'00'"),
    "points that are text": BATCHES.format("1, 60, 'x', x'00'"),
    "points that are missing": BATCHES.format("1, 60, NULL, x'00'"),
    "less than no points": BATCHES.format("1, 60, -5, x'00'"),
    "a body that is text": BATCHES.format("1, 60, 5, 'hello'"),
    "a body that is missing": BATCHES.format("1, 60, 5, NULL"),
    "the last id there is": BATCHES.format("9223372036854775807, 60, 5, x'00'"),
    "the last window there is": "INSERT INTO windows VALUES (9223372036854775807)",
    "a window before all windows": "INSERT INTO windows VALUES (-60)",
    "state that is text": "INSERT OR REPLACE INTO state VALUES ('host', 'a')",
    "state that is a number": "INSERT OR REPLACE INTO state VALUES ('gauges', 5)",
    "a mark that is none": "INSERT OR REPLACE INTO state VALUES ('uncommitted', x'ff')",
    "half a mark": "INSERT OR REPLACE INTO state VALUES ('uncommitted', x'31')",
}


@pytest.mark.parametrize("statement", STRANGE.values(), ids=STRANGE)
async def test_it_is_set_aside_and_logged(statement, tmp_path, capsys):
    spool = await open_spool(tmp_path)
    await spool.store(120, [batch(120, 1)], {"host": b"h"})
    await spool.close()
    with sqlite3.connect(tmp_path / "spool.db") as db:
        db.execute(statement)
    db.close()
    spool = await open_spool(tmp_path)
    assert not spool.degraded
    assert not spool.committed, "a start without a record gives the rest of the minute away"
    await spool.store(180, [batch(180, 1)], {})
    lease = await spool.lease()
    assert lease.batch.window == 180
    spool.done(lease)
    await spool.close()
    assert list(tmp_path.glob("spool.db.corrupt-*"))
    assert "RLY412" in capsys.readouterr().out


async def test_unusable_state_is_ignored(tmp_path):
    """State that cannot be decoded counts as missing: names, the host, the offset of a replay."""
    spool = await open_spool(tmp_path)
    await spool.store(120, [batch(120, 1)], {"host": b"\xff", "replay": b"\xff \xff", "classes": b"\xff\0\xff"})
    await spool.close()
    spool = await open_spool(tmp_path)
    assert not spool.degraded
    assert 120 in spool.committed
    await spool.close()
    assert not list(tmp_path.glob("spool.db.corrupt-*"))


async def test_invalid_rows_of_a_file_that_is_only_read_are_ignored(tmp_path):
    """A file is only read if the disk refuses at a start."""
    spool = await open_spool(tmp_path)
    await spool.store(120, [batch(120, 1)], {"host": b"h"})
    await spool.close()
    with sqlite3.connect(tmp_path / "spool.db") as db:
        db.execute(STRANGE["the last window there is"])
        db.execute(STRANGE["state that is a number"])
    db.close()
    assert salvage(tmp_path / "spool.db") == ({120}, {"host": b"h"})
