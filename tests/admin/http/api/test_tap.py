"""Taps over HTTP: every line with what becomes of it, the account at the end, and readers that are slow or gone."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import msgspec
import pytest

from relay.admin.answers.tap import TapEvent, TapLine, TapNothing, TapPoint, TapStart, TapTotals
from relay.config.schema import LimitsConfig, ListenConfig, RuleConfig
from tests.support import admin_port, hotpath
from tests.support.inprocess import LONG_WINDOWS, open_relay

EVENTS = msgspec.json.Decoder(TapEvent)


class Reader:
    """One reader of a tap, over a socket of its own."""

    def __init__(self, address, *, accept: str = "", buffer: int = 0, **query) -> None:
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.connect(address)
        accepts = f"Accept: {accept}\r\n" if accept else ""
        head = f"GET /api/v1/tap?{urlencode(query)} HTTP/1.1\r\nHost: 127.0.0.1\r\n{accepts}Connection: close\r\n\r\n"
        self.socket.sendall(head.encode())

    async def open(self) -> Reader:
        """Wait for the head of the answer and the first event."""
        self.reader, self.writer = await asyncio.open_connection(sock=self.socket)
        self.head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode()
        self.start = await self.event()
        return self

    async def text(self) -> bytes:
        """Return the next chunk of the body."""
        size = int(await asyncio.wait_for(self.reader.readline(), 15), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def event(self):
        return EVENTS.decode(await self.text())

    async def all(self) -> list:
        """Return the events until the end, without the totals of each second."""
        events = []
        while not (isinstance(event := await self.event(), TapTotals) and event.is_last):
            events += [] if isinstance(event, TapTotals) else [event]
        return [*events, event]

    async def __aenter__(self) -> Reader:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()


@asynccontextmanager
async def relay(tmp_path, **changes):
    async with open_relay(tmp_path, **{"window": LONG_WINDOWS, **changes}) as running:
        yield running


def tap(running, **query) -> Reader:
    return Reader(running.relay.admin.bound, **query)


async def until(condition, *, seconds: float = 15) -> None:
    for _ in range(round(seconds / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come to that")


def account(end: TapTotals) -> tuple[int, ...]:
    assert end.matched == end.shown + end.hidden + end.lost
    return end.received, end.matched, end.shown, end.hidden, end.lost


async def named(running, *lines: bytes) -> None:
    """Feed lines until their names are known."""
    await running.feed(*lines)
    await until(
        lambda: not running.relay.hotpath.unresolved(1) and running.relay.hotpath.tally().received >= len(lines)
    )


async def test_each_line_with_what_becomes_of_it(tmp_path):
    rules = [RuleConfig(match="web.debug.**", action="drop"), RuleConfig(match="old.*", metric="new.$1", namespace="n")]
    limits = LimitsConfig(series_per_metric=1)
    async with relay(tmp_path, rule=rules, limits=limits) as running:
        await named(running, b"req:1|c|#id:1")
        async with tap(running, seconds="1.5") as reader:
            await running.feed(
                b"web.hits:1|c|#env:prod\r\nweb.time:abc|ms\nweb.debug.sql:3|ms\nold.a:1|g\n_e{1,1}:a|b",
                b"req:1|c|#id:2\nstatsd_relay.up:1|c\n\xff\x1b:1|q\nlate:1|c|T1600000000\nbroken:1|c|@x:2",
            )
            *lines, end = await reader.all()
    assert isinstance(reader.start, TapStart)
    assert (reader.start.of, reader.start.rate, reader.start.host) == ("all", 20, "test")
    assert "content-type: application/x-ndjson" in reader.head.lower()
    assert [(one.line, one.verdict, one.reason, one.explanation) for one in lines] == [
        ("web.hits:1|c|#env:prod", "accepted", "", ""),
        ("web.time:abc|ms", "rejected", "bad_value", '"abc" is no number'),
        ("web.debug.sql:3|ms", "dropped", "rule", "by rule 1"),
        ("old.a:1|g", "accepted", "", ""),
        ("_e{1,1}:a|b", "event", "", ""),
        ("req:1|c|#id:2", "accepted", "", ""),
        (
            "statsd_relay.up:1|c",
            "rejected",
            "reserved_name",
            "names that begin like this are the relay's own: [telemetry] prefix",
        ),
        ("\\xff\x1b:1|q", "rejected", "bad_type", '"q" is no type: c g ms h d s'),
        ("late:1|c|T1600000000", "dropped", "too_old", "its time is older than [cloud] max_age"),
        ("broken:1|c|@x:2", "rejected", lines[9].reason, lines[9].explanation),
    ]
    hits, old, overflow = lines[0], lines[3], lines[5]
    assert (hits.type, hits.namespace, hits.metric) == ("counter", "statsd", "web.hits")
    assert (hits.dimensions, hits.sender) == ({"env": "prod", "host": "test"}, "127.0.0.1")
    assert (old.namespace, old.metric, old.rule, old.pattern) == ("n", "new.a", 2, "old.*")
    assert (overflow.code, overflow.dimensions["overflow"]) == ("RLY310", "true")
    assert (lines[2].rule, lines[2].pattern, lines[1].column) == (1, "web.debug.**", 9)
    assert account(end) == (10, 10, 10, 0, 0)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"glob": "web.*"}, ["web.a:1|c|#env:prod", "web.bad:x|c"]),
        ({"of": "rejected"}, ["web.bad:x|c"]),
        ({"of": "rejected", "glob": "db.*"}, []),
        ({"of": "dropped"}, ["debug.a:1|c", "debug.b:1|c"]),
        ({"of": "dropped", "glob": "*.b"}, ["debug.b:1|c"]),
        ({"tag": "env=prod"}, ["web.a:1|c|#env:prod"]),
        ({"from": "127.0.0.0/8", "glob": "db.*"}, ["db.a:1|c"]),
        ({"from": "10.0.0.1"}, []),
    ],
)
async def test_a_filter(tmp_path, query, wanted):
    async with relay(tmp_path, rule=[RuleConfig(match="debug.**", action="drop")]) as running:
        await named(running, b"debug.a:1|c")
        async with tap(running, seconds="1", **query) as reader:
            await running.feed(b"web.a:1|c|#env:prod\nweb.bad:x|c\ndb.a:1|c\ndebug.a:1|c\ndebug.b:1|c")
            *lines, end = await reader.all()
    assert [one.line for one in lines] == wanted
    assert account(end) == (5, len(wanted), len(wanted), 0, 0)


async def test_what_the_rate_hides_is_counted(tmp_path):
    async with relay(tmp_path) as running, tap(running, seconds="1", rate="5") as reader:
        await running.feed(b"\n".join(b"a:%d|c" % number for number in range(50)))
        *lines, end = await reader.all()
    assert [one.line for one in lines] == [f"a:{number}|c" for number in range(5)]
    assert account(end) == (50, 50, 5, 45, 0)


async def test_points_as_they_are_sent_with_the_answer(tmp_path):
    async with open_relay(tmp_path) as running:
        await running.feed(b"other:1|c")
        async with tap(running, of="sent", glob="web.*", tag="env=prod", seconds="4") as reader:
            await running.feed(b"web.hits:3|c|#env:prod\nweb.hits:1|c|#env:test\nother:1|c")
            await running.delivered("web.hits", 4)
            point = await reader.event()
            while not isinstance(point, TapPoint):
                point = await reader.event()
    assert (point.metric, point.dimensions, point.values["sum"]) == ("web.hits", {"env": "prod", "host": "test"}, 3)
    assert (point.outcome, point.detail) == ("accepted", "")
    assert point.request_id
    assert running.relay.requests.watchers == []


async def test_without_a_match_it_says_what_came_instead(tmp_path, monkeypatch):
    monkeypatch.setattr("relay.admin.http.api.tap._QUIET", 0.5)
    async with relay(tmp_path) as running:
        await named(running, b"web.hits:1|c")
        async with tap(running, glob="web.hit?", seconds="2") as reader:
            await running.feed(b"web.hits.total:1|c")
            told, end = await reader.all()
        async with tap(running, glob="web.hit", seconds="2") as reader:
            await running.feed(b"web.hits:1|c\nx:1|c")
            told, end = await reader.all()
    assert isinstance(told, TapNothing)
    assert (told.received, told.near[0]) == (2, "web.hits")
    assert account(end) == (2, 0, 0, 0, 0)


async def test_server_sent_events(tmp_path):
    async with relay(tmp_path) as running:
        reader = tap(running, accept="text/event-stream", seconds="1")
        reader.reader, reader.writer = await asyncio.open_connection(sock=reader.socket)
        head = await reader.reader.readuntil(b"\r\n\r\n")
        await running.feed(b"a:1|c")
        texts = [await reader.text() for _ in range(2)]
        reader.writer.close()
    assert b"text/event-stream" in head
    kinds, found = zip(*(text.decode().rstrip().split("\ndata: ") for text in texts), strict=True)
    assert kinds == ("event: start", "event: line")
    assert [json.loads(text)["event"] for text in found] == ["start", "line"]
    assert all(text.endswith(b"\n\n") for text in texts)


async def test_four_taps_and_a_fifth(tmp_path):
    async with relay(tmp_path) as running:
        kinds = ({}, {"of": "rejected"}, {"of": "dropped"}, {"of": "sent"})
        readers = [await tap(running, **kind).open() for kind in kinds]
        status, _, answer = await admin_port.fetch(running.relay.admin.bound, "/api/v1/tap")
        assert (status, answer["error"]["message"]) == (503, "4 taps are open, which is the most")
        readers[3].writer.close()
        await until(lambda: not running.relay.requests.watchers)
        async with tap(running) as again:
            assert isinstance(again.start, TapStart)
        for reader in readers:
            reader.writer.close()


async def test_a_reader_that_is_gone_ends_its_tap(tmp_path):
    async with relay(tmp_path) as running:
        reader = await tap(running).open()
        found = running.relay.hotpath
        assert found.tapped(0)
        reader.writer.transport.abort()

        def is_closed() -> bool:
            try:
                found.tapped(0)
            except ValueError:
                return True
            return False

        await until(is_closed, seconds=10)


async def test_a_slow_reader_loses_copies_and_no_sample(tmp_path):
    long = b"|#" + b"x" * 4000
    async with relay(tmp_path) as running:
        reader = await tap(running, buffer=4096, rate="1000", seconds="9").open()
        reader.reader._limit = 1024  # the client stops reading at once
        await asyncio.sleep(0)
        reader.writer.transport.pause_reading()
        for _ in range(30):
            await running.feed(*[b"a:1|c" + long] * 100)
            await asyncio.sleep(0.1)
        reader.reader._limit = 1 << 16
        reader.writer.transport.resume_reading()
        *lines, end = await reader.all()
        assert running.relay.hotpath.tally().samples_accepted == 3000
        reader.writer.close()
    assert end.received == end.matched == 3000
    assert end.matched == end.shown + end.hidden + end.lost
    assert end.lost > 0
    assert len([one for one in lines if isinstance(one, TapLine)]) == end.shown < 3000


async def test_a_stop_ends_a_tap_with_its_account(tmp_path):
    async with relay(tmp_path) as running:
        reader = await tap(running).open()
        await running.feed(b"a:1|c\nb:1|c")
        running.relay.stop()
        *_, end = await reader.all()
        reader.writer.close()
    assert account(end) == (2, 2, 2, 0, 0)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("limit=3", "unknown parameter limit"),
        ("rate=0", "rate must be a whole number, at least 1"),
        ("rate=1001", "rate must be a whole number, at most 1000"),
        ("of=lost", "of must be all or dropped or rejected or sent"),
        ("seconds=0", "seconds must be a number, above 0"),
        ("tag=x", "tag: must be key=value"),
        ("tag==x", "tag: must be key=value"),
        ("from=nowhere", "does not appear to be an IPv4 or IPv6"),
        ("of=sent&from=10.0.0.1", "a point that is sent has no sender"),
        ("glob=" + "x" * 256, "glob must be a text, at most 255 characters long"),
        ("glob=%00", "no NUL"),
    ],
)
async def test_a_wrong_query_opens_no_tap(tmp_path, query, said):
    async with relay(tmp_path) as running:
        for _ in range(5):
            status, _, answer = await admin_port.fetch(running.relay.admin.bound, f"/api/v1/tap?{query}")
            assert (status, said in str(answer["error"])) == (400, True), answer


async def test_lines_are_for_this_machine_only(tmp_path):
    async with relay(tmp_path) as running:
        headers = {"X-Forwarded-For": "192.0.2.1"}
        status, *_ = await admin_port.fetch(running.relay.admin.bound, "/api/v1/tap", headers=headers)
        assert status in (401, 403)


async def test_a_unix_socket_and_a_denied_sender(tmp_path):
    unix = tmp_path / "socket"
    listen = ListenConfig(udp=["127.0.0.1:0"], unix=[f"dgram:{unix}"], allow=["10.0.0.0/8"], hotpath=hotpath.chosen)
    async with relay(tmp_path, listen=listen) as running, tap(running, seconds="1") as reader:
        await running.feed(b"a:1|c")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"b:1|c", str(unix))
        *lines, end = await reader.all()
    assert [(one.sender, one.verdict, one.reason) for one in lines] == [
        ("127.0.0.1", "rejected", "source_denied"),
        (f"unix-dgram:{unix}", "accepted", ""),
    ]
    assert account(end) == (2, 2, 2, 0, 0)
