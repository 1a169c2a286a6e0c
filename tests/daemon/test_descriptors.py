"""Descriptors: how many clients may use at each limit; the relay's own are reserved."""

from __future__ import annotations

import resource

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from relay.clock import SystemClock
from relay.daemon.descriptors import ADMIN_BACKLOG, ADMIN_MOST, RESERVE, divide_descriptors, raise_limit, share
from relay.loss_log import LossLog


@given(st.integers(100, 1 << 30), st.integers(4, 40), st.integers(0, 10_000), st.integers(1, 256))
def test_clients_never_get_what_the_relay_needs(limit, opened, streams, senders):
    places = share(limit, opened=opened, streams=streams, senders=senders)
    taken = places.streams + places.admin + min(places.admin, ADMIN_BACKLOG)
    assert taken <= max(12, limit - opened - RESERVE - senders)
    assert 2 <= places.admin <= ADMIN_MOST
    assert (places.streams > 0) == (streams > 0)
    assert places.streams <= streams


def test_an_ordinary_limit_restricts_no_part():
    for limit in (1024, -1):
        places = share(limit, opened=30, streams=256, senders=8)
        assert places.streams == 256
        assert places.admin >= 100


def test_a_system_that_reports_little_or_refuses_is_no_failure(monkeypatch):
    def refuse(*_):
        raise ValueError("not allowed to raise maximum limit")

    def missing(_):
        raise FileNotFoundError

    monkeypatch.setattr("relay.daemon.descriptors.resource.setrlimit", refuse)
    monkeypatch.setattr("relay.daemon.descriptors.os.scandir", missing)
    raise_limit()
    assert divide_descriptors(4, senders=8, loss_log=LossLog(SystemClock())).streams == 4


def test_the_soft_limit_is_raised_and_a_low_one_is_reported():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    log = LossLog(SystemClock())
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        with capture_logs() as logs:
            low = divide_descriptors(10_000, senders=8, loss_log=log)
        raise_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert low.streams < 256
    [told] = logs
    assert told["code"] == "RLY205"
    assert (told["connections"], told["configured_connections"], told["open_files_limit"]) == (low.streams, 10_000, 256)
