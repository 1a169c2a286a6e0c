"""A (series, window) leaves with one value, and every loss is counted, in any order of faults.

The relay is that of app.py (closer, hot path, checkpoints, spool on a real SQLite, recovery, shutdown, senders) in
virtual time, on a disk that can refuse and stall (support/failing_disk.py). `RELAY_MODEL_SCHEDULES` sets the number of
schedules; the full tier removes fixes from the relay, one at a time, and expects a failure without each.

The rules of the schedules leave out what a start cannot know. Without a record of the last window, a start comes when
the clock has reached every id that was sent. A directory that comes back after another one was in use is of a relay
that was idle, and two windows old. The clock goes back by more than some seconds only while every id that was sent is
on the disk.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import PropertyMock, patch

import pytest
import structlog
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from relay.daemon.lifecycle import recovery
from relay.delivery.sender import outcomes
from relay.delivery.spool.spool import Spool
from relay.delivery.state.checkpoint import Checkpointer
from relay.delivery.state.checkpointed_windows import CheckpointedWindows
from relay.naming import Namer
from relay.window.closer import Closer
from tests.support.failing_disk import FailingDisk, installed
from tests.support.virtual_loop import LoopClock, VirtualLoop
from tests.support.virtual_relay import SECONDS, STOP, RecordingCloud, VirtualRelay

WALL = 1_764_000_003.0
INTERVAL = 1.3
"""Seconds that a kill may cost: a checkpoint's interval, and what the disk takes for it."""
RECOVERY = 6.0
"""Seconds after which a disk that is well again has everything."""
DAY = 86_400.0
COUNTERS = ("ca", "cb", "cc")
OWN = "statsd_relay."
"""Begins the names of the relay's own figures, of which each window has one value too."""


class RelayMachine(RuleBasedStateMachine):
    """State: the life that runs, its directory, the cloud; what was fed, counted, and may be lost."""

    figures: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.figures["schedules"] += 1
        self.scratch = ExitStack()
        self.root = Path(self.scratch.enter_context(tempfile.TemporaryDirectory(dir=_memory())))
        self.loop = VirtualLoop()
        self.clock = LoopClock(self.loop, WALL)
        self.cloud = RecordingCloud(WALL)
        self.disk = FailingDisk()
        self.scratch.enter_context(installed(self.disk))
        self.directories = 0
        self.state: Path | None = self.new_directory()
        self.backup: tuple[float, Path] | None = None
        self.fed: Counter[str] = Counter()
        self.recent: list[tuple[float, int]] = []
        """When, and how many samples."""
        self.forgotten: Counter[str] = Counter()
        """Samples that a deletion took and that must not come back."""
        self.dropped = 0
        """Samples that ended lives counted as lost."""
        self.allowed = 0
        """Samples that may be lost without a count: kills, and points that were counted."""
        self.gauge = 0
        self.sick_since: float | None = None
        self.well_since = -RECOVERY
        self.is_all_on_disk = True
        """Every id that was sent is in the present directory."""
        self.latest = 0.0
        """The largest wall time at which something ran: ids up to its window may have been sent."""
        self.life: VirtualRelay | None = None
        self.begin()

    def run(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def pass_(self, seconds: float) -> None:
        self.figures["virtual seconds"] += int(seconds)
        self.run(asyncio.sleep(seconds))
        self.latest = max(self.latest, self.clock.wall())

    def new_directory(self) -> Path:
        self.directories += 1
        return self.root / f"state-{self.directories}"

    def begin(self) -> None:
        self.fed_before = self.fed.total()
        self.life = self.run(VirtualRelay(self.state, clock=self.clock, cloud=self.cloud).start())
        self.latest = max(self.latest, self.clock.wall())

    # --- what comes in --------------------------------------------------------------------------------------------

    @rule(counter=st.sampled_from(COUNTERS), count=st.integers(1, 3))
    def some_come(self, counter, count):
        self.samples(counter, count)

    def samples(self, counter: str, count: int) -> None:
        self.figures["steps"] += 1
        self.gauge += 1
        self.life.feed(*[b"%b:1|c" % counter.encode()] * count, b"g:%d|g" % self.gauge)
        self.fed[counter] += count
        self.recent.append((self.loop.time(), count))

    @rule(seconds=st.sampled_from((0.2, 1.5, 1.5, 4.0, 11.0, 25.0)))
    def time_passes(self, seconds):
        self.figures["steps"] += 1
        self.pass_(seconds)

    @rule(away=st.sampled_from((-0.1, 0.0, 0.01, 0.2)))
    def an_edge_comes(self, away):
        self.figures["steps"] += 1
        self.pass_(SECONDS - self.clock.wall() % SECONDS + away)

    @precondition(lambda self: self.is_well)
    @rule(counter=st.sampled_from(COUNTERS))
    def a_series_is_deleted(self, counter):
        """After it was on disk; and the relay goes on for as long as a sample needs to be there."""
        self.samples(counter, 2)
        self.pass_(INTERVAL)
        before = self.forgotten_now()
        hotpath = self.life.relay.hotpath
        self.life.relay.status.delete([one for one in hotpath.list_series(0, 99) if one.metric == counter])
        self.forgotten[counter] += self.forgotten_now() - before
        self.pass_(INTERVAL)

    def forgotten_now(self) -> int:
        return self.life.relay.status.books().samples_dropped.get("forgotten", 0)

    # --- the disk, the cloud, the clock ---------------------------------------------------------------------------

    @property
    def is_well(self) -> bool:
        return self.sick_since is None and self.loop.time() - self.well_since > RECOVERY

    @precondition(lambda self: self.state and self.sick_since is None and self.clock.wall() >= self.latest)
    @rule(
        mode=st.sampled_from(("refuse", "keep", "fail", "stall", "hang")),
        moment=st.sampled_from(("any", "after a checkpoint", "after an edge", "over an edge")),
    )
    def the_disk_fails(self, mode, moment):
        self.figures["steps"] += 1
        if moment in ("after a checkpoint", "over an edge"):
            self.samples("ca", 1)
            self.pass_(INTERVAL)
        elif moment == "after an edge":
            self.pass_(SECONDS - self.clock.wall() % SECONDS + 0.1)
        if self.is_well:
            self.trouble_began = self.loop.time()
        self.sick_since = self.loop.time()
        self.disk.become(mode)
        self.samples("ca", 1)
        if moment == "over an edge":
            self.an_edge_comes(0.2)

    @precondition(lambda self: self.sick_since is not None)
    @rule()
    def the_disk_is_well_again(self):
        self.figures["steps"] += 1
        self.sick_since, self.well_since = None, self.loop.time()
        self.disk.become("well")

    @rule()
    def the_cloud_changes(self):
        self.figures["steps"] += 1
        self.cloud.is_down = not self.cloud.is_down

    @precondition(lambda self: self.is_well)
    @rule(seconds=st.sampled_from((-3.0, 0.5, 35.0, 3600.0)))
    def the_clock_steps(self, seconds):
        self.figures["steps"] += 1
        self.clock.step(seconds)
        self.pass_(0.2)

    @precondition(lambda self: self.is_well and self.state and self.is_all_on_disk)
    @rule(seconds=st.sampled_from((-45.0, -300.0, -3600.0)))
    def the_clock_steps_far_back(self, seconds):
        self.figures["steps"] += 1
        self.clock.step(seconds)
        self.pass_(0.2)

    @precondition(lambda self: self.is_well and self.state and self.is_all_on_disk)
    @rule(seconds=st.sampled_from((1.5, 3.0)))
    def the_clock_is_ahead_for_some_seconds(self, seconds):
        self.figures["steps"] += 1
        before = self.latest
        self.clock.step(10 * DAY)
        self.pass_(seconds)
        self.clock.step(-10 * DAY)
        self.pass_(0.2)
        self.latest = before

    # --- ends and starts ------------------------------------------------------------------------------------------

    @rule(
        then=st.sampled_from(("same", "same", "none", "new", "lost", "backup", "other")),
        pause=st.sampled_from((0.0, 0.0, 3.0, 30.0)),
    )
    def is_stopped(self, then, pause):
        self.figures["steps"] += 1
        self.end_in_order()
        if self.is_well and self.at_rest():
            self.backup = self.clock.wall(), self.copy()
        self.start_again(then, pause)

    def end_in_order(self) -> None:
        self.is_all_on_disk &= self.is_well
        exposed = self.exposed()
        seconds = self.run(self.life.stop())
        assert seconds < STOP + 0.05, f"a stop took {seconds} s"
        books = self.life.relay.status.books()
        assert books.imbalance() == 0
        self.dropped += sum(books.samples_dropped.values())
        if books.dropped:
            self.allowed += exposed

    @rule(
        then=st.sampled_from(("same", "same", "same", "none", "new", "lost")),
        pause=st.sampled_from((0.0, 0.0, 3.0, 30.0)),
    )
    def is_killed(self, then, pause):
        self.figures["steps"] += 1
        self.is_all_on_disk &= self.is_well
        self.allowed += self.exposed()
        books = self.life.relay.status.books()
        self.dropped += sum(books.samples_dropped.values())
        self.run(self.life.kill(set()))
        self.start_again(then, pause)

    def exposed(self) -> int:
        """Samples that only memory may have."""
        if self.state is None:
            return self.fed.total() - self.fed_before
        since = self.loop.time() if self.is_well else self.trouble_began
        return sum(count for at, count in self.recent if at >= since - INTERVAL)

    def start_again(self, then: str, pause: float) -> None:
        self.pass_(pause)
        knows = self.clock.wall() >= self.latest
        if self.sick_since is not None:
            self.the_disk_is_well_again()
        if self.state is None:  # the directory that the one before had is an old one now
            self.state = self.kept
            self.pass_(2 * SECONDS + max(0.0, self.latest - self.clock.wall()))
        elif then == "backup" and self.backup and self.clock.wall() >= self.latest:
            self.forgive()
            self.pass_(max(0.0, self.backup[0] + 3 * SECONDS - self.clock.wall()))
            self.state, self.is_all_on_disk = self.backup[1], False
            self.backup = None
        elif then == "new" and knows:
            self.forgive()
            self.state, self.is_all_on_disk = self.new_directory(), False
        elif then == "lost" and knows:
            self.lose_database()
        elif then == "none" and knows:
            if not self.at_rest():
                self.forgive()
            self.kept, self.state, self.is_all_on_disk = self.at_rest() or self.new_directory(), None, False
        self.begin()

    def lose_database(self) -> None:
        """Checkpoints are all that is left."""
        self.forgive()
        self.is_all_on_disk = False
        for file in self.state.glob("spool.db*"):
            file.unlink()

    def at_rest(self) -> Path | None:
        """Return the directory if no window is open in it: one that was closed elsewhere would be closed again."""
        return self.state if self.state and not list(self.state.glob("checkpoint-*")) else None

    def forgive(self) -> None:
        """What waits in a directory that is never opened again is lost by those that left it."""
        self.allowed += max(0, self.missing())

    def copy(self) -> Path:
        copy = self.new_directory()
        shutil.copytree(self.state, copy, ignore=shutil.ignore_patterns("*-shm", "*.ballast", "lock"))
        return copy

    @precondition(lambda self: self.is_well and self.state)
    @rule(pause=st.sampled_from((0.5, 12.0)))
    def a_copy_runs_beside_it(self, pause):
        """Under another name, as of a cloned machine."""
        self.figures["steps"] += 1
        self.pass_(INTERVAL)
        mine = asyncio.all_tasks(self.loop)
        copy = self.run(VirtualRelay(self.copy(), clock=self.clock, cloud=self.cloud, host="b").start())
        self.samples("ca", 1)
        self.pass_(pause)
        self.samples("ca", 1)
        self.pass_(SECONDS)
        self.run(copy.kill(mine))
        hosts = {dict(dimensions)["host"] for metric, dimensions, _ in self.cloud.values if not metric.startswith(OWN)}
        assert hosts <= {"a"}

    # --- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def one_value_for_each_series_and_window(self):
        assert not self.cloud.conflicts()

    @invariant()
    def nothing_is_invented(self):
        for counter, total in self.cloud.totals().items():
            assert total <= self.fed[counter] - self.forgotten[counter], counter

    @invariant()
    def the_books_balance(self):
        books = self.life.relay.status.books()
        assert books.imbalance() == 0
        assert not books.dropped.get("too_old"), "nothing here is old"

    @invariant()
    def a_window_that_waits_is_logged(self):
        waits = self.life.relay.closer.open_id - self.clock.wall() > SECONDS
        assert waits != self.life.relay.status.ready()[0]

    def missing(self) -> int:
        """Samples that are neither stored nor counted, nor may be lost."""
        return self.fed.total() - self.cloud.totals().total() - self.dropped - self.allowed

    def teardown(self) -> None:
        """All is well at last: everything arrives."""
        try:
            if self.sick_since is not None:
                self.the_disk_is_well_again()
            self.cloud.is_down = False
            self.pass_(RECOVERY)
            if self.state is None:
                self.end_in_order()
                self.start_again("same", 0.0)
            self.pass_(max(0.0, self.life.relay.closer.open_id - self.clock.wall()) + 3 * SECONDS)
            self.dropped += sum(self.life.relay.status.books().samples_dropped.values())
            assert not self.cloud.conflicts()
            assert self.missing() <= 0, f"{self.missing()} samples were lost in silence"
        finally:
            self.run(self.life.kill(set()))
            self.loop.close()
            self.scratch.close()


def _memory() -> str | None:
    """Return a directory on a disk that makes nothing wait."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def search(schedules: int, *, shrinks: bool = True) -> Counter[str]:
    """Look for a schedule that breaks the law."""
    RelayMachine.figures = figures = Counter()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    try:
        run_state_machine_as_test(
            RelayMachine,
            settings=settings(
                max_examples=schedules,
                stateful_step_count=30,
                phases=[Phase.generate, *([Phase.shrink] if shrinks else [])],
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
                print_blob=True,
            ),
        )
    finally:
        structlog.reset_defaults()
    return figures


@pytest.mark.timeout(3600)
def test_a_series_and_window_leaves_with_one_value(record_property):
    figures = search(int(os.environ.get("RELAY_MODEL_SCHEDULES", "60")))
    record_property("figures", dict(figures))


@pytest.fixture
def machine():
    RelayMachine.figures = Counter()
    machine = RelayMachine()
    yield machine
    machine.disk.become("well")
    machine.pass_(1.0)
    machine.run(machine.life.kill(set()))
    machine.scratch.close()
    machine.loop.close()


def test_a_stop_does_not_wait_for_a_disk_that_keeps_the_database(machine):
    """What waits must be read, nothing must be written: nothing has shown by then that the disk hangs."""
    machine.a_copy_runs_beside_it(pause=12.0)
    machine.is_killed(then="same", pause=0.0)
    machine.the_clock_steps(3600.0)
    machine.is_killed(then="same", pause=30.0)
    machine.disk.become("hang")
    assert machine.run(machine.life.stop()) < STOP


@pytest.mark.parametrize("away", [0.0, 0.01, 0.2, 3.0])
def test_a_stop_after_a_window_of_which_a_start_may_know(machine, away):
    """Its id, or a checkpoint of it: the start opens the window that the stop would have closed early."""
    machine.an_edge_comes(0.2)
    machine.an_edge_comes(0.2)
    machine.the_disk_fails(mode="hang", moment="after a checkpoint")
    machine.an_edge_comes(away)
    machine.is_stopped(then="same", pause=0.0)
    machine.samples("ca", 1)
    machine.pass_(2 * SECONDS)
    machine.one_value_for_each_series_and_window()


def test_a_stored_window_whose_checkpoint_stays_and_whose_database_is_lost(machine):
    """The start finds the checkpoint alone, and cannot know that the window was stored."""
    machine.an_edge_comes(0.2)
    machine.an_edge_comes(0.2)
    machine.the_disk_fails(mode="keep", moment="after a checkpoint")
    machine.an_edge_comes(0.2)
    machine.pass_(SECONDS)
    machine.is_killed(then="lost", pause=0.0)
    machine.pass_(2 * SECONDS)
    machine.one_value_for_each_series_and_window()


def commit_at_once(spool: Spool, window: int) -> None:
    spool.committed.add(window)
    if window not in spool._unrecorded:
        spool._order.release([window])


MUTANTS = {
    "a start without a record opens the current window": lambda: patch.object(
        recovery, "is_recorded", lambda *_, **__: True
    ),
    "a window of which the disk has a part leaves from memory": lambda: patch.object(
        CheckpointedWindows, "__contains__", lambda *_: False
    ),
    "state of another host is used": lambda: patch.object(Namer, "host", PropertyMock(return_value="all the same")),
    "a window that waits is not told": lambda: patch.object(Closer, "opens_in", lambda _: 0.0),
    "a deletion is not written": lambda: patch.object(Checkpointer, "record_deleted", lambda *_: None),
    "an age by any clock is believed": lambda: patch.object(
        outcomes.Ages, "is_old", lambda ages, window, most: ages._clock.wall() - window > most
    ),
    "a stored window leaves while the disk has a part of it": lambda: patch.object(Spool, "_commit", commit_at_once),
    "a stop closes what the next start opens": lambda: patch.object(CheckpointedWindows, "close_last", lambda *_: None),
}


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_fix_that_is_taken_out_is_missed(mutant):
    with MUTANTS[mutant](), pytest.raises((AssertionError, BaseExceptionGroup)):
        search(1000, shrinks=False)
