"""The text commands against a real relay; test_reference.py compares them with the reference daemon."""

from __future__ import annotations

import asyncio
import gc
import re
import time
from types import SimpleNamespace

import msgspec
import pytest

from relay.admin.console.commands import Console
from relay.admin.console.maps import MOST, Maps
from relay.config.schema import AdminConfig, CloudConfig, LimitsConfig, RuleConfig
from relay.config.types import Secret
from relay.model import Kind
from tests.support.inprocess import LONG_WINDOWS, open_relay

ANYWHERE, HERE = ("help", "health", "stats"), ("counters", "timers", "gauges", "config")
MANY = LimitsConfig(series=30_000, series_per_metric=30_000)


async def ask(running, command: str, *, is_local: bool = True) -> str:
    await named(running)
    return "".join([text async for text in Console(running.relay).answer(command, is_local=is_local)])


async def named(running) -> None:
    """Wait until every line has its series: at most 0.1 s."""
    while running.relay.hotpath.unresolved(1):
        await asyncio.sleep(0.01)


async def test_commands_for_remote_clients(tmp_path):
    async with open_relay(tmp_path, window=LONG_WINDOWS) as running:
        await running.feed(b"a:1|c\nbad")
        for command in ANYWHERE:
            assert await ask(running, command, is_local=False) == await ask(running, command)
        for command in (*HERE, "delcounters a", "deltimers a", "delgauges a", "nonsense", "quit", ""):
            assert await ask(running, command, is_local=False) == "ERROR\n"
        assert await ask(running, "counters") == "{ a: 1 }\nEND\n\n"


async def test_health_is_set_on_this_machine_only_and_is_visible(tmp_path):
    async with open_relay(tmp_path) as running:
        assert await ask(running, "health down", is_local=False) == "health: up\n"
        assert await ask(running, "health DOWN now") == "health: down\n"
        assert await ask(running, "health sideways") == "health: down\n"
        assert await ask(running, "health", is_local=False) == "health: down\n"
        assert running.relay.status.healthy()[0]
        assert running.relay.status.ready()[0]
        assert await ask(running, "health up") == "health: up\n"


async def test_the_figures_of_stats(tmp_path):
    async with open_relay(tmp_path) as running:
        before = figures(await ask(running, "stats"))
        assert before["messages.bad_lines_seen"] == 0
        assert before["messages.last_msg_seen"] == before["jdcloud.last_flush"] == before["uptime"]
        assert before["jdcloud.last_exception"] > 1_700_000_000
        assert before["jdcloud.flush_length"] == before["jdcloud.flush_time"] == 0
        await running.feed(b"a:1|c\nbad")
        while not running.relay.context.ledger.request_bytes:  # the cloud has it before its answer is here
            await asyncio.sleep(0.01)
        after = figures(await ask(running, "stats"))
        assert list(after) == list(before)
        assert after["messages.bad_lines_seen"] == 1
        assert after["messages.last_msg_seen"] <= after["uptime"] + 1
        assert after["jdcloud.flush_length"] > 100


def figures(reply: str) -> dict[str, int]:
    assert re.fullmatch(r"(\w+(\.\w+)?: \d+\n)+END\n\n", reply)
    return {name: int(value) for name, value in (line.split(": ") for line in reply.splitlines()[:-2])}


async def test_names_with_tags_are_shown_and_deleted_as_a_line_may_call_them(tmp_path):
    async with open_relay(tmp_path, window=LONG_WINDOWS, tags={"host": "web-1", "env": "prod"}) as running:
        await running.feed(b"req:1|c\nreq:2|c|#code:200\nreq:3|c|#env:dev,code:500\nlat:9|ms|#code:200\n")
        shown = "{ req: 1, 'req;code=200': 2, 'req;code=500;env=dev': 3 }\nEND\n\n"
        assert await ask(running, "counters") == shown
        await running.feed(b"req;code=500;env=dev:4|c")
        assert await ask(running, "counters") == shown.replace(": 3", ": 7")
        assert await ask(running, "delcounters req;code=200") == "deleted: req;code=200\nEND\n\n"
        assert await ask(running, "delcounters lat;code=200") == "metric lat;code=200 not found\nEND\n\n"
        assert await ask(running, "deltimers lat;code=200") == "deleted: lat;code=200\nEND\n\n"
        assert await ask(running, "counters") == "{ req: 1, 'req;code=500;env=dev': 7 }\nEND\n\n"
        assert running.relay.hotpath.tally().samples_dropped == {"forgotten": 2}


async def test_a_gauge_is_shown_while_it_is_idle_and_deleted_for_good(tmp_path):
    async with open_relay(tmp_path) as running:
        await running.feed(b"depth:5|g\nlevel:1.5|g")
        while not running.relay.context.ledger.windows_closed:
            await asyncio.sleep(0.02)
        assert await ask(running, "gauges") == "{ depth: 5, level: 1.5 }\nEND\n\n"
        assert await ask(running, "delgauges depth") == "deleted: depth\nEND\n\n"
        await running.feed(b"depth:+2|g")
        assert await ask(running, "gauges") in (
            "{ level: 1.5, depth: 2 }\nEND\n\n",
            "{ depth: 2, level: 1.5 }\nEND\n\n",
        )


async def test_settings_are_shown_without_secrets(tmp_path):
    cloud = CloudConfig(proxy="http://me:p/@hunter2@proxy:3128", secret_key=Secret("canary-s3cret-key"))
    async with open_relay(tmp_path, tags={"host": "test", "env": "x"}) as running:
        changes = {
            "cloud": cloud,
            "admin": AdminConfig(hosts=["a.example", "b.example"]),
            "rule": [RuleConfig(match="a.*")],
        }
        config = msgspec.structs.replace(running.relay.config, **changes)
        running.relay.config = config
        reply = await ask(running, "config")
    assert "cloud > proxy: http://***@proxy:3128\n" in reply
    assert "cloud > secret_key: ***\n" in reply
    assert "admin > hosts: a.example,b.example\n" in reply
    assert "tags > env: x\n" in reply
    assert 'rule > 1: {"match":"a.*",' in reply
    assert "window > percentiles: 95\n" in reply
    assert re.fullmatch(r"\n(\w+ > \w+: .*\n)+", reply)
    assert "s3cret" not in reply
    assert "hunter2" not in reply


class Stopwatch:
    """The longest step of the loop, in CPU seconds of its thread, so that other processes do not count."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def run(self) -> None:
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest, last = max(self.longest, now - last), now


@pytest.fixture
def calm():
    """A relay in its own process excludes the tables from full garbage collections (daemon/main.py)."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def test_a_long_map_is_bounded_and_does_not_block_the_loop(tmp_path, calm):
    count = MOST + 2_000
    names = [b"name.of.metric%d:1|c" % number for number in range(count)]
    async with open_relay(tmp_path, window=LONG_WINDOWS, limits=MANY) as running:
        await running.feed(*(b"\n".join(names[first : first + 100]) for first in range(0, count, 100)))
        await named(running)
        watch = Stopwatch()
        watching = asyncio.create_task(watch.run())
        shown = await ask(running, "counters")
        assert shown.count("name.of.metric") == MOST
        assert shown.endswith("  ... 2000 more items\n}\nEND\n\n")
        assert (await ask(running, "delcounters name.of.*")).count("deleted: name.of.metric") == count
        watching.cancel()
        assert await ask(running, "counters") == "{}\nEND\n\n"
        assert running.relay.hotpath.tally().samples_dropped == {"forgotten": count}
    assert watch.longest < 0.02


class Hasty:
    """A clock that ends every slice at once."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        self._now += 1
        return self._now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def test_one_map_is_made_at_a_time_and_an_unread_reply_blocks_no_other(tmp_path):
    """Maps are made in slices of a few milliseconds: the slices of many maps in one turn would block the loop."""
    async with open_relay(tmp_path, window=LONG_WINDOWS) as running:
        await running.feed(b"\n".join(b"a%d:1|c" % number for number in range(300)))
        await named(running)
        relay, at_work, most = running.relay, 0, 0

        def snapshot():
            nonlocal at_work, most
            at_work += 1
            for part in relay.hotpath.snapshot():
                most = max(most, at_work)
                yield part
            at_work -= 1

        maps = Maps(
            SimpleNamespace(
                config=relay.config,
                context=SimpleNamespace(clock=Hasty()),
                hotpath=SimpleNamespace(snapshot=snapshot),
                idle=relay.idle,
            )
        )
        unread = maps.show(Kind.COUNTER)
        await anext(unread)

        async def ask_all() -> str:
            return "".join([text async for text in maps.show(Kind.COUNTER)])

        replies = await asyncio.gather(*(ask_all() for _ in range(20)))
        assert set(replies) == {replies[0]}
        assert replies[0].count("a") == 300
        await unread.aclose()
    assert most == 1


async def test_the_window_may_close_while_a_map_is_made(tmp_path):
    names = b"\n".join(b"a.n%d:1|c" % number for number in range(300))
    async with open_relay(tmp_path, limits=MANY) as running:
        closed = running.relay.context.ledger.windows_closed
        await running.feed(names)
        while running.relay.context.ledger.windows_closed < closed + 2:
            assert (await ask(running, "counters")).endswith("END\n\n")
            assert (await ask(running, "delcounters a.n1*")).endswith("END\n\n")
            assert (await ask(running, "delcounters a.*")).endswith("END\n\n")
            await running.feed(names)
