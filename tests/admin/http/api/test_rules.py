"""The rules of a running relay: the route, and `explain` without an argument, which reads it."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace

import msgspec
import pytest
from aiohttp import web

from relay.admin.answers.index import IndexAnswer
from relay.admin.answers.rules import RuleFigures
from relay.admin.http.api.rules import rule_endpoints
from relay.admin.http.endpoint import Access, Endpoint, NoParameters
from relay.config.schema import RuleConfig
from tests.cli.test_commands import run
from tests.support import admin_port
from tests.support.command import call
from tests.support.inprocess import open_relay

RULES = [
    RuleConfig(match="web.*.request.*", metric="web.request", tags={"service": "$1"}, drop_tags=["id"]),
    RuleConfig(regex=r"^jobs\.(.+)$", keep_tags=["a"], drop_tags=["*"], rename_tags={"a": "b"}, namespace="jobs"),
    RuleConfig(match="old.**", type="timer", action="drop"),
    RuleConfig(match="same"),
]
FIGURES = {1: RuleFigures(24, 12_040), 3: RuleFigures(0, 7)}
NAMES = ["new\x1b.name", *(f"name{number}" for number in range(30))]
NAMER = SimpleNamespace(hits=[1204, 0, 3, 1], unmatched=SimpleNamespace(count=7001, names=NAMES))


async def index(_, __):
    return IndexAnswer(version="0.1.0")


INDEX = Endpoint(path="/api/v1/", summary="", handle=index, parameters=NoParameters, access=Access.OPEN)
"""A relay as a client without access sees it."""


@asynccontextmanager
async def serving(*, rules=RULES, namer=NAMER, endpoints=None):
    """Yield the address of an admin port, as the environment of a command names it."""
    cardinality = SimpleNamespace(rules=lambda: FIGURES)
    relay = SimpleNamespace(config=SimpleNamespace(rule=rules), namer=namer, status=None, cardinality=cardinality)
    async with admin_port.serving([INDEX, *(rule_endpoints(relay) if endpoints is None else endpoints)]) as bound:
        yield f"127.0.0.1:{bound[1]}"


async def explain(address: str, *arguments: str):
    return await asyncio.to_thread(call, "explain", *arguments, env={"STATSD_RELAY_ADMIN_LISTEN": address})


async def test_the_table_of_a_running_relay():
    async with serving() as address:
        done = await explain(address)
        shown = json.loads((await explain(address, "--json")).stdout)
    assert (done.returncode, done.stderr) == (0, f"relay {address}, version 0.1.0\n")
    lines = done.stdout.splitlines()
    assert lines[:8] == [
        "RULE  MATCHES             SAMPLES  SERIES  NAMES  DOES",
        "   1  web.*.request.*      12 040      24  1 204  metric web.request, tags service=$1, without id",
        r"   2  regex ^jobs\.(.+)$        0       0      0  never matched: keeps a, without all other tags, ..",
        "   3  old.** (timers)           7       0      3  drops the samples",
        "   4  same                      0       0      1  changes nothing",
        "no rule matched 7 001 times, the newest names first:",
        r"  new\x1b.name",
        "  name0",
    ]
    assert lines[-2:] == ["  name18", "  and 11 more with --json"]
    assert shown["rules"][2] == {
        "number": 3,
        "match": "old.**",
        "regex": "",
        "type": "timer",
        "hits": 3,
        "does": "drops the samples",
        "series": 0,
        "samples": 7,
    }
    assert shown["unmatched"] == {"count": 7001, "names": NAMES}


async def test_the_rules_of_a_real_relay(tmp_path):
    rules = [RuleConfig(match="web.**"), RuleConfig(match="debug.*", action="drop"), RuleConfig(match="never.*")]
    async with open_relay(tmp_path, rule=rules) as running:
        await running.feed(b"web.a:1|c\nweb.b:1:2|c\nweb.a:1|c\nother:1|c\ndebug.x:1:2:3|ms")
        await running.delivered("web.a", 2)
        await running.feed(b"debug.x:4|ms")
        while running.relay.hotpath.dropped_by_rule() != {2: 4}:
            await asyncio.sleep(0.01)
        address = {"STATSD_RELAY_ADMIN_LISTEN": f"127.0.0.1:{running.relay.admin.bound[1]}"}
        done = await asyncio.to_thread(run, "explain", env=address)
        metrics = running.relay.cardinality.rules()
    heading, first, *lines = done.stdout.splitlines()
    assert heading.split() == ["RULE", "MATCHES", "SAMPLES", "SERIES", "NAMES", "DOES"]
    assert first.split()[:3] == ["1", "web.**", "4"]
    assert lines == [
        "   2  debug.*        4       0      1  drops the samples",
        "   3  never.*        0       0      0  never matched: changes nothing",
        "no rule matched 1 time, the newest names first:",
        "  other",
    ]
    assert [figures.samples for figures in metrics.values()] == [4, 4, 0]


async def test_other_rules_count_anew(tmp_path):
    rules = [RuleConfig(match="web.**"), RuleConfig(match="debug.*", action="drop")]
    async with open_relay(tmp_path, rule=rules) as running:
        await running.feed(b"web.a:1|c\ndebug.x:1|c")
        await running.delivered("web.a", 1)
        assert [figures.samples for figures in running.relay.cardinality.rules().values()] == [1, 1]
        changed = msgspec.structs.replace(running.relay.config, rule=rules[1:])
        await running.reconfigure(changed)
        while running.relay.config is not changed:
            await asyncio.sleep(0.01)
        assert [figures.samples for figures in running.relay.cardinality.rules().values()] == [0]


async def test_a_relay_without_rules():
    nobody = SimpleNamespace(hits=[], unmatched=SimpleNamespace(count=0, names=[]))
    async with serving(rules=[], namer=nobody) as address:
        assert (await explain(address)).stdout == "there are no rules\n"


async def test_names_are_for_this_machine_only():
    async with serving() as address:
        host, port = address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /api/v1/rules HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 403")
        writer.close()


async def test_no_relay_or_something_else_answers():
    done = await explain("127.0.0.1:1")
    assert done.returncode == 69
    states = "/var/lib/statsd-relay/state or /nonexistent/.local/state/statsd-relay"
    assert done.stderr.splitlines() == [
        f"error RLY101  no relay answers on 127.0.0.1:1 (Connection refused); none holds the state directory {states}",
        "      fix: start the relay; or name its admin port with --admin HOST:PORT, or its file with -c FILE",
    ]
    done = await explain("")
    assert done.returncode == 69
    assert done.stderr.startswith("error RLY101  no admin port is configured; none holds the state directory ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<html>", "is not a relay of this release: JSON is malformed"),
        ("[]", "is not a relay of this release: Expected `object`"),
        (None, "answers 404: unknown path"),
    ],
)
async def test_another_server_answers(text, said):
    async def page(*_: object) -> web.Response:
        return web.Response(text=text)

    other = Endpoint(path="/api/v1/rules", summary="", handle=page, parameters=NoParameters)
    async with serving(endpoints=[other] if text else []) as address:
        done = await explain(address)
    assert done.returncode == 69
    assert said in done.stderr


async def test_the_console_of_another_daemon_answers():
    async def console(reader, writer) -> None:
        await reader.readline()
        writer.write(b"ERROR\n")
        writer.close()

    server = await asyncio.start_server(console, "127.0.0.1", 0)
    async with server:
        done = await explain(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert done.returncode == 69
    assert "no relay answers on 127.0.0.1" in done.stderr
