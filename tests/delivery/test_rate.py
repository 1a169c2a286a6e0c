"""The adaptive rate in virtual time, against quotas that it does not know."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass

import pytest

from relay.delivery.rate import AdaptiveRate
from relay.jdcloud.emulator.quota import FixedWindow, TokenBucket

LATENCY = 0.08
CONCURRENCY = 8


@dataclass
class Outcome:
    accepted: int
    throttled: int

    @property
    def share(self) -> float:
        return self.throttled / (self.accepted + self.throttled)


def simulate(quota, rate: AdaptiveRate, *, seconds: float, tells: bool, seed: int = 1, warm_up: float = 0) -> Outcome:
    """Send as fast as the rate allows; answers take 60 to 100 ms, eight requests at a time."""
    dice, now = random.Random(seed), 0.0
    answers: list[tuple[float, int, float]] = []
    outcome, number = Outcome(0, 0), 0
    while now < seconds:
        while answers and answers[0][0] <= now:
            _, _, refused = heapq.heappop(answers)
            counts = now >= warm_up
            if refused:
                asked = min(max(refused, 0.5), 120.0) if tells else None
                rate.throttled(now, retry_after=asked, dice=dice.random())
            else:
                rate.accepted(now)
            outcome.accepted += counts and not refused
            outcome.throttled += counts and bool(refused)
        wait = rate.wait(now)
        if wait == 0 and len(answers) < CONCURRENCY:
            rate.leave(now)
            number += 1
            heapq.heappush(answers, (now + LATENCY * dice.uniform(0.75, 1.25), number, quota.take(now + LATENCY / 2)))
            continue
        now = min(now + (wait or 1.0), answers[0][0] if answers else seconds)
    return outcome


@pytest.mark.parametrize("tells", [True, False], ids=["retry-after", "silent"])
@pytest.mark.parametrize("quota", [2, 10, 60])
def test_a_token_bucket_is_used_and_rarely_overrun(quota, tells):
    outcome = simulate(TokenBucket(quota), AdaptiveRate(per_minute=6000), seconds=1200, tells=tells)
    used = outcome.accepted / (quota * 1200)
    assert used >= 0.85
    assert outcome.share <= 0.05


@pytest.mark.parametrize("tells", [True, False], ids=["retry-after", "silent"])
@pytest.mark.parametrize("per_minute", [900, 6000])
def test_a_fixed_window_is_used(per_minute, tells):
    outcome = simulate(FixedWindow(600), AdaptiveRate(per_minute=per_minute), seconds=1200, tells=tells)
    used = outcome.accepted / 12_000
    assert used >= 0.85
    assert outcome.share <= 0.15
