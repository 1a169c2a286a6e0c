"""The plan in force and its sockets change together, and revert together if the worker does not hand over."""

from __future__ import annotations

import socket

import pytest

from relay.errors import RelayError
from relay.listener.addresses import ADMIN, TCP, UDP, Address, SocketSpec
from relay.listener.sockets import open_sockets
from relay.supervisor.last_good import LastGoodConfig
from relay.supervisor.plan import Plan

HERE, THERE = Address("127.0.0.1", 0), Address("127.0.0.2", 0)


def plan(**wanted) -> Plan:
    asked = SocketSpec(receive_buffer=10_000, **{"udp": [], **wanted})
    return Plan(wanted=asked, steady=1, state="/state", is_text=False, level="info", ingest="", text="secret")


@pytest.fixture
def in_force():
    before = plan(udp=[HERE], admin=[HERE])
    in_force = LastGoodConfig(before, open_sockets(before.wanted))
    yield in_force
    in_force.close()


def closed(held) -> list[bool]:
    return [one.socket.fileno() == -1 for one in held]


def test_a_settled_change_closes_the_sockets_of_the_previous_plan(in_force):
    udp, admin = in_force.held
    fresh = in_force.change(plan(udp=[HERE, THERE], admin=[THERE]))
    assert [(one.kind, one.address) for one in fresh] == [(UDP, THERE), (ADMIN, THERE)]
    assert closed([udp, admin, *fresh]) == [False] * 4, "until the worker that reads them has gone"
    in_force.settle()
    assert closed([udp, admin, *fresh]) == [False, True, False, False]
    assert not in_force.is_changing


def test_a_reverted_change_leaves_everything_as_before(in_force):
    before, held = in_force.plan, list(in_force.held)
    fresh = in_force.change(plan(udp=[THERE], tcp=[HERE]))
    assert {one.kind for one in fresh} == {UDP, TCP}
    in_force.revert()
    assert (in_force.plan, in_force.held, in_force.is_changing) == (before, held, False)
    assert closed([*held, *fresh]) == [False, False, True, True]
    in_force.settle()
    assert closed(held) == [False, False]


def test_an_address_that_cannot_be_bound_changes_nothing(in_force):
    before, held = in_force.plan, list(in_force.held)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(RelayError, match="in use"):
        in_force.change(plan(udp=[THERE], admin=[Address("127.0.0.1", taken.getsockname()[1])]))
    assert (in_force.plan, in_force.held, in_force.is_changing) == (before, held, False)


def test_a_socket_from_a_worker_is_held_if_it_is_missing():
    wanted = Address("127.0.0.1", 8126)
    in_force = LastGoodConfig(plan(admin=[wanted]), [])
    socks = [socket.socket() for _ in range(3)]
    for name, sock in zip(("127.0.0.1:1", "127.0.0.1:8126", "127.0.0.1:8126"), socks, strict=True):
        in_force.hold(name, sock)
    assert [(one.kind, one.address, one.socket) for one in in_force.held] == [(ADMIN, wanted, socks[1])]
    assert [sock.fileno() == -1 for sock in socks] == [True, False, True]
    in_force.close()


def test_a_repr_does_not_show_the_configuration(in_force):
    assert "secret" not in repr(in_force) + repr(in_force.plan)
