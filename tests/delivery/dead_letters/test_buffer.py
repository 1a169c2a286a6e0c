"""Dead letters on a real disk: bounded, private, never half written, and never in the way of delivery."""

from __future__ import annotations

import asyncio
import json
import os

import pytest

from relay.delivery.dead_letters.buffer import BUFFER_BYTES_MAX, DeadLetters
from relay.delivery.dead_letters.files import FILES, LetterFiles, locked
from relay.delivery.dead_letters.format import LetterReader, decode_line, letter_files
from relay.ledger import Ledger
from tests.support.context import make_context
from tests.support.dead_letters import WINDOW, line, point, points_in


class Setup:
    def __init__(self, directory, clock, limit=1 << 20) -> None:
        self.ledger = Ledger()
        self.letters = DeadLetters(directory, make_context(clock, ledger=self.ledger, interval=0), limit=limit)

    async def write(self, *numbers: int, **more) -> None:
        letters = [(point(number), f"detail {number}") for number in numbers]
        await self.letters.write(letters, **{"window": WINDOW, "reason": "refused_point", **more})


@pytest.fixture
def setup(tmp_path, clock):
    return Setup(tmp_path, clock)


async def test_a_letter_has_every_field_and_the_points_bytes(setup, tmp_path):
    odd = b'{"metric":"m", "values" : {"sum":1.50}}'
    await setup.letters.write(
        [(odd, 'the cloud said "no" \u4e0d')],
        window=WINDOW,
        reason="unreadable_answer",
        request_id="r-1",
        http=200,
        attempts=3,
    )
    [path] = letter_files(tmp_path)
    assert path.name == "dead-letters-000001.ndjson"
    assert path.stat().st_mode & 0o777 == 0o600
    [text] = path.read_bytes().splitlines()
    assert text.endswith(b'"point":' + odd + b"}")
    letter = json.loads(text)
    del letter["point"]
    assert letter == {
        "v": 1,
        "time": "2025-11-24T16:00:00+00:00",
        "reason": "unreadable_answer",
        "detail": 'the cloud said "no" \u4e0d',
        "request_id": "r-1",
        "http": 200,
        "attempts": 3,
        "window": WINDOW,
    }
    assert setup.ledger.dead_letters == 1


async def test_writers_that_come_together_share_writes_and_lose_nothing(setup, tmp_path):
    await asyncio.gather(*(setup.write(number, number + 1000) for number in range(200)))
    assert sorted(points_in(tmp_path)) == sorted(point(n) for n in (*range(200), *range(1000, 1200)))
    assert (setup.ledger.dead_letters, setup.ledger.dead_letters_dropped) == (400, 0)


async def test_the_bound_holds_and_the_oldest_letters_are_dropped_and_counted(tmp_path, clock):
    limit = 64 * 1024
    setup = Setup(tmp_path, clock, limit)
    for start in range(0, 1000, 50):
        await setup.write(*range(start, start + 50))
        files = letter_files(tmp_path)
        assert sum(path.stat().st_size for path in files) <= limit
        assert all(path.stat().st_size <= limit // FILES for path in files)
    kept = points_in(tmp_path)
    assert kept == [point(number) for number in range(1000 - len(kept), 1000)]
    assert sum(len(line(n)) for n in range(len(kept))) > limit * 0.8, "not much less than the bound is used"
    assert (setup.ledger.dead_letters, setup.ledger.dead_letters_dropped) == (len(kept), 1000 - len(kept))


def test_a_cut_last_line_costs_only_itself(tmp_path):
    files = LetterFiles(tmp_path, limit=1 << 20)
    files.append([line(1), line(2)])
    [path] = letter_files(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    files.append([line(3)])
    reader = LetterReader()
    assert [bytes(read.letter.point) for read in reader.read([path])] == [point(1), point(3)]
    assert reader.damaged == {path.name: 1}


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\n",
        b"\0" * 100 + b"\n",
        b"{}\n",
        b"[1]\n",
        line(1).replace(b'"v":1', b'"v":2'),
        b"\xff\xfe\n",
        b"x" * 600_000,
    ],
    ids=lambda damage: damage[:8],
)
def test_damage_costs_only_itself(tmp_path, damage):
    path = tmp_path / "dead-letters-000007.ndjson"
    path.write_bytes(line(1) + damage + (b"" if damage.endswith(b"\n") or not damage else b"\n") + line(2))
    reader = LetterReader()
    assert [bytes(read.letter.point) for read in reader.read(letter_files(tmp_path))] == [point(1), point(2)]
    assert (reader.damaged.total() > 0) == bool(damage)


def test_a_line_cut_anywhere_is_never_a_letter():
    whole = line(1)
    assert all(decode_line(whole[:size]) is None for size in range(len(whole)))
    assert decode_line(whole).metric == "web.hits"


def test_foreign_files_are_neither_read_nor_written(tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(line(9))
    state = tmp_path / "state"
    state.mkdir()
    (state / "dead-letters-000005.ndjson").symlink_to(outside)
    (state / "dead-letters-000006.ndjson").mkdir()
    (state / "dead-letters-x.ndjson").write_bytes(line(8))
    files = LetterFiles(state, limit=1 << 20)
    files.append([line(1)])
    assert [path.name for path in letter_files(state)] == ["dead-letters-000007.ndjson"]
    assert outside.read_bytes() == line(9)
    (state / "dead-letters.lock").unlink()
    (state / "dead-letters.lock").symlink_to(outside)
    with pytest.raises(OSError, match="symbolic"):
        files.append([line(2)])


class Broken:
    """A disk that fails until it is switched back."""

    def __init__(self, monkeypatch, error: int) -> None:
        self.broken = True
        self._error = error
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self)

    def __call__(self, descriptor: int) -> None:
        if self.broken:
            raise OSError(self._error, os.strerror(self._error))
        self._fsync(descriptor)


@pytest.mark.parametrize("error", [28, 30, 5])
async def test_a_disk_that_fails_keeps_letters_in_memory_until_it_is_back(setup, tmp_path, monkeypatch, error):
    await setup.write(1)
    disk = Broken(monkeypatch, error)
    await setup.write(2, 3)
    await setup.write(4)
    assert points_in(tmp_path) == [point(1)], "a failed append leaves the file as it was"
    assert (setup.ledger.dead_letters, setup.ledger.dead_letters_dropped) == (4, 0)
    disk.broken = False
    await setup.letters.poll()
    await setup.write(5)
    assert points_in(tmp_path) == [point(n) for n in (1, 2, 3, 4, 5)]
    assert (setup.ledger.dead_letters, setup.ledger.dead_letters_dropped) == (5, 0)


async def test_memory_is_bounded_and_a_stop_counts_what_it_loses(setup, monkeypatch):
    Broken(monkeypatch, 28)
    for _ in range(10):
        await setup.letters.write(
            [(b'{"metric":"m","x":"%s"}' % (b"x" * 100_000), "d")] * 10, window=WINDOW, reason="ambiguous"
        )
    held = setup.ledger.dead_letters
    assert BUFFER_BYTES_MAX - 200_000 <= held * 100_000 <= BUFFER_BYTES_MAX
    assert setup.ledger.dead_letters_dropped == 100 - held
    await setup.letters.close()
    assert (setup.ledger.dead_letters, setup.ledger.dead_letters_dropped) == (0, 100)


async def test_a_command_that_holds_the_lock_does_not_stop_delivery(setup, tmp_path, monkeypatch):
    monkeypatch.setattr("relay.delivery.dead_letters.files.LOCK_SECONDS", 0.05)
    with locked(tmp_path):
        await setup.write(1)
        assert letter_files(tmp_path) == []
    await setup.letters.poll()
    assert points_in(tmp_path) == [point(1)]


async def test_a_writer_that_is_cancelled_neither_loses_nor_doubles_a_letter(setup, tmp_path):
    for number in range(20):
        task = asyncio.create_task(setup.write(number))
        for _ in range(number % 4):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await setup.letters.close()
    found = points_in(tmp_path)
    assert len(found) == len(set(found)) == setup.ledger.dead_letters
    assert len(found) >= 15


async def test_the_count_follows_other_processes_and_restarts(setup, tmp_path, clock):
    await setup.write(*range(10))
    [path] = letter_files(tmp_path)
    again = Setup(tmp_path, clock)
    await again.letters.poll()
    assert again.ledger.dead_letters == 10
    fresh = tmp_path / "new"
    fresh.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    fresh.rename(path)
    await again.letters.poll()
    assert again.ledger.dead_letters == 3
    path.unlink()
    await again.letters.poll()
    assert again.ledger.dead_letters == 0


async def test_without_a_directory_letters_are_counted_as_dropped(clock):
    setup = Setup(None, clock)
    await setup.write(1, 2)
    await setup.letters.close()
    assert (setup.ledger.dead_letters, setup.ledger.dead_letters_dropped) == (0, 2)
