"""The last windows in numbers."""

from __future__ import annotations

import pytest

from tests.support.admin_port import fetch
from tests.support.inprocess import open_relay


async def test_the_last_windows_newest_first(tmp_path):
    async with open_relay(tmp_path) as running:
        await running.feed(b"a:1|c\nb:1|c", b"bad")
        await running.delivered("a", 1)
        await running.feed(b"a:1|c")
        await running.delivered("a", 2)
        _, _, answer = await fetch(running.relay.admin.bound, "/api/v1/windows/last?count=60")
        _, _, one = await fetch(running.relay.admin.bound, "/api/v1/windows/last?count=1")
    windows = answer["windows"]
    assert answer["kept"] == len(windows) >= 2
    starts = [window["start"] for window in windows]
    assert starts == sorted(starts, reverse=True)
    assert len(one["windows"]) == 1
    [first] = [window for window in windows if window["rejected"]]
    assert (first["lines"], first["rejected"], first["points"]) == (3, {"no_value": 1}, 2)
    assert (first["delivered"], first["waiting"], first["refused"], first["dropped"]) == (2, 0, 0, {})
    assert first["lag"] > 0


@pytest.mark.parametrize("query", ["count=0", "count=61", "count=x", "last=3"])
async def test_a_wrong_query(tmp_path, query):
    async with open_relay(tmp_path) as running:
        status, _, _ = await fetch(running.relay.admin.bound, f"/api/v1/windows/last?{query}")
    assert status == 400
