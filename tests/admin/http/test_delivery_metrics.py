"""The metrics of delivery follow what happens, and do not freeze while nothing happens."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from relay.tools.emulator.faults import Fault
from tests.admin.http.test_metrics import fetch
from tests.support.inprocess import open_relay


async def scrape(running) -> dict[str, float]:
    """Every sample of one scrape, by its name and labels."""
    _, text = await fetch(running.relay.admin.bound, "/metrics")
    samples = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


async def until(condition) -> None:
    while not condition():
        await asyncio.sleep(0.01)


async def grows(running, name: str) -> bool:
    first = (await scrape(running))[name]
    await asyncio.sleep(0.02)
    return (await scrape(running))[name] > first


async def test_the_lag_grows_while_the_oldest_window_waits_even_if_nothing_was_ever_delivered(tmp_path):
    async with open_relay(tmp_path) as running:
        relay, emulator = running.relay, running.emulator
        quiet = await scrape(running)
        assert (quiet["relay_delivery_lag_seconds"], quiet["relay_last_delivery_timestamp_seconds"]) == (0, 0)
        emulator.add_fault(Fault("503"))
        await running.feed(b"a:1|c")
        await until(lambda: relay.context.ledger.requests["503"])
        assert await grows(running, "relay_delivery_lag_seconds")
        assert (await scrape(running))["relay_delivery_lag_seconds"] >= 1, "it is counted from the window's start"
        emulator.clear_faults()
        await running.delivered("a", 1)
        await until(lambda: relay.status.oldest_unsettled is None)
        after = await scrape(running)
        assert not await grows(running, "relay_delivery_lag_seconds"), "all is settled"
        began = relay.context.ledger.windows.last.start
        assert after["relay_delivery_lag_seconds"] > 0
        assert after["relay_last_delivery_timestamp_seconds"] > began


async def test_a_batch_in_the_hands_of_a_sender_still_waits(tmp_path):
    """A request that hangs, and a batch that is held for a backoff, are leased: the spool's order is empty then."""
    async with open_relay(tmp_path) as running:
        running.emulator.add_fault(Fault("hang"))
        await running.feed(b"a:1|c")
        await until(lambda: running.relay.pool.requests_in_flight)
        seen = await scrape(running)
        assert (seen['relay_points{state="spooled"}'], seen['relay_points{state="in_flight"}']) == (0, 1)
        assert seen["relay_spool_oldest_age_seconds"] >= 1
        assert await grows(running, "relay_delivery_lag_seconds")
        running.emulator.clear_faults()


@pytest.mark.parametrize(
    ("fault", "state"), [("503", "down"), ("401", "refused"), ("429", "throttled"), ("refused", "stopped")]
)
async def test_the_state_of_delivery_is_the_reason_why_requests_wait(tmp_path, fault, state):
    async with open_relay(tmp_path) as running:
        assert (await scrape(running))['relay_delivery_state{state="sending"}'] == 1
        running.emulator.add_fault(Fault(fault))
        names = 0
        while running.relay.pool.delivery_state != state:
            names += 1
            await running.feed(b"a%d:1|c" % names)
            await asyncio.sleep(0.1)
        seen = await scrape(running)
        states = {name: value for name, value in seen.items() if name.startswith("relay_delivery_state")}
        assert sum(states.values()) == states[f'relay_delivery_state{{state="{state}"}}'] == 1


async def test_the_figures_of_the_last_window_stay_while_the_next_one_fills(tmp_path):
    """`relay_series` is the open window's: 0 after a close."""
    async with open_relay(tmp_path) as running:
        windows = running.relay.context.ledger.windows
        names = ["a", "b", "c"]

        async def feed_until(condition) -> None:
            while not condition():
                await running.feed(" ".join(f"{name}:1|c" for name in names).replace(" ", "\n").encode())
                await asyncio.sleep(0.05)

        def followed_by(series: int) -> list[int]:
            """The new series of each window of `series` series after one of three."""
            return [two.new_series for one, two in pairwise(windows) if (one.series, two.series) == (3, series)]

        await feed_until(lambda: followed_by(3))
        assert set(followed_by(3)) == {0}
        names.append("d")
        await feed_until(lambda: followed_by(4) and windows.last.series == 4)
        assert set(followed_by(4)) == {1}
        seen, last = await scrape(running), windows.last
        assert (seen["relay_window_series"], seen["relay_window_points"], seen["relay_window_requests"]) == (4, 4, 1)
        assert seen["relay_window_new_series"] == last.new_series
        assert seen["relay_last_window_timestamp_seconds"] == last.start + 1
        assert seen["relay_open_window_timestamp_seconds"] > last.start
        assert seen["relay_last_packet_timestamp_seconds"] > last.start
        assert seen["relay_requests_per_minute_limit"] == running.relay.config.cloud.requests_per_minute


async def test_refused_points_are_counted_by_reason(tmp_path):
    async with open_relay(tmp_path) as running:
        running.emulator.add_fault(Fault("partial", left=1))
        await running.feed(b"a:1|c\nb:1|c\nc:1|c")
        ledger = running.relay.context.ledger
        await until(lambda: ledger.points_refused)
        assert (await scrape(running))['relay_refused_points_total{reason="refused_point"}'] == 1
        assert ledger.points_refused == sum(ledger.points_refused_by_reason.values())
