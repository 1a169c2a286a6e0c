"""The adaptive rate in virtual time, against quotas unknown to it; and the backoff."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.sender.rate import AdaptiveRate, backoff, misconfigured_backoff
from tests.support.emulator import FixedWindow, TokenBucket

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
    jitter, now = random.Random(seed), 0.0
    answers: list[tuple[float, int, float]] = []
    outcome, number = Outcome(0, 0), 0
    while now < seconds:
        while answers and answers[0][0] <= now:
            _, _, refused = heapq.heappop(answers)
            counts = now >= warm_up
            if refused:
                asked = min(max(refused, 0.5), 120.0) if tells else None
                rate.throttled(now, retry_after=asked, jitter=jitter.random())
            else:
                rate.accepted(now)
            outcome.accepted += counts and not refused
            outcome.throttled += counts and bool(refused)
        wait = rate.wait(now)
        if wait == 0 and len(answers) < CONCURRENCY:
            rate.acquire(now)
            number += 1
            answered = now + LATENCY * jitter.uniform(0.75, 1.25)
            heapq.heappush(answers, (answered, number, quota.acquire(now + LATENCY / 2)))
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


@given(st.lists(st.floats(0, 10), min_size=1, max_size=80))
def test_the_ceiling_is_never_exceeded(steps):
    rate, now, left = AdaptiveRate(per_minute=60), 50.0, []
    for step in steps:
        now += step
        wait = rate.wait(now)
        if wait:
            now += wait
            assert rate.wait(now) == 0
        rate.acquire(now)
        left.append(now)
    for index, moment in enumerate(left):
        assert sum(moment <= other <= moment + 10 for other in left[index:]) <= 10 + 2 + 1


@pytest.mark.parametrize("asked", [0.5, 7.0, 120.0])
def test_all_senders_wait_as_long_as_the_cloud_asks_and_a_little_longer(asked):
    rate = AdaptiveRate(per_minute=900)
    pause = rate.throttled(100.0, retry_after=asked, jitter=0.5)
    assert asked <= pause <= asked * 1.1
    assert rate.wait(100.0) == pause
    assert rate.wait(100.0 + pause) <= 1 / 15 * 2


def test_a_burst_of_429_is_one_cut_and_one_step_of_the_back_off():
    rate = AdaptiveRate(per_minute=900)
    for _ in range(100):
        rate.accepted(100.0)
    pauses = [rate.throttled(100.0, retry_after=None, jitter=1.0) for _ in range(8)]
    assert pauses == [1.0] * 8
    assert rate.per_minute > 900 * 0.4
    assert rate.throttled(102.0, retry_after=None, jitter=1.0) == 2.0, "again, with nothing accepted in between"


def test_a_clock_that_steps_back_gives_no_tokens():
    rate = AdaptiveRate(per_minute=60)
    rate.acquire(100.0)
    assert rate.wait(50.0) == pytest.approx(1)


class Grows:
    """A quota of 2 a second that becomes one of 100 after 300 s."""

    def __init__(self) -> None:
        self.small, self.large = TokenBucket(2), TokenBucket(100)

    def acquire(self, now: float) -> float:
        return (self.small if now < 300 else self.large).acquire(now)


def test_the_rate_comes_back_when_the_quota_grows():
    rate = AdaptiveRate(per_minute=900)
    assert simulate(Grows(), rate, seconds=300, tells=False).accepted < 700
    rate = AdaptiveRate(per_minute=900)
    grown = simulate(Grows(), rate, seconds=600, tells=False, warm_up=301)
    assert grown.throttled == 0
    assert rate.per_minute == 900
    assert grown.accepted > 0.6 * 15 * 299


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_backoff_is_full_jitter_under_a_cap(failures, jitter):
    assert 0 <= backoff(failures, jitter) <= min(60, 0.5 * 2.0 ** min(failures, 20))
    assert backoff(failures, 0.0) == 0
    assert 30 <= misconfigured_backoff(jitter) <= 60
