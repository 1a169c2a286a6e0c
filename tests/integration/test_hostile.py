"""30,000 random and mutated datagrams through a real socket: no exception, and the books balance."""

from __future__ import annotations

import random

import pytest

from relay.errors import DROPPED_SAMPLES, REJECTED_LINES
from tests.support.hostile import mutated
from tests.support.inprocess import open_relay


def mutate(rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(200)) if rng.random() < 0.1 else mutated(rng)


@pytest.mark.timeout(180)
async def test_thirty_thousand_mutated_datagrams(tmp_path):
    rng = random.Random(2026)
    async with open_relay(tmp_path) as running:
        for _ in range(30):
            await running.feed(*[mutate(rng) for _ in range(1000)])
            assert running.relay.status.books().imbalance() == 0
        tally = running.relay.hotpath.tally()
    assert tally.datagrams == 30_000
    assert running.relay.listeners[0].kernel_drops == 0
    assert "internal_error" not in tally.rejected
    assert tally.rejected.keys() <= set(REJECTED_LINES)
    assert tally.samples_dropped.keys() <= set(DROPPED_SAMPLES)
    assert tally.accepted > 15_000
    assert sum(tally.rejected.values()) > 15_000
    assert running.emulator.statuses.keys() <= {200}, "no point that left was refused"
    assert running.emulator.duplicates() == []
    assert running.relay.context.ledger.points_refused == 0
