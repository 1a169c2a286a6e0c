"""100,000 random and mutated datagrams through a real socket: no exception, and the books balance."""

from __future__ import annotations

import random

import pytest

from relay.errors import DROPPED_SAMPLES, REJECTED_LINES
from tests.support.inprocess import open_relay

VALID = [
    b"web.hits:1|c",
    b"web.time:12.5|ms|@0.1|#env:prod,zone:a",
    b"pool:+3|g",
    b"users:u1|s|#a:b",
    b"lat:1:2:3|h|T1764000000",
    b"_e{5,4}:title|text|#a:b",
    b"_sc|check|0|m:fine",
    b"a;env=prod:1|c",
    b"old:1|c:2|ms",
    b"x:1|d|c:ci-1|e:y|card:low",
]


def mutate(rng: random.Random) -> bytes:
    if rng.random() < 0.1:
        return rng.randbytes(rng.randrange(200))
    datagram = bytearray(b"\n".join(rng.choice(VALID) for _ in range(rng.randrange(1, 6))))
    for _ in range(rng.randrange(4)):
        where = rng.randrange(len(datagram) + 1)
        match rng.randrange(3):
            case 0:
                datagram[where:where] = bytes([rng.choice(b":|@#,;=.\n\r+-0eTgcms\x00\xff")])
            case 1:
                del datagram[where : where + rng.randrange(1, 4)]
            case _:
                datagram[where : where + 1] = bytes([rng.randrange(256)])
    return bytes(datagram)


@pytest.mark.timeout(180)
async def test_a_hundred_thousand_mutated_datagrams(tmp_path):
    rng = random.Random(2026)
    async with open_relay(tmp_path) as running:
        for _ in range(100):
            await running.feed(*[mutate(rng) for _ in range(1000)])
            assert running.relay.books().imbalance() == 0
        tally = running.relay.tally()
    assert tally.datagrams == 100_000
    assert running.relay.listeners[0].kernel_drops == 0
    assert "internal_error" not in tally.rejected
    assert tally.rejected.keys() <= set(REJECTED_LINES)
    assert tally.samples_dropped.keys() <= set(DROPPED_SAMPLES)
    assert tally.accepted > 50_000
    assert sum(tally.rejected.values()) > 50_000
    assert running.emulator.statuses.keys() <= {200}, "no point that left was refused"
    assert running.emulator.duplicates() == []
    assert running.relay.ledger.points_refused == 0
