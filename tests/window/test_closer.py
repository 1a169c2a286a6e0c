"""Window arithmetic, and the closer in virtual time."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.ledger import MetricCounts
from relay.model import Batch, ClosedWindow, Identity, Kind, Point, Resolution, Rollup, Series
from relay.window import closer as closing
from relay.window import ids
from relay.window.protocols import Pipeline
from tests.support.context import make_context

MINUTE = 1_764_000_000


@pytest.mark.parametrize(
    ("wall", "committed", "opens"),
    [
        (MINUTE, set(), MINUTE),
        (MINUTE + 59.999, set(), MINUTE),
        (MINUTE + 60, set(), MINUTE + 60),
        (MINUTE + 30, {MINUTE}, MINUTE + 60),
        (MINUTE - 100, {MINUTE - 120, MINUTE - 60, MINUTE}, MINUTE + 60),
    ],
)
def test_the_first_uncommitted_id_opens(wall, committed, opens):
    assert ids.first_open_id(wall, 60, committed) == opens


@pytest.mark.parametrize(
    ("wall", "moved"),
    [
        (MINUTE + 5, MINUTE),  # on time
        (MINUTE - 2, MINUTE),  # two seconds back: the window stays open
        (MINUTE - 600, MINUTE),
        (MINUTE - 601, MINUTE - 660),  # over ten minutes: it moves
        (MINUTE - 3600, MINUTE - 3600),
        (1000, MINUTE),  # 1970: not a clock
        (9_999_999_999, MINUTE),
    ],
)
def test_a_step_back_moves_the_window_only_beyond_ten_minutes(wall, moved):
    assert ids.moved_id(MINUTE, wall, 60, set()) == moved


def test_a_moved_window_avoids_committed_ids():
    hour_ago = MINUTE - 3600
    assert ids.moved_id(MINUTE, hour_ago + 1, 60, {hour_ago, hour_ago + 60}) == hour_ago + 120


def test_an_id_that_turns_out_to_be_committed_is_left():
    """The disk could not be read at start, and can be now."""
    assert ids.moved_id(MINUTE, MINUTE + 30, 60, {MINUTE}) == MINUTE + 60
    assert ids.moved_id(MINUTE, MINUTE + 70, 60, {MINUTE}) == MINUTE + 60
    assert ids.moved_id(MINUTE, 1000, 60, {MINUTE}) == MINUTE + 60


@pytest.mark.parametrize(
    ("known", "recorded"),
    [
        ((), False),
        ((MINUTE - 120,), False),  # an earlier process may have gone on elsewhere
        ((MINUTE - 120, MINUTE - 60), True),
        ((MINUTE,), True),
        ((MINUTE + 3600,), True),
    ],
)
def test_a_record_is_one_of_the_last_window(known, recorded):
    assert ids.is_recorded(known, MINUTE + 59.0, 60) is recorded


def test_what_an_earlier_process_may_have_closed_does_not_open():
    assert ids.first_open_id(MINUTE + 30, 60, {MINUTE + 60}, last_unrecorded=MINUTE) == MINUTE + 120
    assert ids.moved_id(0, MINUTE + 30, 60, set(), last_unrecorded=MINUTE) == MINUTE + 60


@pytest.mark.parametrize("open_id", [0, 4_200_000_000])
def test_a_window_opened_by_a_clock_that_was_not_set_moves_when_it_is(open_id):
    assert ids.moved_id(open_id, open_id + 90, 60, set()) == open_id
    assert ids.moved_id(open_id, MINUTE + 1, 60, {MINUTE}) == MINUTE + 60


@given(st.lists(st.floats(min_value=-7200, max_value=7200), max_size=60))
def test_no_id_closes_twice_whatever_the_clock_does(steps):
    wall, committed = float(MINUTE), set()
    open_id = ids.first_open_id(wall, 60, committed)
    for step in steps:
        wall += step
        open_id = ids.moved_id(open_id, wall, 60, committed)
        assert open_id not in committed
        if ids.is_over(open_id, wall, 60):
            committed.add(open_id)
            open_id = ids.first_open_id(max(open_id + 60, wall), 60, committed)
    assert open_id not in committed


class OneCounter:
    """A hot path that counts one counter per feed."""

    def __init__(self):
        self.opened = []
        self.count = 0
        self.closing = None
        self.pending = []
        self.abandoned = 0
        self.folds = []
        self.renames = []

    def open_window(self, start):
        self.opened.append(start)
        self.start = start

    def unresolved(self, limit):
        return self.pending[:limit]

    def resolve(self, answers):
        del self.pending[: len(answers)]

    def settled(self):
        return not self.pending

    def abandon_names(self):
        self.abandoned += len(self.pending)
        self.pending.clear()
        return True

    def close_window(self, next_start, *, folds=False, renames=False):
        assert self.closing is None, "the last one was not taken"
        self.closing, self.count = (self.start, self.count), 0
        self.start = next_start
        self.folds.append(folds)
        self.renames.append(renames)

    def closed_window(self):
        (start, count), self.closing = self.closing, None
        rollup = Rollup(samples=count, count=count, sum=count, min=1, max=1, last=1)
        rows = [(SERIES, rollup)] if count else []
        return ClosedWindow(start=start, seconds=60, samples=count, series=[series for series, _ in rows], rows=rows)

    def export_gauges(self):
        yield b"g"


SERIES = Series("hits", (("host", "h"),), Kind.COUNTER)


class NameIt:
    host = "h"

    def resolve(self, identity):
        return Resolution(SERIES, SERIES)

    def export_classes(self):
        yield b"c"


class Sums:
    samples_dropped = 0
    points_collided = 0
    points_shed = 0
    values_clamped = 0
    clamped_metric = ""
    metrics = MetricCounts()
    known = None
    keys: frozenset[int] = frozenset()
    series_new = 0
    requests_needed = 0
    requests_allowed = 1.0
    over_quota = False

    def __init__(self, closed):
        self.closed = closed

    def prepare(self):
        yield

    def __iter__(self):
        for _, rollup in self.closed.rows:
            yield Point(b"%d" % rollup.sum)


class Committed:
    def __init__(self):
        self.stored = []
        self.committed = set()

    async def store(self, window, batches, state, *, samples):
        assert state == {"gauges": b"g", "classes": b"c", "host": b"h"}
        self.stored.append((window, [batch.body for batch in batches]))
        self.committed.add(window)


@pytest.fixture
def house(clock):
    return build(clock)


def build(clock, spool=None, **options):
    hotpath, spool, context, said = OneCounter(), spool or Committed(), make_context(clock), []
    closer = closing.Closer(
        seconds=60,
        hotpath=hotpath,
        pipeline=Pipeline(NameIt(), Sums),
        pack=lambda points, window: (Batch(window=window.start, points=1, body=point.body) for point in points),
        spool=spool,
        context=context,
        on_closed=said.append,
        **options,
    )
    return closer, hotpath, spool, context.ledger, said


async def tick_for(closer, clock, seconds):
    ends = clock.monotonic() + seconds
    while clock.monotonic() < ends:
        await clock.sleep(0.1)
        await closer.tick()
        await closer.store_closed()


async def test_a_window_closes_at_its_end_with_its_own_id(house, clock):
    closer, hotpath, spool, ledger, said = house
    hotpath.count = 3
    await tick_for(closer, clock, 61)
    assert spool.stored == [(MINUTE, [b"3"])]
    assert ledger.samples_closed == 3
    assert ledger.samples_closing == 0
    assert [(closed.start, closed.samples, closed.points, closed.requests) for closed in said] == [(MINUTE, 3, 1, 1)]


async def test_a_step_forward_closes_once_and_invents_no_windows(house, clock):
    closer, hotpath, spool, _, _ = house
    hotpath.count = 3
    clock.step_wall(3600)
    await tick_for(closer, clock, 1)
    hotpath.count = 5
    await tick_for(closer, clock, 61)
    assert spool.stored == [(MINUTE, [b"3"]), (MINUTE + 3600, [b"5"])]


async def test_a_step_back_keeps_the_window_and_no_id_comes_twice(house, clock):
    closer, hotpath, spool, _, _ = house
    await tick_for(closer, clock, 61)
    hotpath.count = 7
    clock.step_wall(-120)
    await tick_for(closer, clock, 182)
    assert spool.stored == [(MINUTE, []), (MINUTE + 60, [b"7"])]


async def test_the_checkpoint_of_a_moved_window_goes_ahead(clock):
    """Were it written under the new id meanwhile, a kill would leave two files that a start adds up."""
    moves = []

    async def move(*ids):
        moves.append((*ids, hotpath.start))

    closer, hotpath, *_ = build(clock, on_moved=move)
    clock.step_wall(-3600)
    await closer.tick()
    assert moves == [(MINUTE, MINUTE - 3600, MINUTE)]
    assert hotpath.start == closer.open_id == MINUTE - 3600


async def test_identities_are_named_before_their_window_is_handed_out(house, clock):
    closer, hotpath, spool, _, _ = house
    hotpath.pending = [Identity(b"%d" % i, Kind.COUNTER, b"") for i in range(50_000)]
    await closer.close()
    assert not hotpath.pending
    assert spool.stored == [(MINUTE, [])]


async def test_a_flood_of_identities_is_named_without_a_pause_between_ticks(house, clock):
    closer, hotpath, *_ = house
    hotpath.pending = [Identity(b"%d" % i, Kind.COUNTER, b"") for i in range(10_000)]
    began, running = clock.monotonic(), asyncio.create_task(closer.run())
    while hotpath.pending:
        await asyncio.sleep(0)
    assert clock.monotonic() - began == pytest.approx(closing.TICK), "before the first one only"
    while clock.monotonic() - began < 10 * closing.TICK:
        await asyncio.sleep(0)
    assert clock.monotonic() - began == pytest.approx(10 * closing.TICK), "a pause before each tick again"
    closer.stop()
    await running


async def test_names_that_take_long_are_answered_a_few_at_a_time(house, clock, monkeypatch):
    """3 ms for a name, as hundreds of regexes may take: a slice of 5 ms is two of them, whatever is asked for."""
    closer, hotpath, *_ = house
    answered = []
    monkeypatch.setattr(NameIt, "resolve", lambda *_: clock.advance(0.003))
    monkeypatch.setattr(hotpath, "resolve", lambda a: (answered.append(len(a)), OneCounter.resolve(hotpath, a)))
    hotpath.pending = [Identity(b"%d" % i, Kind.COUNTER, b"") for i in range(7)]
    await closer.tick()
    assert (answered, hotpath.pending) == ([2, 2, 2, 1], [])


async def test_a_window_waits_that_begins_later_than_the_next_edge(clock):
    spool = Committed()
    spool.committed.add(MINUTE)
    assert build(clock, spool=spool)[0].opens_in() == 0.0
    spool.committed.add(MINUTE + 60)
    assert build(clock, spool=spool)[0].opens_in() == 120.0


async def test_without_a_record_the_rest_of_the_minute_joins_the_next_one(clock):
    clock.advance(30)
    closer, hotpath, spool, *_ = build(clock, recorded=False)
    hotpath.count = 2
    assert not await closer.close_early(), "it has not begun"
    await tick_for(closer, clock, 91)
    assert spool.stored == [(MINUTE + 60, [b"2"])]


@pytest.mark.parametrize(
    ("wrong", "closes"), [(-MINUTE, MINUTE + 60), (7200, MINUTE + 60), (-7200, MINUTE - 7200 + 60)]
)
async def test_without_a_record_the_start_is_judged_by_the_clock_as_it_is_corrected(clock, wrong, closes):
    """What an earlier process closed in the true minute is as unknown as what it closed in the wrong one."""
    clock.step_wall(wrong)
    closer, hotpath, spool, *_ = build(clock, recorded=False)
    clock.advance(5)
    clock.step_wall(-wrong)
    hotpath.count = 2
    await tick_for(closer, clock, 120)
    assert spool.stored[0] == (closes, [b"2"])


async def test_a_close_in_progress_never_keeps_the_next_window_open_past_its_end(house, clock, monkeypatch):
    """Three windows end while the disk has the first one; each is stored later with what came until its own end."""
    closer, hotpath, spool, ledger, said = house
    disk = asyncio.Event()
    store = spool.store

    async def stalled(*args, **options):
        await disk.wait()
        await store(*args, **options)

    monkeypatch.setattr(spool, "store", stalled)
    storing = None
    for count in (3, 4, 5):
        hotpath.count = count
        while hotpath.count:
            await clock.sleep(0.1)
            await closer.tick()
            storing = storing or (asyncio.create_task(closer.store_closed()) if closer.closing else None)
            await asyncio.sleep(0)
    assert closer.open_id == MINUTE + 180
    assert (spool.stored, closer.closing) == ([], 3)
    disk.set()
    await storing
    assert spool.stored == [(MINUTE, [b"3"]), (MINUTE + 60, [b"4"]), (MINUTE + 120, [b"5"])]
    assert (ledger.samples_closed, ledger.samples_closing) == (12, 0)
    assert [round(closed.late) for closed in said] == [120, 60, 0]
    assert ledger.close_late == pytest.approx(0, abs=0.2)


async def test_names_that_are_not_known_at_the_next_edge_come_too_late(house, clock, monkeypatch):
    """Whatever naming takes: the window after the next begins at its edge."""
    closer, hotpath, spool, _, _ = house
    monkeypatch.setattr(NameIt, "resolve", lambda *_: clock.advance(1.0))
    await clock.sleep(59.95)
    hotpath.pending = [Identity(b"%d" % i, Kind.COUNTER, b"") for i in range(200)]
    running = asyncio.create_task(closer.run())
    while closer.open_id < MINUTE + 180:
        await asyncio.sleep(0)
        assert clock.wall() < closer.open_id + 61
    assert 0 < hotpath.abandoned <= 200
    closer.stop()
    await running
    await closer.store_closed()
    assert [start for start, _ in spool.stored][:2] == [MINUTE, MINUTE + 60]


async def test_behind_four_windows_that_wait_the_next_one_has_no_series_of_its_own(house, clock, monkeypatch):
    closer, hotpath, spool, _, _ = house
    monkeypatch.setattr(spool, "store", lambda *_, **__: asyncio.Event().wait())
    for _ in range(6):
        await clock.sleep(60)
        await closer.tick()
    assert hotpath.folds == [False] * 4 + [True] * 2


async def test_the_closer_is_alive_while_names_or_windows_make_progress_and_not_else(house, clock, monkeypatch):
    closer, hotpath, spool, _, _ = house
    monkeypatch.setattr(NameIt, "resolve", lambda *_: clock.advance(1.0))
    hotpath.pending = [Identity(b"%d" % i, Kind.COUNTER, b"") for i in range(15)]
    await closer.tick()
    assert clock.monotonic() - closer.active_at < 1.1
    monkeypatch.setattr(spool, "store", lambda *_, **__: asyncio.Event().wait())
    await clock.sleep(60)
    await closer.tick()
    storing = asyncio.create_task(closer.store_closed())
    for _ in range(50):
        await clock.sleep(1)
        await closer.tick()
    assert clock.monotonic() - closer.active_at == pytest.approx(50, abs=1), "what is to be stored is stuck"
    storing.cancel()


async def test_what_waits_is_named_before_a_checkpoint_but_a_flood_is_not_waited_for(house, clock, monkeypatch):
    closer, hotpath, *_ = house
    await closer.name_waiting()
    closer.stop()
    await closer.run()
    hotpath.pending = [Identity(b"%d" % i, Kind.COUNTER, b"") for i in range(5_000)]
    await closer.name_waiting()
    assert not hotpath.pending
    monkeypatch.setattr(hotpath, "unresolved", lambda limit: [Identity(b"x", Kind.COUNTER, b"")] * limit)
    monkeypatch.setattr(NameIt, "resolve", lambda *_: clock.advance(0.002))
    began = clock.monotonic()
    await closer.name_waiting()
    assert clock.monotonic() - began == pytest.approx(closing.NAMING_SECONDS, abs=0.01)


@pytest.mark.parametrize("waits", ["name_waiting", "store_closed"])
async def test_naming_sleeps_while_a_window_that_is_due_has_not_ended(house, clock, waits):
    """The tick that ends it comes after a pause; a loop that only yields would spin until then."""
    closer, hotpath, *_ = house
    closer._is_running = True
    await closer._swap(late=0.0)
    hotpath.pending = [Identity(b"a", Kind.COUNTER, b"")]
    clock.advance(121)
    began = clock.monotonic()
    waiting = asyncio.create_task(getattr(closer, waits)())
    for _ in range(3):
        await asyncio.sleep(0)
    assert clock.monotonic() > began
    assert hotpath.pending, "nothing goes before the change of windows"
    waiting.cancel()


async def test_an_early_close_takes_the_current_minute_only(house, clock):
    closer, hotpath, spool, _, _ = house
    hotpath.count = 1
    assert await closer.close_early()
    assert closer.open_id == MINUTE + 60
    assert not await closer.close_early()
    assert [start for start, _ in spool.stored] == [MINUTE]


async def test_a_clock_that_is_not_set_closes_nothing(house, clock):
    closer, _, spool, _, _ = house
    clock.step_wall(-MINUTE)
    await tick_for(closer, clock, 200)
    assert not spool.stored


async def test_other_rules_begin_with_the_next_window_and_the_closing_one_keeps_its_own(house, clock):
    closer, hotpath, spool, _, _ = house
    asked = []

    class Doubled(Sums):
        def __iter__(self):
            for _, rollup in self.closed.rows:
                yield Point(b"%d doubled" % (2 * rollup.sum))

    def change():
        asked.append(hotpath.start)
        return Pipeline(NameIt(), Doubled)

    hotpath.count = 3
    await tick_for(closer, clock, 10)
    closer.schedule_change(lambda: pytest.fail("a later change replaces the one before"))
    closer.schedule_change(change)
    await tick_for(closer, clock, 51)
    hotpath.count = 4
    await tick_for(closer, clock, 120)
    assert asked == [MINUTE + 60]
    assert hotpath.renames == [True, False, False], "with the swap: readers go on while other rules come into force"
    assert spool.stored == [(MINUTE, [b"3"]), (MINUTE + 60, [b"8 doubled"]), (MINUTE + 120, [])]


@pytest.mark.parametrize("waiting", [3, 3000])
async def test_what_waits_when_other_rules_begin_is_not_named_by_them(house, clock, waiting):
    """What one slice cannot name goes to the series of its class."""
    closer, hotpath, *_ = house
    named = []

    class Other(NameIt):
        def resolve(self, identity):
            named.append(identity)
            return super().resolve(identity)

    def change():
        asked.append(len(hotpath.pending))
        return Pipeline(Other(), Sums)

    asked, identity = [], Identity(b"a", Kind.COUNTER, b"")
    await tick_for(closer, clock, 59.5)
    hotpath.pending = [identity] * waiting
    closer.schedule_change(change)
    await closer.close()
    assert asked == [max(0, waiting - closing.NAMES_PER_SLICE)]
    assert hotpath.abandoned == asked[0]
    assert named == []
    hotpath.pending = [identity]
    await tick_for(closer, clock, 1)
    assert named == [identity]


async def test_the_closer_shows_that_it_lives_while_it_ticks(house, clock):
    closer, *_ = house
    await tick_for(closer, clock, 5)
    assert clock.monotonic() - closer.active_at < 1
    await clock.sleep(30)
    assert clock.monotonic() - closer.active_at >= 30
