"""Series and tags of a running relay, over HTTP."""

from __future__ import annotations

import asyncio
import time

import pytest

from relay.config.schema import LimitsConfig, RuleConfig
from tests.support.admin_port import fetch
from tests.support.inprocess import LONG_WINDOWS, open_relay


async def get(running, path):
    status, _, answer = await fetch(running.relay.admin.bound, path)
    return status, answer


async def named(running, series: int):
    """Wait until the open window has so many series."""
    until = time.monotonic() + 20
    while running.relay.hotpath.tally().series < series:
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


def requests(count: int, name: bytes = b"web.req"):
    return b"\n".join(b"%b:1|c|#request_id:%d,path:p%d" % (name, number, number % 4) for number in range(count))


async def test_the_tag_that_makes_a_metric_many_and_the_rule_that_removes_it(tmp_path):
    rules = [RuleConfig(match="other"), RuleConfig(match="web.**", tags={"app": "$1"})]
    async with open_relay(tmp_path, window=LONG_WINDOWS, rule=rules) as running:
        await running.feed(requests(60), b"web.time:12|ms\nweb.time:48|ms\nq:1|g")
        await named(running, 62)
        status, answer = await get(running, "/api/v1/series?top=2")
    assert status == 200
    assert (answer["window"], answer["series"], answer["series_limit"]) == (None, 62, 50_000)
    assert answer["growth"] is None
    web, time_ = answer["rows"]
    assert (web["metric"], web["type"], web["series"], web["namespace"]) == ("web.req", "counter", 60, "statsd")
    assert [(tag["key"], tag["values"]) for tag in web["tags"]][:2] == [("request_id", 60), ("path", 4)]
    assert web["tags"][0]["examples"] == ["0", "1", "2"]
    assert (time_["last"], time_["p95"], time_["tags"]) == (48, 48, [])
    assert answer["others"] == {"metrics": 1, "series": 1, "share": pytest.approx(1 / 62), "growth": None}
    proposal = answer["proposal"]
    assert (proposal["tag"], proposal["before"], proposal["after"], proposal["is_exact"]) == ("request_id", 60, 4, True)
    assert (proposal["number"], proposal["replaces"], proposal["pattern"]) == (2, False, "web.**")
    assert proposal["toml"] == ('[[rule]]\nmatch = "web.req"\ntags = { app = "req" }\ndrop_tags = ["request_id"]')


async def test_counts_are_those_of_the_last_closed_window(tmp_path):
    async with open_relay(tmp_path) as running:
        await running.feed(requests(60), b"q:1|g")
        await running.delivered("web.req", 60)
        answer = (await get(running, "/api/v1/series?glob=w*q&by=samples"))[1]
    assert answer["window"].endswith("+00:00")
    assert answer["requests"] >= 1
    assert answer["requests_limit"] == 15
    assert [row["metric"] for row in answer["rows"]] in ([], ["web.req"]), "the window after may be the last one"


async def test_a_metric_in_overflow_has_its_code(tmp_path):
    limits = LimitsConfig(series_per_metric=10)
    async with open_relay(tmp_path, window=LONG_WINDOWS, limits=limits) as running:
        await running.feed(requests(60))
        await named(running, 11)
        [row] = (await get(running, "/api/v1/series"))[1]["rows"]
    assert (row["series"], row["code"]) == (11, "RLY310")


async def test_names_as_received(tmp_path):
    async with open_relay(tmp_path, window=LONG_WINDOWS, rule=[RuleConfig(match="old.*", metric="new.$1")]) as running:
        await running.feed(b"old.a:1|c\nweb-1.hits:1|c\nplain:1|c\nplain:1|g")
        await named(running, 4)
        rows = (await get(running, "/api/v1/series"))[1]["rows"]
    assert {row["metric"]: row["received"] for row in rows} == {
        "new.a": "old.a",
        "web_1.hits": "web-1.hits",
        "plain": "plain",
        "plain.gauge": "plain",
    }


async def test_tags(tmp_path):
    async with open_relay(tmp_path, window=LONG_WINDOWS) as running:
        await running.feed(requests(20), requests(30, b"web.big"), requests(5, b"web.small"))
        await named(running, 55)
        answer = (await get(running, "/api/v1/tags?top=2"))[1]
    first, second = answer["tags"]
    assert (first["key"], first["values"], first["metric"], first["metrics"]) == ("request_id", 30, "web.big", 3)
    assert (second["key"], second["values"], answer["others"], answer["walked"]) == ("path", 4, 1, 55)


@pytest.mark.parametrize(
    "path", ["/api/v1/series?by=size", "/api/v1/series?top=0", "/api/v1/series?top=1001", "/api/v1/series?gob=x",
             "/api/v1/series?glob=" + 256 * "x", "/api/v1/tags?glob=x"],
)  # fmt: skip
async def test_a_wrong_query(tmp_path, path):
    async with open_relay(tmp_path) as running:
        status, answer = await get(running, path)
    assert (status, answer["error"]["code"]) == (400, "bad_request")


@pytest.mark.parametrize("path", ["/api/v1/series", "/api/v1/tags"])
async def test_a_foreign_page_sees_no_name(tmp_path, path):
    async with open_relay(tmp_path) as running:
        status, _, answer = await fetch(running.relay.admin.bound, path, headers={"Origin": "http://evil.example"})
    assert (status, answer["error"]["code"]) == (403, "forbidden")


async def test_a_glob_that_costs_much_does_not_hold_the_relay(tmp_path):
    async with open_relay(tmp_path, window=LONG_WINDOWS) as running:
        await running.feed(b"a" * 250 + b":1|c")
        await named(running, 1)
        status, answer = await asyncio.wait_for(get(running, "/api/v1/series?glob=" + "*a" * 120 + "b"), 5)
    assert (status, answer["rows"]) == (200, [])
