"""Two relays in one process: no global state."""

from __future__ import annotations

from tests.support.inprocess import open_relay


async def test_two_relays_in_one_process(tmp_path):
    async with open_relay(None) as one, open_relay(None) as two:
        await one.feed(b"x:1|c")
        await two.feed(b"x:10|c", b"y:1|ms")
        await one.delivered("x", 1)
        await two.delivered("x", 10)
        assert (one.relay.hotpath.tally().received, two.relay.hotpath.tally().received) == (1, 2)
        assert (one.emulator.total("x"), two.emulator.total("x")) == (1, 10)
