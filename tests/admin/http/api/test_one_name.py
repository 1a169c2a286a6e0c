"""What a running relay says about one name, over HTTP; it always answers."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import quote

import pytest

from relay.config.schema import AdminConfig, LimitsConfig, ListenConfig, NamesConfig, RuleConfig
from relay.config.types import Size
from relay.tools.emulator.faults import Fault
from tests.support import hotpath
from tests.support.admin_port import fetch
from tests.support.inprocess import LONG_WINDOWS, open_relay

RULES = [RuleConfig(match="debug.**", action="drop"), RuleConfig(match="old.*", metric="new.$1")]


async def describe(running, name: str):
    status, _, answer = await fetch(running.relay.admin.bound, f"/api/v1/series/{quote(name, safe='')}")
    assert status == 200, answer
    return answer


async def until(condition):
    ends = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends
        await asyncio.sleep(0.01)


async def settled(running):
    """Wait until a window is closed and nothing waits."""
    ledger = running.relay.context.ledger
    await until(
        lambda: ledger.points_created and ledger.points_created == ledger.points_delivered + ledger.points_refused
    )


async def test_a_series_shows_its_points_as_sent_with_the_answer_and_the_open_window(tmp_path):
    async with open_relay(tmp_path, rule=RULES, names=NamesConfig(prefix="shop")) as running:
        await running.feed(b"old.a:3|c|#env:prod\nold.a:4|c|#env:prod")
        await running.delivered("shop.new.a", 7)
        await settled(running)
        await running.feed(b"old.a:5|c|#env:prod")
        await until(lambda: running.relay.hotpath.tally().series == 1)
        answers = [await describe(running, name) for name in ("old.a", "shop.new.a")]
    for answer in answers:
        assert (answer["verdict"], answer["sentence"], answer["code"]) == ("sent", "1 series", "")
        assert (answer["metrics"], answer["others"]) == (["shop.new.a"], 0)
        [series] = answer["series"]
        assert (series["namespace"], series["dimensions"]) == ("statsd", {"env": "prod", "host": "test"})
        point = series["points"][-1]
        assert (point["values"]["sum"], point["outcome"], point["detail"]) == (7, "accepted", "")
        assert point["request_id"].startswith("emulator-")
        assert point["window"] < point["at"]
    assert answers[0]["rules"] == [
        {"number": 2, "pattern": "old.*", "place": "", "types": ["counter", "timer", "gauge", "set"], "drops": False}
    ]
    assert answers[1]["received"] in (["old.a"], []), "the window with the line may have ended meanwhile"


async def test_the_open_window(tmp_path):
    async with open_relay(tmp_path, window=LONG_WINDOWS) as running:
        await running.feed(b"web.time:12|ms\nweb.time:48|ms")
        await until(lambda: running.relay.hotpath.tally().series == 1)
        answer = await describe(running, "web.time")
    [series] = answer["series"]
    assert series["type"] == "timer"
    assert series["open"] == {"samples": 2, "count": 2, "sum": 60, "min": 12, "max": 48, "last": 48}
    assert series["points"] == []
    assert 0 <= answer["last_packet"] < 20


async def test_a_refused_point_has_the_words_of_the_cloud(tmp_path):
    names = [f"web.hits{number}" for number in range(15)]
    async with open_relay(tmp_path) as running:
        running.emulator.add_fault(Fault.parse("partial:1"))
        await running.feed("\n".join(f"{name}:1|c" for name in names).encode())
        await until(lambda: running.relay.context.ledger.points_refused)
        await settled(running)
        [refused] = set(names) - {point["metric"] for point in running.emulator.received}
        answer = await describe(running, refused)
    [point] = answer["series"][0]["points"]
    assert (point["outcome"], point["detail"]) == ("refused", "emulated refusal")


async def test_a_point_that_waits(tmp_path):
    async with open_relay(tmp_path) as running:
        running.emulator.add_fault(Fault.parse("503"))
        await running.feed(b"web.hits:1|c")
        await until(lambda: any(window.points for window in running.relay.context.ledger.windows))
        answer = await describe(running, "web.hits")
        running.emulator.clear_faults()
    [series] = answer["series"]
    assert (answer["verdict"], [point["outcome"] for point in series["points"]]) == ("sent", ["waiting"])


async def test_a_metric_in_overflow(tmp_path):
    async with open_relay(tmp_path, window=LONG_WINDOWS, limits=LimitsConfig(series_per_metric=3)) as running:
        await running.feed(b"\n".join(b"web.req:1|c|#id:%d" % number for number in range(30)))
        await until(lambda: running.relay.hotpath.tally().samples_overflow == 27)
        answer = await describe(running, "web.req")
    assert (answer["code"], len(answer["series"]), answer["others"]) == ("RLY310", 4, 0)
    assert answer["sentence"] == "in overflow, RLY310: it has more series than [limits] allow"
    assert answer["series"][0]["dimensions"]["overflow"] == "true"


async def test_many_series_are_bounded(tmp_path):
    async with open_relay(tmp_path, window=LONG_WINDOWS) as running:
        await running.feed(b"\n".join(b"web.req:1|c|#id:%d" % number for number in range(30)), b"web.req:1|c|#id:7")
        await until(lambda: running.relay.hotpath.tally().series == 30)
        answer = await describe(running, "web.req")
    assert (len(answer["series"]), answer["others"]) == (5, 25)
    assert answer["series"][0]["dimensions"]["id"] == "7", "the one with the most samples comes first"


@pytest.mark.parametrize(
    ("name", "verdict", "sentence"),
    [
        (
            "debug.sql",
            "dropped",
            'rule 1 ("debug.**") drops it; it has dropped 1 sample since it is in force',
        ),
        ("statsd_relay.x", "refused", "it is under the prefix of the relay's own metrics: lines with it are rejected"),
        ("???", "refused", "no legal character is left of it: lines with it are rejected"),
        ("web.hit", "never", "never received; near: web.hits, web-1.hits"),
        ("completely.else", "never", "never received"),
        ("a/b \u202e\x1b", "never", "never received"),
    ],
)  # fmt: skip
async def test_a_name_without_series_has_a_reason(tmp_path, name, verdict, sentence):
    async with open_relay(tmp_path, window=LONG_WINDOWS, rule=RULES) as running:
        await running.feed(b"web.hits:1|c\nweb-1.hits:1|c\nold.a:1|c\ndebug.sql:1|c")
        await until(lambda: running.relay.hotpath.tally().series == 3)
        answer = await describe(running, name)
    assert (answer["verdict"], answer["sentence"].partition(" (e")[0].partition(" (r")[0]) == (verdict, sentence)
    assert answer["series"] == []


async def test_strict_names(tmp_path):
    listen = ListenConfig(udp=["127.0.0.1:0"], hotpath=hotpath.chosen, names="strict")
    async with open_relay(tmp_path, window=LONG_WINDOWS, listen=listen) as running:
        answer = await describe(running, "web-1.hits")
    assert answer["verdict"] == "refused"
    assert "no_legal_name" in answer["sentence"]
    assert answer["last_packet"] is None


async def test_without_a_history_there_are_no_points(tmp_path):
    admin = AdminConfig(listen="127.0.0.1:0", history=Size(0))
    async with open_relay(tmp_path, admin=admin) as running:
        await running.feed(b"web.hits:1|c")
        await running.delivered("web.hits", 1)
        answer = await describe(running, "web.hits")
    assert [series["points"] for series in answer["series"] if series["points"]] == []


async def test_a_name_of_any_length(tmp_path):
    async with open_relay(tmp_path, window=LONG_WINDOWS) as running:
        answer = await describe(running, "x" * 6000)
    assert answer["verdict"] == "never"
