"""Targets of copies: resolved, connected, checked, temporary; on real sockets, in virtual time."""

from __future__ import annotations

import os
import resource
import socket
import time
from contextlib import contextmanager, suppress

import pytest
from structlog.testing import capture_logs

from relay.loss_log import LossLog
from relay.resolver import Resolver
from relay.tee.target import LOOP
from relay.tee.tees import Tees
from tests.support.hotpath import NOW
from tests.support.hotpath import make as make_hotpath
from tests.support.targets import Daemon

UNUSED = "127.0.0.1:9"


class Names:
    """What a lookup answers; a name it does not have is not known."""

    def __init__(self, **addresses: list[tuple[str, int]]) -> None:
        self.addresses = addresses
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, *, family: int, type: int) -> list:  # noqa: A002
        self.asked.append(host)
        if host not in self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        assert family == 0
        found = [socket.getaddrinfo(one, port, type=type)[0] for one, port in self.addresses[host]]
        return [(*entry[:4], entry[4]) for entry in found]


class WatchedResolver(Resolver):
    """Knows the lookups under way."""

    def __init__(self, get_addresses) -> None:
        super().__init__(get_addresses)
        self.pending: set[object] = set()

    def look_up(self, *args, then, **kwargs) -> None:
        token = object()

        def finish(answer) -> None:
            then(answer)
            self.pending.remove(token)

        self.pending.add(token)
        super().look_up(*args, then=finish, **kwargs)


class Scene:
    """A hot path, its tees and the log of their warnings."""

    def __init__(self, clock, *, own=(), names=None) -> None:
        self.clock = clock
        self.hotpath = make_hotpath()
        self.resolver = WatchedResolver(names or Names())
        self.tees = Tees(self.hotpath, own, clock=clock, resolver=self.resolver)
        self.loss_log = LossLog(clock)

    def look(self, *, after: float = 0) -> list[dict]:
        """Look after some seconds, and after what is looked up now is found; return the warnings."""
        self.clock.advance(after)
        with capture_logs() as logs:
            self.tees.check(self.loss_log)
            self._wait_for_lookups()
            self.tees.check(self.loss_log)
        return logs

    def _wait_for_lookups(self) -> None:
        deadline = time.monotonic() + 5
        while self.resolver.pending:
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def feed(self, *lines: bytes) -> None:
        for line in lines:
            self.hotpath.feed(line, NOW)


@pytest.fixture
def scene(clock):
    made = []

    def make(**changes) -> Scene:
        made.append(Scene(clock, **changes))
        return made[-1]

    yield make
    for one in made:
        one.tees.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address_gets_copies_at_once(scene, host):
    it = scene()
    with Daemon(host) as daemon:
        it.tees.configure([daemon.to])
        it.feed(b"a:1|c", b"b:1|c")
        assert daemon.received() == [b"a:1|c", b"b:1|c"]
        assert it.look() == []
    assert it.tees.counts() == [(2, 0)]


def test_a_name_gets_copies_when_it_is_known_and_those_before_are_counted(scene):
    with Daemon() as daemon, Daemon("::1") as other:
        it = scene(names=Names(old=[("::1", other.port), ("127.0.0.1", daemon.port)]))
        it.tees.configure([f"old:{daemon.port}"])
        it.feed(b"a:1|c")
        [warning] = it.look()
        it.feed(b"b:1|c")
        assert daemon.received() == [b"b:1|c"], "IPv4 first"
        assert other.received() == []
    assert it.tees.counts() == [(1, 1)]
    assert (warning["code"], warning["copies"]) == ("RLY106", 1)


def test_a_name_is_looked_up_again_and_followed(scene):
    with Daemon() as first, Daemon() as second:
        names = Names(old=[("127.0.0.1", first.port)])
        it = scene(names=names)
        it.tees.configure(["old:8125"])
        it.look()
        it.feed(b"a:1|c")
        it.look(after=30)
        assert names.asked == ["old"]
        names.addresses["old"] = [("127.0.0.1", second.port)]
        it.look(after=31)
        it.feed(b"b:1|c")
        names.addresses.clear()
        assert it.look(after=61) == [], "a name that is not known any more still has its address"
        it.feed(b"c:1|c")
        assert (first.received(), second.received()) == ([b"a:1|c"], [b"b:1|c", b"c:1|c"])
    assert names.asked == ["old"] * 3
    assert it.tees.counts() == [(3, 0)]


def test_an_unknown_name_is_logged_and_tried_again(scene):
    with Daemon() as daemon:
        names = Names()
        it = scene(names=names)
        it.tees.configure(["old:8125"])
        it.feed(b"a:1|c")
        [warning] = it.look()
        assert warning["why"] == "old cannot be looked up: Name or service not known"
        assert (warning["tee"], warning["copies"]) == ("old:8125", 1)
        assert it.look(after=4) == []
        assert names.asked == ["old"]
        names.addresses["old"] = [("127.0.0.1", daemon.port)]
        assert it.look(after=2) == []
        it.feed(b"b:1|c")
        assert daemon.received() == [b"b:1|c"]


def test_a_target_without_a_daemon_is_logged_once_a_minute(scene):
    it = scene()
    it.tees.configure([UNUSED])
    warnings = []
    for _ in range(61):
        it.feed(b"a:1|c")
        warnings += it.look(after=1)
    assert [warning["why"] for warning in warnings] == ["no process receives there: Connection refused"] * 2
    assert sum(it.tees.counts()[0]) == 61


# --- loops ------------------------------------------------------------------------------------------------------------


def here() -> str:
    """An address of this machine beyond loopback, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(("192.0.2.1", 9))
        return probe.getsockname()[0]
    return "127.0.0.1"


@pytest.mark.parametrize(
    ("own", "to"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "[::ffff:127.0.0.1]"),
        ("127.0.0.1", "0.0.0.0"),
        ("0.0.0.0", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.3"),
        ("::1", "[::1]"),
        ("::", "[::1]"),
        ("::1", "[::]"),
        ("127.0.0.1", "old"),
        ("0.0.0.0", "HERE"),
    ],
)
def test_our_own_address_is_refused(scene, own, to):
    with Daemon(own) as ourselves:
        it = scene(own=[(own, ourselves.port)], names=Names(old=[("127.0.0.1", ourselves.port)]))
        it.tees.configure([f"{to.replace('HERE', here())}:{ourselves.port}"])
        it.feed(b"a:1|c")
        [warning] = it.look()
        it.feed(b"b:1|c")
        assert warning["why"] == LOOP
        assert ourselves.received() == []
    assert it.tees.counts() == [(0, 2)]


def test_another_daemon_on_the_port_of_another_address_is_none_of_ours(scene):
    with Daemon("127.0.0.3") as daemon:
        it = scene(own=[("127.0.0.1", daemon.port), ("::1", daemon.port), ("127.0.0.3", daemon.port + 1)])
        it.tees.configure([daemon.to])
        it.feed(b"a:1|c")
        assert daemon.received() == [b"a:1|c"]


# --- changes ----------------------------------------------------------------------------------------------------------


def test_targets_come_and_go_and_those_that_stay_keep_their_sockets(scene):
    it = scene()
    with Daemon() as first, Daemon() as second, Daemon() as third:
        it.tees.configure([first.to, second.to])
        it.feed(b"a:1|c")
        it.tees.configure([second.to, third.to])
        it.feed(b"b:1|c")
        it.tees.configure([])
        it.feed(b"c:1|c")
        (one, sender), (other, same) = (second.socket.recvfrom(100) for _ in range(2))
        assert (one, other, sender == same) == (b"a:1|c", b"b:1|c", True)
        assert (first.received(), second.received(), third.received()) == ([b"a:1|c"], [], [b"b:1|c"])
    assert it.tees.counts() == []
    assert it.look() == []


def next_descriptor() -> int:
    with socket.socket() as sock:
        return sock.fileno()


def test_no_descriptor_stays_open(scene):
    it, before = scene(), next_descriptor()
    for number in range(20):
        it.tees.configure([f"127.0.0.1:{1000 + number}", "old:1"])
        it.tees.renew_temporary(f"127.0.0.1:{2000 + number}", 1)
        it.look(after=2)
    it.tees.close()
    assert next_descriptor() == before


class Exhausted:
    """A hot path without a free descriptor, for a while."""

    def __init__(self) -> None:
        self.is_exhausted = True
        self.fds: list[int] = []

    def tee(self, fds) -> None:
        if self.is_exhausted:
            raise OSError(24, "Too many open files")
        self.fds = list(fds)

    def tee_counts(self) -> list[tuple[int, int]]:
        return [(0, 0)] * 8


def test_a_process_without_free_descriptors_goes_on_and_tries_again(clock):
    sink = Exhausted()
    tees = Tees(sink, [], clock=clock)
    tees.configure([UNUSED])
    sink.is_exhausted = False
    tees.check(LossLog(clock))
    with socket.socket(fileno=os.dup(*sink.fds)) as copy:
        assert copy.getpeername() == ("127.0.0.1", 9)
    tees.close()


@contextmanager
def no_free_descriptor():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_descriptor(), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_target_that_comes_when_no_descriptor_is_free_is_logged_and_tried_again(scene):
    it = scene()
    with Daemon() as one, Daemon() as other:
        it.tees.configure([one.to])
        with no_free_descriptor():
            it.tees.configure([one.to, other.to])
            it.feed(b"a:1|c")
            with pytest.raises(ValueError, match="Too many open files"):
                it.tees.renew_temporary(other.to, 10)
            assert "Too many open files" in [log["why"] for log in it.look()]
        assert it.look(after=5) == []
        it.feed(b"b:1|c")
        assert it.tees.counts()[0] == (2, 0)
        assert it.tees.counts()[1][0] == 1
        assert other.received() == [b"b:1|c"]


# --- temporary tees ---------------------------------------------------------------------------------------------------


def test_a_temporary_tee_counts_from_its_beginning_and_ends(scene):
    it = scene()
    with Daemon() as daemon, Daemon() as other:
        it.tees.configure([other.to])
        it.feed(b"before:1|c")
        assert it.tees.renew_temporary(daemon.to, 10) == (0, 0)
        it.feed(b"a:1|c")
        it.look(after=9)
        assert it.tees.renew_temporary(daemon.to, 10) == (1, 0)
        it.look(after=9)
        it.feed(b"b:1|c")
        assert it.tees.renew_temporary(daemon.to, 1) == (2, 0)
        it.look(after=1)
        it.feed(b"after:1|c")
        assert daemon.received() == [b"a:1|c", b"b:1|c"]
        assert it.tees.renew_temporary(daemon.to, 1) == (0, 0), "another one, in the same place"
        assert len(other.received()) == 4
        assert it.tees.counts() == [(4, 0)], "temporary tees are none of the configuration's"


def test_temporary_tees_are_few_and_refused_with_a_reason(scene):
    it = scene(own=[("127.0.0.1", 8125)])
    with pytest.raises(ValueError, match="one of our own"):
        it.tees.renew_temporary("127.0.0.1:8125", 1)
    with pytest.raises(ValueError, match="an address, not a name"):
        it.tees.renew_temporary("localhost:8125", 1)
    for port in range(1, 5):
        it.tees.renew_temporary(f"127.0.0.1:{port}", port)
    with pytest.raises(ValueError, match="4 temporary tees are in use"):
        it.tees.renew_temporary(UNUSED, 1)
    it.look(after=2)
    assert it.tees.renew_temporary(UNUSED, 1) == (0, 0)
    assert it.tees.until_next_check() == 1


def test_the_next_check_is_when_something_is_to_be_done(scene):
    it = scene()
    assert it.tees.until_next_check() == 1
    it.tees.renew_temporary(UNUSED, 3)
    it.clock.advance(2.5)
    assert it.tees.until_next_check() == 0.5
    it.tees.configure(["old:1"])
    assert it.tees.until_next_check() == 0.05
