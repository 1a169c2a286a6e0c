"""The admin port's sockets: given or opened, missing and waited for, and what holds them."""

from __future__ import annotations

import errno
import socket
from contextlib import closing

import pytest

from relay.errors import RelayError
from relay.listener.addresses import ADMIN, Address, BoundSocket, SocketSpec
from relay.listener.admin_sockets import AdminSockets
from relay.listener.bind import bind_tcp
from relay.listener.sockets import close_sockets, open_sockets, open_tcp

HERE, HERE_IPV6 = Address("127.0.0.1", 0), Address("::1", 0)


@pytest.fixture
def taken():
    with closing(bind_tcp("127.0.0.1", 0)) as sock:
        yield Address("127.0.0.1", sock.getsockname()[1])


@pytest.fixture
def no_ipv6(monkeypatch):
    """A kernel without it."""
    real = socket.socket

    def make(family=socket.AF_INET, *args, **options):
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, *args, **options)

    monkeypatch.setattr("relay.listener.bind.socket.socket", make)


def test_inherited_sockets_are_used_and_missing_ones_are_opened_and_held():
    given, stale = open_tcp(HERE, kind=ADMIN), open_tcp(HERE, kind=ADMIN)
    wanted = Address("127.0.0.1", given.socket.getsockname()[1])
    held: list[BoundSocket] = []
    sockets = AdminSockets([wanted, HERE_IPV6], [given, stale], hold=held.append)
    assert sockets.inherited == [given.socket]
    assert stale.socket.fileno() == -1, "an address that is not wanted any more is let go"
    [opened] = sockets.open_missing()
    assert [(one.kind, one.socket, one.address) for one in held] == [(ADMIN, opened, HERE_IPV6)]
    assert sockets.missing == []
    sockets.close()
    assert opened.fileno() >= 0, "what is held outlives the relay"
    close_sockets([given, *held])


def test_an_address_that_is_refused_is_an_error_where_nothing_runs(taken):
    sockets = AdminSockets([HERE, taken])
    with pytest.raises(RelayError, match=r"cannot bind admin port 127\.0\.0\.1:\d+: in use"):
        sockets.open_missing()
    sockets.close()


def test_and_is_waited_for_where_something_does(taken):
    sockets = AdminSockets([HERE, taken], waits=True)
    [opened] = sockets.open_missing()
    assert sockets.missing == [taken]
    assert "in use" in sockets.trouble
    sockets.close()
    assert opened.fileno() == -1


@pytest.mark.usefixtures("no_ipv6")
def test_an_optional_address_that_does_not_exist_is_not_missed():
    sockets = AdminSockets([HERE, HERE_IPV6._replace(optional=True)])
    [_] = sockets.open_missing()
    assert sockets.missing == []
    sockets.close()
    with pytest.raises(RelayError, match=r"cannot bind admin port \[::1\]:0"):
        AdminSockets([HERE_IPV6]).open_missing()


def test_every_address_is_bound_beside_one_that_is_to_be_closed():
    """From 127.0.0.1 to 0.0.0.0, and back: the port is never free in between."""
    before: list[BoundSocket] = []
    port = 0
    for host in ("127.0.0.1", "0.0.0.0", "127.0.0.1"):
        wanted = SocketSpec(udp=[], receive_buffer=1, admin=[Address(host, port)])
        held = open_sockets(wanted, before)
        close_sockets(one for one in before if one not in held)
        [one] = before = held
        port = one.socket.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            bind_tcp(host, port)
    close_sockets(before)


def test_a_relay_that_takes_over_a_daemon_does_without_the_port(taken):
    wanted = SocketSpec(udp=[], receive_buffer=1, admin=[taken])
    with pytest.raises(RelayError, match="admin port"):
        open_sockets(wanted)
    assert open_sockets(wanted._replace(take_over=True)) == []
