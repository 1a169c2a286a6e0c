"""How a relay stops when its state directory refuses writes."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest

from relay.config.schema import RuleConfig
from relay.daemon.app import Relay
from relay.delivery.sender.pool import SenderPool
from relay.delivery.spool.database import Database
from relay.delivery.spool.errors import DiskTrouble
from relay.delivery.state.checkpoint import CheckpointFiles
from relay.window.closer import Closer
from tests.support.inprocess import LONG_WINDOWS, open_relay
from tests.support.state import LONG_WINDOW, recorded


async def refuse(*, everything: bool = False) -> bool:
    return False


async def degrade(patch, relay, reason: str) -> None:
    """Let the disk of the spool refuse, and wait until the relay has noticed."""

    def refused(*_):
        raise DiskTrouble(reason, "the disk refuses")

    for call in ("connect", "check_files", "write"):
        patch.setattr(Database, call, refused)
    while not relay.spool.degraded:
        await asyncio.sleep(0.02)


async def test_a_window_that_cannot_be_handed_over_is_counted(tmp_path, monkeypatch):
    async with open_relay(recorded(tmp_path), window=LONG_WINDOWS) as running:
        await running.feed(b"hits:1|c\nhits:2|c")
        monkeypatch.setattr(running.relay.checkpointer, "save", refuse)
        assert running.relay.hand_over()
        stopped = await running.task
        assert stopped.is_handed_over
        assert running.relay.context.ledger.samples_dropped["stop_without_state"] == 2
        assert running.emulator.total("hits") == 0


@pytest.mark.parametrize("harmed", ["spool", "checkpoint"])
async def test_no_hand_over_while_the_disk_refuses(tmp_path, monkeypatch, harmed):
    """What only memory holds would be lost, so the relay continues unchanged."""
    async with open_relay(tmp_path, window=LONG_WINDOWS) as running:
        relay = running.relay
        with monkeypatch.context() as patch:
            if harmed == "spool":
                await degrade(patch, relay, "read-only")
            else:
                patch.setattr(relay.checkpointer, "_last_failed", True)
            assert relay.status.degraded
            assert not relay.hand_over()
            assert "writes to the disk fail" in relay.hand_over_obstacle
        while relay.spool.degraded:
            await asyncio.sleep(0.02)
        await running.feed(b"hits:1|c")
        assert not running.task.done()
        assert relay.hand_over()


async def test_the_default_namespace_in_a_rule_makes_no_other_series(tmp_path):
    rules = [
        RuleConfig(match="same.*", metric="x", namespace="statsd"),
        RuleConfig(match="other.*", metric="x", namespace="app"),
    ]
    async with open_relay(tmp_path, rule=rules) as running:
        await running.feed(b"x:1|c\nsame.a:2|c\nother.a:4|c")
        await running.delivered("x", 7)
        totals = Counter[str]()
        for point in running.emulator.points("x"):
            totals[point["namespace"]] += point["values"]["sum"]
    assert totals == {"statsd": 3, "app": 4}
    assert running.relay.context.ledger.samples_dropped["name_collision"] == 0


async def test_a_stop_during_a_hand_over_is_a_stop(tmp_path):
    async with open_relay(recorded(tmp_path), window=LONG_WINDOWS) as running:
        await running.feed(b"hits:1|c")
        assert running.relay.hand_over()
        running.relay.stop()
        stopped = await running.task
        assert not stopped.is_handed_over

    async with open_relay(recorded(tmp_path), window=LONG_WINDOWS) as running:
        await running.feed(b"hits:1|c")
        assert running.relay.hand_over()
        await asyncio.sleep(0)
        running.relay.stop()
        stopped = await running.task
        assert not stopped.is_handed_over
        assert len(list(tmp_path.glob("checkpoint-*"))) == 1


@pytest.mark.parametrize("is_kept", [True, False])
async def test_a_window_whose_id_cannot_be_stored_is_left_to_the_next_start(tmp_path, monkeypatch, is_kept):
    """Otherwise the next start would send its values again. A window with no part on disk is sent."""
    async with open_relay(recorded(tmp_path), window=LONG_WINDOWS) as running:
        await running.feed(b"hits:1|c\nhits:2|c")
        monkeypatch.setattr(running.relay.spool._writer, "trouble", "quota")
        if not is_kept:
            monkeypatch.setattr(running.relay.checkpointer, "save", refuse)
        stopped = await running.stop()
        assert stopped.closed_early is not is_kept
        assert running.emulator.total("hits") == (0 if is_kept else 3)
        assert len(list(tmp_path.glob("checkpoint-*"))) == is_kept


async def test_a_window_that_the_next_start_would_open_again_leaves_only_if_it_is_stored(tmp_path, monkeypatch):
    """The previous window is recorded, so the next start opens this id again; none of its samples are on disk."""
    async with open_relay(recorded(tmp_path), window=LONG_WINDOWS) as running:
        relay = running.relay

        assert relay.spool.is_recorded(relay.closer.open_id - LONG_WINDOW)
        await degrade(monkeypatch, relay, "io")
        monkeypatch.setattr(relay.checkpointer, "save", refuse)
        await running.feed(b"hits:1|c\nhits:2|c")
        await running.stop()
        assert running.emulator.total("hits") == 0
        assert relay.context.ledger.points_dropped["stop_without_state"] == 1


async def test_no_step_of_a_stop_waits_for_a_disk_that_hangs(tmp_path, monkeypatch):
    release = threading.Event()
    async with open_relay(recorded(tmp_path), window=LONG_WINDOWS) as running:
        await running.feed(b"hits:1|c\nhits:2|c")
        monkeypatch.setattr(CheckpointFiles, "replace", lambda *_: release.wait(60) and 1)
        monkeypatch.setattr(Database, "write", lambda *_: release.wait(60))
        stopping = asyncio.create_task(running.stop())
        stopped = await asyncio.wait_for(stopping, 5 * 4)
        release.set()
        assert stopped.books.imbalance() == 0


@pytest.mark.parametrize("hangs", [False, True])
async def test_the_first_checkpoint_comes_before_the_first_close_and_the_first_batch(tmp_path, monkeypatch, hangs):
    """One that ends a worker ends the next workers too. Each would lose all that it has read."""
    release, files = threading.Event(), []

    def with_a_line(run):
        async def wrapped(relay: Relay) -> object:
            relay.hotpath.feed(b"hits:1|c", 1.0)
            return await run(relay)

        return wrapped

    def recording(run):
        async def wrapped(part: Closer | SenderPool) -> None:
            files.append(list(tmp_path.glob("checkpoint-*.srp")))
            await run(part)

        return wrapped

    monkeypatch.setattr(Relay, "run", with_a_line(Relay.run))
    monkeypatch.setattr(Closer, "run", recording(Closer.run))
    monkeypatch.setattr(SenderPool, "run", recording(SenderPool.run))
    if hangs:
        monkeypatch.setattr(CheckpointFiles, "append", lambda *_: release.wait(60) and 1)
        monkeypatch.setattr(CheckpointFiles, "replace", lambda *_: release.wait(60) and 1)
    async with open_relay(recorded(tmp_path), window=LONG_WINDOWS):
        while len(files) < 2:
            await asyncio.sleep(0.01)
        release.set()
    assert [len(found) for found in files] == [not hangs] * 2
