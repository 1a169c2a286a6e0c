"""`GET /api/v1/log`: the newest lines of the log, for this machine."""

from __future__ import annotations

import pytest

from relay.admin.http.api.log import log_endpoints
from relay.admin.log_ring import LogRing
from tests.support import admin_port

PATH = "/api/v1/log"


async def test_the_newest_lines_and_how_many_are_left_out():
    ring = LogRing()
    for number in range(1500):
        ring.add(f"line {number}")
    async with admin_port.serving(log_endpoints(ring)) as address:
        _, _, some = await admin_port.fetch(address, f"{PATH}?lines=2")
        _, _, most = await admin_port.fetch(address, PATH)
        status, _, _ = await admin_port.fetch(address, PATH, headers={"Host": "example.com"})
    assert some == {"lines": ["line 1498", "line 1499"], "left_out": 1498}
    assert (len(most["lines"]), most["left_out"]) == (1000, 500)
    assert status == 403


@pytest.mark.parametrize("query", ["?lines=0", "?lines=1001", "?lines=x", "?line=1"])
async def test_a_wrong_parameter_is_400(query):
    async with admin_port.serving(log_endpoints(LogRing())) as address:
        status, _, answer = await admin_port.fetch(address, PATH + query)
    assert status == 400
    assert "lines" in str(answer)
