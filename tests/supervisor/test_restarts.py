"""Decisions after the end of a worker, without any process."""

from __future__ import annotations

import pytest

from relay.errors import ExitCode
from relay.supervisor.restarts import MOST_IN_A_ROW, GiveUp, Restart, RestartPolicy, backoff, exit_code


def test_a_worker_that_ran_long_enough_is_replaced_at_once():
    policy = RestartPolicy(min_uptime=10)
    for _ in range(100):
        policy.ready()
        assert policy.ended(-9, age=10.0) == Restart(0.0, 0)


def test_a_crash_loop_ends_with_the_last_exit_code():
    policy = RestartPolicy(min_uptime=10)
    policy.ready()
    delays = [policy.ended(-9, age=9.9).delay for _ in range(MOST_IN_A_ROW - 1)]
    assert delays == [0.0, 0.25, 0.5, 1.0]
    assert policy.ended(3, age=None) == GiveUp(3, MOST_IN_A_ROW)


def test_a_long_run_resets_the_count():
    policy = RestartPolicy(min_uptime=10)
    for _ in range(10):
        for _ in range(MOST_IN_A_ROW - 1):
            assert isinstance(policy.ended(70, age=1), Restart)
        policy.ready()
        assert policy.ended(70, age=11) == Restart(0.0, 0)


@pytest.mark.parametrize("status", [64, 71, 77, 78])
def test_a_mistake_reported_by_the_first_worker_is_not_repeated(status):
    assert RestartPolicy(min_uptime=10).ended(status, age=None) == GiveUp(status, 1)
    policy = RestartPolicy(min_uptime=10)
    policy.ready()
    assert isinstance(policy.ended(status, age=None), Restart), "a file that broke later must not end what runs"
    policy = RestartPolicy(min_uptime=10)
    policy.ended(-9, age=None)
    assert isinstance(policy.ended(status, age=None), Restart)


@pytest.mark.parametrize(("status", "code"), [(-9, 70), (0, 70), (78, 78), (1, 1), (200, ExitCode.INTERNAL)])
def test_the_exit_code_for_a_failed_worker_is_never_zero(status, code):
    assert exit_code(status) == code


def test_delays_grow_to_a_bound():
    delays = [backoff(failures) for failures in range(1, 12)]
    assert delays == sorted(delays)
    assert (delays[0], delays[-1]) == (0.0, 5.0)
