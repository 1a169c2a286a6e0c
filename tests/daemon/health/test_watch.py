"""The watch of a running relay: what it gathers becomes findings, and subscribers are told what changed."""

from __future__ import annotations

import asyncio
import time

from relay.config.schema import ListenConfig
from relay.tools.emulator import Fault
from tests.support import hotpath
from tests.support.inprocess import open_relay


async def until(condition, *, within: float = 20.0) -> None:
    ends = time.monotonic() + within
    while not condition():
        assert time.monotonic() < ends
        await asyncio.sleep(0.05)


def codes(relay) -> dict[str, str]:
    return {one.code: one.level for one in relay.health.findings}


async def test_refused_credentials_are_a_problem_until_the_cloud_accepts(tmp_path):
    told: list[tuple[str, str]] = []

    def tell(began, changed, ended) -> None:
        for what, findings in (("began", began), ("changed", changed), ("ended", ended)):
            told.extend((what, one.code) for one in findings)

    async with open_relay(tmp_path) as running:
        relay = running.relay
        relay.health.subscribe(tell)
        running.emulator.add_fault(Fault("401"))
        relay.hotpath.feed(b"web.hits:1|c", time.time())
        await until(lambda: codes(relay).get("RLY120") == "problem")
        finding = relay.health.findings[0]
        assert finding.sentence.startswith("nothing has reached the cloud since the start at ")
        assert finding.sentence.endswith(": credentials refused")
        assert "HTTP 401" in finding.cloud
        assert "1 point waits on disk" in finding.safe
        running.emulator.clear_faults()
        await until(lambda: "RLY120" not in codes(relay))
    assert told[0] == ("began", "RLY120")
    assert ("ended", "RLY120") in told


async def test_losses_of_lines_have_an_example(tmp_path):
    listen = ListenConfig(udp=["127.0.0.1:0"], hotpath=hotpath.chosen)
    async with open_relay(tmp_path, listen=listen) as running:
        relay = running.relay
        relay.hotpath.feed(b"web.time:abc|ms\nweb.hits:1|c", time.time(), ("10.1.4.9", 5000))
        await until(lambda: codes(relay).get("RLY301") == "warning")
        finding = next(one for one in relay.health.findings if one.code == "RLY301")
        assert '"web.time:>>abc|ms", from 10.1.4.9:5000' in finding.sentence
        assert "10.1.4.9:5000" in finding.fix


async def test_a_status_of_a_relay_that_is_well_says_what_is_delivered(tmp_path):
    async with open_relay(tmp_path) as running:
        relay = running.relay
        relay.hotpath.feed(b"web.hits:1|c", time.time())
        await until(lambda: relay.context.ledger.points_delivered)
        relay.health.look()
        status = relay.health.status()
        assert status.level == "ok"
        assert status.books.delivered == 1
        assert status.delivered_window is not None
        assert status.window is not None
