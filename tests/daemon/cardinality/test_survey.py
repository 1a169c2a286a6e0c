"""The walk over the open window: what it finds, what it keeps, and that it yields."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from relay.daemon.cardinality.survey import SERIES_MOST, Surveyor
from relay.model import Kind, Metric, Rollup, Series

ROLLUP = Rollup(samples=2, count=2.0, sum=3.0, min=1.0, max=2.0, last=2.0)
WEB = Metric("web", Kind.COUNTER)


def series(metric: str, kind: Kind = Kind.COUNTER, **tags) -> Series:
    return Series(metric, tuple(sorted({"host": "h", **tags}.items())), kind)


class Window:
    """A hot path whose open window is a list."""

    def __init__(self, rows=()) -> None:
        self.rows = list(rows)
        self.walks = 0
        self.start = 600

    def snapshot(self):
        self.walks += 1
        for first in range(0, len(self.rows), 256):
            yield self.rows[first : first + 256]

    def list_series(self, first: int, count: int):
        return [row[0] for row in self.rows[first : first + count]]


def users(count: int, samples: int = 2):
    return [(series("web", user=f"u{n}", zone=f"z{n % 3}"), replace(ROLLUP, samples=samples)) for n in range(count)]


def make(window, clock) -> Surveyor:
    return Surveyor(window, lambda: window.start, seconds=60, clock=clock)


async def test_tags_have_their_numbers_of_values_and_examples(clock):
    window = Window([*users(30), (series("web", overflow="true"), ROLLUP), (series("other"), ROLLUP)])
    found = (await make(window, clock).survey()).metrics
    web = found[WEB]
    assert [(tag.key, tag.values, list(tag.examples)) for tag in web.tags] == [
        ("user", 30, ["u0", "u1", "u2"]),
        ("zone", 3, ["z0", "z1", "z2"]),
        ("host", 1, ["h"]),
    ]
    assert (web.series, web.samples, web.has_overflow) == (31, 62, True)
    assert not found[Metric("other", Kind.COUNTER)].has_overflow


async def test_types_and_namespaces_are_metrics_of_their_own(clock):
    window = Window([(series("web"), ROLLUP), (series("web", Kind.TIMER), ROLLUP)])
    window.rows.append((series("web")._replace(namespace="shop"), ROLLUP))
    assert set((await make(window, clock).survey()).metrics) == {
        WEB,
        Metric("web", Kind.TIMER),
        Metric("web", Kind.COUNTER, "shop"),
    }


async def test_a_result_is_kept_and_one_walk_serves_all(clock):
    window = Window(users(1000))
    surveyor = make(window, clock)
    await asyncio.gather(*(surveyor.survey() for _ in range(9)))
    assert window.walks == 1
    clock.advance(1.1)
    await surveyor.survey()
    assert window.walks == 2


async def test_the_walk_yields_after_each_part(clock):
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await make(Window(users(5000)), clock).survey()
    counting.cancel()
    assert turns >= 5000 / 256


async def test_the_walk_is_bounded(clock):
    window = Window([(SERIES, ROLLUP)] * (SERIES_MOST + 5000))
    survey = await make(window, clock).survey()
    assert SERIES_MOST <= survey.series < SERIES_MOST + 256


SERIES = series("web")


async def test_rates_are_since_the_walk_before_or_since_the_window_began(clock):
    window = Window(users(1, samples=10))
    window.start = int(clock.wall())
    surveyor = make(window, clock)
    assert (await surveyor.survey()).rate(WEB) is None
    clock.advance(2)
    window.rows = users(1, samples=50)
    assert (await surveyor.survey()).rate(WEB) == 20
    clock.advance(2)
    window.start += 3
    assert (await surveyor.survey()).rate(WEB) == 50 / (clock.wall() - window.start)


async def test_a_metric_without_new_samples_keeps_the_time_at_which_it_was_seen(clock):
    window = Window(users(1))
    surveyor = make(window, clock)
    first = (await surveyor.survey()).metrics[WEB].seen_at
    clock.advance(2)
    assert (await surveyor.survey()).metrics[WEB].seen_at == first
    clock.advance(2)
    window.rows = users(1, samples=3)
    assert (await surveyor.survey()).metrics[WEB].seen_at == first + 4


async def test_a_window_that_has_just_begun_shows_the_tags_of_the_one_before(clock):
    window = Window(users(100))
    surveyor = make(window, clock)
    await surveyor.survey()
    clock.advance(2)
    window.start, window.rows = 660, users(3)
    assert (await surveyor.survey()).metrics[WEB].tags[0].values == 100
    clock.advance(2)
    window.rows = users(60)
    assert (await surveyor.survey()).metrics[WEB].tags[0].values == 60


async def test_the_tags_of_a_metric_that_is_gone_are_not_kept_for_ever(clock):
    window = Window(users(100))
    surveyor = make(window, clock)
    await surveyor.survey()
    window.rows = []
    for _ in range(13):
        clock.advance(10)
        window.start += 60
        found = (await surveyor.survey()).metrics
    assert WEB not in found


async def test_a_window_that_ends_during_the_walk_is_walked_again(clock):
    window = Window(users(600))
    parts = window.snapshot

    def snapshot():
        for part in parts():
            yield part
            window.start = 660

    window.snapshot = snapshot
    survey = await make(window, clock).survey()
    assert (survey.window, survey.series, window.walks) == (660, 600, 2)


async def test_the_series_of_a_metric_are_those_that_did_not_overflow(clock):
    window = Window([*users(400), (series("web", overflow="true"), ROLLUP), (series("other"), ROLLUP)])
    surveyor = make(window, clock)
    assert len([one async for one in surveyor.series_of(WEB)]) == 400
    assert len(await surveyor.rows_of({"web"}, 300)) == 300
