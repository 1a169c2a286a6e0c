"""Letters removed and replayed: none is lost and none is replayed twice, wherever a process dies."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from relay.daemon.egress import pack_requests
from relay.delivery.dead_letters import redrive
from relay.delivery.dead_letters.files import LetterFiles, locked
from relay.delivery.dead_letters.format import letter_files
from relay.delivery.dead_letters.redrive import Selection, replay_files
from relay.delivery.dead_letters.replayer import Replayer
from relay.delivery.spool.spool import Spool
from relay.jdcloud.codec import decode
from relay.ledger import Ledger
from tests.support.context import make_context
from tests.support.dead_letters import WINDOW, line, point, points_in
from tests.support.spool import open_spool

EVERYTHING = Selection()


def fill(directory, *lines: bytes) -> None:
    files = LetterFiles(directory, limit=64 * 1024)
    rest = list(lines)
    while rest:
        rest = rest[files.append(rest) :]


def replay(directory, selection=EVERYTHING, oldest=0.0):
    return redrive.replay(directory, selection, now=1e9, oldest=oldest, progress=lambda _: None)


class Relay:
    """A spool and a replayer."""

    def __init__(self, directory, clock) -> None:
        self.directory = directory
        self.clock = clock

    async def __aenter__(self):
        self.ledger = Ledger()
        self.spool = await open_spool(self.directory, ledger=self.ledger)
        self.replays = Replayer(self.directory, make_context(self.clock), spool=self.spool, pack=pack_requests)
        return self

    async def __aexit__(self, *_) -> None:
        await self.spool.close()

    async def look(self) -> None:
        await self.replays.poll(self.directory)

    async def take_all(self) -> Counter[bytes]:
        found = Counter[bytes]()
        while self.spool.points:
            lease = await self.spool.lease()
            points = decode(lease.batch.body)["metricDataList"]
            assert {entry["timestamp"] for entry in points} == {lease.batch.window}
            found.update((entry["metric"], entry["dimensions"]["n"]) for entry in points)
            self.spool.done(lease)
        return found


@pytest.fixture
async def relay(tmp_path, clock):
    async with Relay(tmp_path, clock) as made:
        yield made


async def test_points_reach_the_spool_once_with_their_bytes_and_windows(relay, tmp_path):
    fill(tmp_path, *[line(n, window=WINDOW + n % 3 * 60) for n in range(120)])
    taken = replay(tmp_path)
    assert (taken.letters, taken.duplicates, taken.too_old, points_in(tmp_path)) == (120, 0, 0, [])
    [path] = replay_files(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    await relay.look()
    await relay.look()
    assert (relay.ledger.points_replayed, relay.spool.points, relay.spool.batches) == (120, 120, 3)
    assert replay_files(tmp_path) == []
    first = await relay.spool.lease()
    assert point(2, window=WINDOW + 120) in first.batch.body
    relay.spool.put_back(first)
    assert (await relay.take_all()).total() == 120


async def test_only_selected_letters_are_redriven(tmp_path):
    fill(
        tmp_path,
        line(1),
        line(2, metric="db.reads"),
        line(3, reason="ambiguous"),
        line(4, window=WINDOW - 86_400),
        line(1, reason="refused_request"),
    )
    taken = replay(tmp_path, Selection(reason="ambiguous"))
    assert (taken.letters, points_in(tmp_path)) == (
        1,
        [point(1), point(2, metric="db.reads"), point(4, window=WINDOW - 86_400), point(1)],
    )
    taken = replay(tmp_path, Selection(metric="web.*"), oldest=WINDOW - 3600)
    assert (taken.letters, taken.duplicates, taken.too_old) == (1, 1, 1)
    assert points_in(tmp_path) == [point(2, metric="db.reads"), point(4, window=WINDOW - 86_400)]
    assert replay(tmp_path, Selection(metric="nothing")).letters == 0


async def test_a_damaged_line_stays_until_all_letters_are_dropped(tmp_path):
    fill(tmp_path, line(1), b"garbage\n", line(2))
    assert replay(tmp_path).damaged == 1
    [path] = letter_files(tmp_path)
    assert path.read_bytes() == b"garbage\n"
    redrive.drop(tmp_path, Selection(metric="*"), progress=lambda _: None)
    assert path.read_bytes() == b"garbage\n"
    redrive.drop(tmp_path, EVERYTHING, progress=lambda _: None)
    assert letter_files(tmp_path) == []


class DiedError(Exception):
    """The process is killed."""


def die_at(monkeypatch, step: int) -> None:
    """Kill the process at the n-th change of a directory."""
    left = iter(range(step))

    def dying(call):
        def wrapped(*arguments, **more):
            if next(left, None) is None:
                raise DiedError
            return call(*arguments, **more)

        return wrapped

    for name in ("rename", "unlink"):
        monkeypatch.setattr(Path, name, dying(getattr(Path, name)))


@pytest.mark.parametrize("step", range(13))
async def test_a_command_killed_anywhere_loses_and_doubles_nothing(relay, tmp_path, monkeypatch, step):
    lines = [line(n) for n in range(100)]
    fill(tmp_path, *lines)
    assert len(letter_files(tmp_path)) > 3
    with monkeypatch.context() as patch:
        die_at(patch, step)
        with suppress(DiedError):
            replay(tmp_path)
    await relay.look()
    in_spool = await relay.take_all()
    rest = points_in(tmp_path)
    assert len(rest) + in_spool.total() == 100, "in neither, or in both"
    replay(tmp_path)
    await relay.look()
    again = await relay.take_all()
    assert (in_spool + again).total() == 100
    assert max((in_spool + again).values()) == 1
    assert not [path for path in tmp_path.iterdir() if path.name.endswith((".new", ".taking"))]


@pytest.mark.parametrize("parts", [1, 2, 3, 4])
async def test_a_relay_killed_after_any_chunk_spools_each_point_once(tmp_path, clock, monkeypatch, parts):
    monkeypatch.setattr("relay.delivery.dead_letters.replayer.CHUNK", 30)
    fill(tmp_path, *[line(n) for n in range(100)])
    replay(tmp_path)
    sent = Counter[bytes]()
    async with Relay(tmp_path, clock) as relay:
        add, calls = relay.spool.add_replayed, []

        async def dying(batches, state):
            await add(batches, state)
            calls.append(batches)
            if len(calls) == parts:
                raise DiedError

        relay.spool.add_replayed = dying
        with pytest.raises(DiedError):
            await relay.look()
        sent += await relay.take_all()
    async with Relay(tmp_path, clock) as relay:
        await relay.look()
        sent += await relay.take_all()
    assert (sent.total(), max(sent.values())) == (100, 1)
    assert replay_files(tmp_path) == []


async def test_a_degraded_spool_leaves_the_file_for_later(relay, tmp_path, monkeypatch):
    fill(tmp_path, line(1), line(2))
    replay(tmp_path, Selection(metric="web.*"))
    monkeypatch.setattr(Spool, "degraded", True)
    await relay.look()
    assert (relay.ledger.points_replayed, len(replay_files(tmp_path))) == (0, 1)
    monkeypatch.undo()
    add = relay.spool.add_replayed

    async def degrade(batches, state):
        await add(batches, state)
        monkeypatch.setattr(Spool, "degraded", True)

    relay.spool.add_replayed = degrade
    await relay.look()
    assert (relay.ledger.points_replayed, len(replay_files(tmp_path))) == (2, 1), "needed after a crash"
    relay.spool.add_replayed = add
    monkeypatch.undo()
    await relay.look()
    assert (relay.ledger.points_replayed, replay_files(tmp_path)) == (2, [])


async def test_letters_appended_during_a_replay_are_kept(tmp_path):
    fill(tmp_path, line(1))
    files = LetterFiles(tmp_path, limit=64 * 1024)
    with locked(tmp_path), pytest.raises(TimeoutError):
        redrive.replay(tmp_path, EVERYTHING, now=1e9, oldest=0, progress=lambda _: None)
    replay(tmp_path)
    files.append([line(2)])
    assert points_in(tmp_path) == [point(2)]
    redrive.finish(tmp_path)
    assert points_in(tmp_path) == [point(2)]


@pytest.mark.parametrize("window", [-1, 2**63, 10**30])
async def test_a_letter_of_an_impossible_window_is_damaged(relay, tmp_path, window):
    """SQLite cannot store such a number, and a line in a file must not end a relay."""
    made = line(1).replace(b'"window":%d' % WINDOW, b'"window":%d' % window)
    (tmp_path / "replay-20261130T101010-5.ndjson").write_bytes(made + line(2))
    await relay.look()
    assert (relay.ledger.points_replayed, replay_files(tmp_path)) == (1, [])


async def test_an_invalid_offset_in_the_state_is_ignored(relay, tmp_path):
    name = "replay-20261130T101010-5.ndjson"
    (tmp_path / name).write_bytes(line(1))
    await relay.spool.add_replayed([], {"replay": f"{name} \xff".encode("latin-1")})
    await relay.look()
    assert relay.ledger.points_replayed == 1


def test_two_replays_of_one_second_keep_the_letters_of_both(tmp_path):
    fill(tmp_path, line(1, metric="a"), line(2, metric="b"))
    found = [replay(tmp_path, Selection(metric=metric)) for metric in ("a", "b")]
    assert [counts.letters for counts in found] == [1, 1]
    assert len({counts.path for counts in found}) == 2
    written = [decode((tmp_path / counts.path).read_bytes())["point"]["metric"] for counts in found]
    assert written == ["a", "b"]
