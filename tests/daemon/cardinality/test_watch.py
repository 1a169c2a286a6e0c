"""Which tag explodes, from any window that overflowed; reported once a minute."""

from __future__ import annotations

import dataclasses

import pytest
from structlog.testing import capture_logs

from relay.daemon.cardinality.watch import CardinalityWatch, Explosion
from relay.model import Kind, Peer, Series, TopSender
from tests.support.context import make_context
from tests.test_ledger import TALLY

OVERFLOW = (("host", "h"), ("overflow", "true"))


def series(metric: str, **tags) -> Series:
    return Series(metric, tuple(sorted({"host": "h", **tags}.items())), Kind.COUNTER)


def overflow(metric: str) -> Series:
    return Series(metric, OVERFLOW, Kind.COUNTER)


class Window:
    """A source whose window is a list."""

    def __init__(self, rows) -> None:
        self.rows = rows
        self.overflowed = self.unread = 0
        self.longest = 0
        self.brought = []

    def tally(self):
        return dataclasses.replace(TALLY, samples_overflow=self.overflowed, tags_unread=self.unread)

    def top_senders(self):
        brought, self.brought = self.brought, []
        return brought

    def list_series(self, first: int, count: int):
        self.longest = max(self.longest, count)
        return self.rows[first : first + count]


ORDINARY = [series(f"m{n}", region="r", zone=f"z{n % 3}") for n in range(100)]
USERS = [series("web.hits", user=f"u{n}", zone=f"z{n % 3}") for n in range(900)]


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([*ORDINARY, *USERS, overflow("web.hits")], Explosion("web.hits", "user", 900)),
        ([overflow("web.hits"), *USERS, *ORDINARY], Explosion("web.hits", "user", 900)),
        (
            [*(series(f"n{n // 3}", id=str(n)) for n in range(3000)), overflow("n7"), overflow("n8")],
            Explosion("n7", "id", 3000),
        ),
        (
            [*(series(f"n{n // 3}", id=str(n)) for n in range(3000)), overflow("statsd_relay.overflow.counter")],
            Explosion("n0", "id", 3000),
        ),
        (
            [*(series(f"user.{n}.logins") for n in range(500)), *USERS[:50], overflow("statsd_relay.overflow.counter")],
            Explosion("user.*", "", 500),
        ),
    ],
)
async def test_the_cause_of_an_overflow(rows, found, clock):
    source = Window(rows)
    source.overflowed = 7
    with capture_logs() as logs:
        await CardinalityWatch(source, make_context(clock)).check()
    [log] = logs
    assert (log["metric"], log["tag"], log["values"], log["samples"]) == (*found, 7)
    assert source.longest <= 250


async def test_a_window_that_has_just_begun_shows_no_cause_and_the_next_check_does(clock):
    source = Window(ORDINARY)
    watch = CardinalityWatch(source, make_context(clock))
    with capture_logs() as logs:
        await watch.check()
        source.overflowed = 5
        await watch.check()
        assert logs == []
        source.rows = [*USERS, overflow("web.hits")]
        await watch.check()
        source.overflowed = 8
        clock.advance(59)
        await watch.check()
        assert [log["samples"] for log in logs] == [5], "once a minute"
        clock.advance(1)
        await watch.check()
        await watch.check()
    assert [log["samples"] for log in logs] == [5, 3]


async def test_the_scan_is_bounded(clock):
    source = Window([overflow("a"), *(series("a", n=str(n)) for n in range(150_000))])
    source.overflowed = 1
    with capture_logs() as logs:
        await CardinalityWatch(source, make_context(clock)).check()
    assert logs[0]["values"] == 99_999


async def test_an_overflow_that_cannot_be_seen_is_reported_all_the_same(clock):
    source = Window(USERS)
    source.overflowed = 5
    watch = CardinalityWatch(source, make_context(clock))
    with capture_logs() as logs:
        await watch.check()
        clock.advance(9)
        await watch.check()
        assert logs == []
        clock.advance(1)
        await watch.check()
    assert (logs[0]["tag"], logs[0]["samples"]) == ("user", 5)


async def test_the_sender_of_new_names_is_named_with_what_overflows_and_with_tags_that_are_not_read(clock):
    source = Window([*USERS, overflow("web.hits")])
    watch = CardinalityWatch(source, make_context(clock))
    source.brought = [
        TopSender(Peer("192.0.2.7", 4711), 900, 90_000, b"web.\xff", b"user\n:1,b:2"),
        TopSender(None, 1, 100, b"x", b""),
    ]
    with capture_logs() as logs:
        await watch.check()
        source.overflowed, source.unread = 900, 5
        await watch.check()
    assert [(log["code"], log.get("samples") or log["tags"], log["sender"]) for log in logs] == [
        ("RLY303", 5, "192.0.2.7:4711"),
        ("RLY310", 900, "192.0.2.7:4711"),
    ]
    assert (logs[0]["metric"], logs[0]["tag"]) == ("web.\\xff", "user\\n")
    assert (logs[1]["metric"], logs[1]["tag"]) == ("web.hits", "user")


async def test_a_new_window_with_few_series_names_the_sender_instead(clock):
    source = Window([series("victim.hits"), overflow("statsd_relay.overflow.counter")])
    source.brought, source.overflowed = [TopSender(None, 900, 90_000, b"flood.n1", b"id:1")], 900
    with capture_logs() as logs:
        await CardinalityWatch(source, make_context(clock)).check()
    assert (logs[0]["metric"], logs[0]["tag"], logs[0]["sender"]) == ("flood.n1", "id", "a Unix socket")
