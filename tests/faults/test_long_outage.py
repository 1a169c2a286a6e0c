"""A day without the cloud, through the real spool and senders; only waiting is virtual. See tests/support/outage.py."""

from __future__ import annotations

import pytest

from tests.support.outage import Outage


@pytest.mark.full
async def test_row_26_an_outage_of_a_day(tmp_path, figure):
    outage = Outage(tmp_path, windows=1440, points=500)
    figures = await outage.run()
    for line in figures.lines():
        figure(26, line)
    assert figures.bytes_a_point <= 100
    assert max(figures.down[2:]) <= 2
    assert figures.delivered == figures.points * (figures.windows + figures.drain_minutes)
    assert figures.twice == 0
    assert max(figures.fresh_seconds) <= 60
    assert figures.backlog_share >= 0.3
    assert figures.drain_minutes <= 4 * 14_400 / 890


async def test_row_26_an_outage_of_half_an_hour(tmp_path, figure):
    """The same for the fast tier; bytes a point are not asserted, since the WAL is not yet checkpointed."""
    figures = await Outage(tmp_path, windows=30, points=500).run()
    assert max(figures.down[2:]) <= 2
    assert figures.delivered == figures.points * (figures.windows + figures.drain_minutes)
    assert figures.twice == 0
    assert max(figures.fresh_seconds) <= 60
    figure(26, f"30 windows: at most {max(figures.down[2:])} requests a minute while open, nothing twice")
