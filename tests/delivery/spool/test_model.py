"""The spool against a model: any order of storing, taking, a disk that fills up, restarts and kills.

The model is a set of batches that were stored and not done. A real file system fills up, a kill is a copy of the files.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from relay.delivery.spool import database, writer
from relay.delivery.spool.errors import DiskTrouble
from relay.ledger import Ledger
from tests.support.spool import balanced, batch, open_spool
from tests.support.tools import fill, tmpfs

LIMIT = 8 * 1024 * 1024
SIZE = 6000
Key = tuple[int, int]


def key_of(lease) -> Key:
    window, number, _ = lease.batch.body.split(b" ", 2)
    return int(window), int(number)


class SpoolMachine(RuleBasedStateMachine):
    """State: the spool, and what the model says is in it."""

    disk: Path

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = Path(tempfile.mkdtemp(dir=self.disk))
        self.filler = None
        self.broken = False
        self.window = 0
        self.waiting: set[Key] = set()
        self.leases: dict[Key, object] = {}
        self.finished: set[Key] = set()
        """Done since the last restart: after a kill they may come again."""
        self.committed: set[int] = set()
        self.open()

    def run(self, coroutine):
        return self.loop.run_until_complete(asyncio.wait_for(coroutine, 20))

    def open(self) -> None:
        self.ledger, self.done_points = Ledger(), 0
        self.spool = self.run(open_spool(self.directory, ledger=self.ledger, limit_bytes=LIMIT))

    async def all_written(self) -> None:
        """Wait until everything is on disk, or the disk refuses."""
        pending = self.spool._writer._queue
        while (pending.jobs or pending.deletions) and not self.spool.degraded:
            await asyncio.sleep(0.005)

    async def recovered(self) -> None:
        while self.spool.degraded:
            await asyncio.sleep(0.005)

    # --- what a relay does ----------------------------------------------------------------------------------------

    @rule(count=st.integers(0, 12))
    def store(self, count):
        self.window += 60
        self.run(
            self.spool.store(
                self.window, [batch(self.window, n, size=SIZE) for n in range(count)], {"gauges": b"%d" % self.window}
            )
        )
        self.waiting |= {(self.window, n) for n in range(count)}
        self.committed.add(self.window)

    @precondition(lambda self: self.waiting)
    @rule(live=st.booleans())
    def take(self, live):
        lease = self.run(self.spool.lease(live=live))
        key = key_of(lease)
        assert lease.batch == batch(*key, size=SIZE), "the same bytes"
        assert not live or key[0] == max(window for window, _ in self.waiting)
        self.waiting.remove(key)
        self.leases[key] = lease

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def done(self, data):
        key = data.draw(st.sampled_from(sorted(self.leases)))
        lease = self.leases.pop(key)
        self.done_points += lease.batch.points
        self.spool.done(lease)
        self.finished.add(key)

    @precondition(lambda self: self.waiting)
    @rule(count=st.integers(1, 12))
    def send(self, count):
        for _ in range(min(count, len(self.waiting))):
            lease = self.run(self.spool.lease())
            self.done_points += lease.batch.points
            self.spool.done(lease)
            self.waiting.remove(key_of(lease))
            self.finished.add(key_of(lease))

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def put_back(self, data):
        key = data.draw(st.sampled_from(sorted(self.leases)))
        self.spool.put_back(self.leases.pop(key))
        self.waiting.add(key)

    # --- what a machine does --------------------------------------------------------------------------------------

    @precondition(lambda self: self.filler is None)
    @rule()
    def disk_fills_up(self):
        self.filler = fill(self.disk)

    @precondition(lambda self: not self.broken)
    @rule()
    def disk_breaks(self):
        """Every transaction fails, as it would with EIO; reading goes on."""

        def fail(_):
            raise DiskTrouble("io", "broken")

        self.spool._writer._database._change = fail
        self.broken = True

    @precondition(lambda self: self.broken or self.filler is not None)
    @rule()
    def disk_is_well_again(self):
        self.run(asyncio.sleep(0.03))  # so that what can fail has failed
        self.mend()
        self.run(self.recovered())
        assert not self.spool._writer._queue.jobs, "recovered means: on disk"

    @rule()
    def restart(self):
        """An orderly stop: what is leased goes back first, as senders do."""
        for key in list(self.leases):
            self.spool.put_back(self.leases.pop(key))
            self.waiting.add(key)
        self.run(self.spool.close())
        lost = self.ledger.points_dropped["stop_without_state"] // 2
        was_sick, self.broken = self.broken or self.filler is not None, False
        assert was_sick or not lost
        assert self.books()
        self.open()
        if self.spool._writer._loaded:
            self.compare(lost=lost, was_sick=was_sick)
        else:
            self.give_room_and_compare(lost)

    @rule()
    def kill(self):
        """The files as they are between two calls of the thread, elsewhere; what was committed then must be there."""
        self.run(self.all_written())
        pending = self.spool._writer._queue
        unwritten = {key for job in pending.jobs for key in ((r.window, None) for r in job.rows)}
        windows_lost = {window for window, _ in unwritten} | {w for job in pending.jobs for w in job.windows}
        copy = Path(tempfile.mkdtemp(dir=self.elsewhere))
        self.run(self.spool._writer._run(self.copy_files, copy))
        self.waiting |= set(self.leases)
        self.leases.clear()
        self.run(self.spool.close())
        shutil.rmtree(self.directory)
        self.mend()
        shutil.copytree(copy, self.directory)
        shutil.rmtree(copy)
        self.open()
        found = self.found()
        there = {key for key in self.waiting if key[0] not in windows_lost}
        assert there <= found, "what was committed is there"
        assert found <= there | self.finished | self.waiting, "and nothing else"
        self.waiting = found
        self.committed = set(self.spool.committed)
        self.finished = set()

    def copy_files(self, copy: Path) -> None:
        for path in self.directory.glob("spool.*"):
            if not path.name.endswith("-shm"):
                shutil.copy(path, copy)

    # --- what must hold -------------------------------------------------------------------------------------------

    def found(self) -> set[Key]:
        """Compare all waiting batches with the model, without changing them."""
        leases = [self.run(self.spool.lease()) for _ in range(self.spool.batches)]
        keys = [key_of(lease) for lease in leases]
        assert len(set(keys)) == len(keys), "no batch twice"
        for lease in leases:
            self.spool.put_back(lease)
        return set(keys)

    def compare(self, *, lost: int, was_sick: bool) -> None:
        found = self.found()
        assert found <= self.waiting | (self.finished if was_sick else set())
        assert len(self.waiting - found) == lost, "what is not there was counted"
        self.waiting = found
        assert self.spool.committed <= self.committed
        assert was_sick or self.spool.committed == self.committed
        self.committed = set(self.spool.committed)
        self.finished = set()

    def mend(self) -> None:
        if self.filler is not None:
            self.filler.unlink()
            self.filler = None
        vars(self.spool._writer._database).pop("_change", None)
        self.broken = False

    def give_room_and_compare(self, lost: int) -> None:
        self.mend()
        self.run(self.recovered())
        self.compare(lost=lost, was_sick=True)

    def books(self) -> bool:
        return balanced(self.spool, self.ledger, done=self.done_points)

    @invariant()
    def the_books_balance(self):
        assert self.books()
        assert self.spool.batches == len(self.waiting)
        assert self.spool.leased == 2 * len(self.leases)

    def teardown(self) -> None:
        self.run(self.spool.close())
        self.loop.close()
        self.mend()
        shutil.rmtree(self.directory)


@pytest.mark.timeout(300)
def test_the_spool_does_what_a_set_of_batches_does(tmp_path, monkeypatch):
    # A small ballast is soon used up, and windows of more than 6 batches are several transactions.
    monkeypatch.setattr(database, "_BALLAST_SHARE", 128)
    monkeypatch.setattr(writer, "_RETRY", 0.01)
    monkeypatch.setattr(writer, "_DELETE_DELAY", 0.001)
    with tmpfs(tmp_path / "disk", size="12m") as disk:
        SpoolMachine.disk, SpoolMachine.elsewhere = disk, tmp_path
        run_state_machine_as_test(
            SpoolMachine,
            settings=settings(
                max_examples=30,
                stateful_step_count=40,
                suppress_health_check=list(HealthCheck),
                print_blob=True,
            ),
        )
