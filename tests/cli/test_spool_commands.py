"""`spool stat` and `spool verify`: on a spool of a real relay, on every kind of damage, and beside a running relay."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sqlite3
import time
import zlib
from contextlib import closing

import pytest

from relay.daemon.egress import pack_requests
from relay.delivery.dead_letters.files import LetterFiles
from relay.delivery.dead_letters.format import letter_files
from relay.delivery.state.checkpoint import CheckpointFiles
from relay.hotpath.partial import Frame, encode_frame
from relay.model import Point
from tests.support.command import call
from tests.support.dead_letters import WINDOW, line, point
from tests.support.relay import environment, free_port, make_emulator, relay_process
from tests.support.spool import open_spool


@pytest.fixture
async def state(tmp_path):
    """Three windows of 120 points each, and two letters."""
    spool = await open_spool(tmp_path)
    for window in (WINDOW, WINDOW + 60, WINDOW + 120):
        points = [Point(point(number, window=window)) for number in range(120)]
        await spool.store(window, list(pack_requests(points, window)), {"gauges": b""})
    await spool.close()
    LetterFiles(tmp_path, limit=1 << 20).append([line(1), line(2)])
    return tmp_path


def unused(state) -> str:
    """Return the line that names the source of an answer."""
    return f"state directory {state}, no relay uses it\n"


async def spool_command(state, *arguments: str):
    return await asyncio.to_thread(call, "spool", *arguments, "--state", str(state))


async def test_stat_says_what_waits(state):
    found = json.loads((await spool_command(state, "stat", "--json")).stdout)
    assert (found["batches"], found["points"], found["pid"], found["limit_bytes"]) == (9, 360, None, 2**30)
    assert [(w["window"], w["batches"], w["points"]) for w in found["windows"]] == [
        (WINDOW + n * 60, 3, 120) for n in range(3)
    ]
    assert found["bytes"] == sum(w["bytes"] for w in found["windows"])
    assert found["files"]["spool.db"] == (state / "spool.db").stat().st_size
    text = (await spool_command(state, "stat")).stdout.splitlines()
    assert text[0] == f"{state}: no relay runs"
    assert text[1].startswith("360 points in 9 requests wait, ")
    assert text[1].endswith(" of 1.0 GiB")
    assert text[2] == "of 3 windows, 2025-11-24T16:00:00+00:00 to 2025-11-24T16:02:00+00:00"


async def test_verify_of_what_is_sound(state):
    done = await spool_command(state, "verify")
    assert (done.returncode, done.stderr) == (0, unused(state))
    assert done.stdout == f"9 requests verified in {state}: all can be sent\n"


def change(state, query: str, *values) -> None:
    with closing(sqlite3.connect(state / "spool.db")) as database:
        database.execute(query, values)
        database.commit()


OTHER = zlib.compress(b'{"metricDataList":[{"timestamp":60}]}')


@pytest.mark.parametrize(
    ("query", "value", "said"),
    [
        ("UPDATE batches SET body = ?", b"no zlib", "does not inflate"),
        ("UPDATE batches SET body = substr(body, 1, ?)", 100, "is cut"),
        ("UPDATE batches SET body = ?", zlib.compress(b"0" * 10**7), "larger than the largest request"),
        ("UPDATE batches SET body = ?", zlib.compress(b'{"metricDataList":['), "is not a request"),
        ("UPDATE batches SET body = ?", zlib.compress(b"[]"), "is not a request"),
        ("UPDATE batches SET points = ?", 49, "it has 50 points, and its row says 49"),
        ("UPDATE batches SET body = ?, points = 1", OTHER, "a point has timestamp 60 instead of"),
    ],
)
async def test_verify_finds_a_bad_batch_and_goes_on(state, query, value, said):
    change(state, f"{query} WHERE id = (SELECT id FROM batches ORDER BY id LIMIT 1 OFFSET 1)", value)
    (letter,) = letter_files(state)
    letter.write_bytes(letter.read_bytes()[:-5])
    done = await spool_command(state, "verify")
    assert done.returncode == 70
    _, bad, torn = done.stderr.splitlines()
    assert re.match(rf"spool\.db: batch \d+ of window {WINDOW}: ", bad)
    assert said in bad
    assert torn == "dead-letters-000001.ndjson: 1 damaged lines"
    assert done.stdout.endswith(": 2 problems\n")
    assert len(json.loads((await spool_command(state, "verify", "--json")).stdout)["wrong"]) == 2


async def test_verify_reads_checkpoints(state):
    path = CheckpointFiles(state).path(WINDOW + 180)
    path.write_bytes(encode_frame(Frame(0)) * 3)
    assert (await spool_command(state, "verify")).returncode == 0
    path.write_bytes(path.read_bytes()[:-1])
    done = await spool_command(state, "verify")
    assert (done.returncode, done.stderr) == (
        70,
        f"{unused(state)}{path.name}: damaged in 1 places\n",
    )


async def test_verify_finds_a_damaged_database(state):
    path = state / "spool.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:16_384] + b"\xff" * 200 + whole[16_584:])
    done = await spool_command(state, "verify")
    assert done.returncode == 70
    assert "spool.db: " in done.stderr
    path.write_bytes(b"not a database" * 1000)
    done = await spool_command(state, "verify")
    assert (done.returncode, done.stderr) == (
        70,
        f"{unused(state)}spool.db: file is not a database\n",
    )
    assert (await spool_command(state, "stat")).returncode == 71


@pytest.mark.parametrize("command", ["stat", "verify"])
async def test_without_a_spool(command, tmp_path):
    done = await spool_command(tmp_path, command)
    assert done.returncode == 71
    assert "RLY101" in done.stderr
    (tmp_path / "spool.db").symlink_to("/etc/passwd")
    assert (await spool_command(tmp_path, command)).returncode == 71


async def test_beside_a_running_relay_nothing_is_held_up(tmp_path):
    """The cloud is down, so the spool fills; then the cloud is back, and the spool empties while it is verified."""
    emulator = make_emulator()
    url = await emulator.start(port=free_port(socket.SOCK_STREAM))
    await emulator.stop()
    state = tmp_path / "state"
    with relay_process(environment(url, state), tmp_path / "log") as relay:
        sent = 0
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            relay.send(*[b"m%d:1|c" % number for number in range(100)])
            sent += 100
            await asyncio.sleep(0.3)
            found = json.loads((await spool_command(state, "stat", "--json")).stdout)
            if len(found["windows"]) >= 3:
                break
        assert found["pid"] == relay.process.pid
        assert len(found["windows"]) >= 3
        done = await spool_command(state, "verify")
        used = f"used by the relay with pid {relay.process.pid}"
        assert (done.returncode, done.stderr) == (0, f"state directory {state}, {used}\n")
        await emulator.start(port=int(url.rpartition(":")[2]))
        while sum(point["values"]["sum"] for point in emulator.received) < sent:
            assert (await spool_command(state, "verify")).returncode == 0
        await relay.wait_for(**{'relay_points_total{outcome="delivered"}': len(emulator.received)})
        assert await relay.stop() == 0
    assert emulator.duplicates() == []
    assert (await spool_command(state, "stat")).stdout.startswith(
        f"{state}: no relay runs\n0 points in 0 requests wait"
    )
    await emulator.stop()


async def test_a_directory_that_no_relay_has_used(tmp_path):
    for command in ("stat", "verify"):
        done = await spool_command(tmp_path, command)
        assert done.returncode == 71
        assert done.stderr.startswith(
            f"{unused(tmp_path)}error RLY101  {tmp_path} holds no spool.db: no relay has used it\n      fix: "
        )
