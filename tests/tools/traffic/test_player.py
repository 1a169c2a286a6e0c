"""Sending on a schedule, in virtual time."""

from __future__ import annotations

import errno
import os

import pytest

from relay.tools.traffic.pace import Pace, Spacing
from relay.tools.traffic.pcap import Received
from relay.tools.traffic.player import GRACE, Player
from tests.support.clock import VirtualClock

SECOND = 1_000_000_000


class VirtualInterrupt(VirtualClock):
    """A wait jumps; it may be interrupted after some time, and waits may last longer than asked."""

    def __init__(self, *, interrupted_after: float = 1e9, oversleep: float = 0.0) -> None:
        super().__init__()
        self._ends = self.monotonic() + interrupted_after
        self._oversleep = oversleep

    @property
    def is_interrupted(self) -> bool:
        return self.monotonic() >= self._ends

    def wait(self, seconds: float) -> None:
        self.advance(min(seconds + self._oversleep, max(0, self._ends - self.monotonic())))


class Wire:
    """What was sent and when; each send may cost time or fail."""

    def __init__(self, interrupt: VirtualInterrupt, *, cost: float = 0.0, failures=()) -> None:
        self._interrupt, self._cost, self._failures = interrupt, cost, list(failures)
        self._began = interrupt.monotonic()
        self.sent: list[bytes] = []
        self.times: list[float] = []

    def send(self, datagram: bytes) -> None:
        self._interrupt.advance(self._cost)
        if self._failures and (failure := self._failures.pop(0)):
            raise failure
        self.sent.append(datagram)
        self.times.append(round(self._interrupt.monotonic() - self._began, 6))


def failed(number: int) -> OSError:
    return OSError(number, os.strerror(number))


FILE = [Received(5 * SECOND, b"a:1|c"), Received(7 * SECOND, b"b:1|c\n\nc:1|c\n"), Received(6 * SECOND, b"")]


@pytest.mark.parametrize(("speed", "times"), [(1, [0, 2, 2]), (4, [0, 0.5, 0.5]), (0, [0, 0, 0])])
def test_replay_keeps_the_spacing(speed, times):
    interrupt = VirtualInterrupt()
    wire = Wire(interrupt)
    player = Player(wire.send, interrupt)
    player.replay(FILE, Spacing(speed))
    assert wire.sent == [b"a:1|c", b"b:1|c\n\nc:1|c\n", b""]
    assert wire.times == times
    assert (player.datagrams, player.lines, player.bytes) == (3, 3, 18)
    assert player.seconds == pytest.approx(times[-1])


def test_errors_of_waits_do_not_add_up():
    interrupt = VirtualInterrupt(oversleep=0.02)
    wire = Wire(interrupt)
    player = Player(wire.send, interrupt)
    player.replay([Received(number * SECOND, b"x") for number in range(100)], Spacing(1))
    assert player.late == pytest.approx(0.02)
    assert wire.times[-1] == pytest.approx(99.02)


def test_replay_goes_on_after_a_datagram_that_cannot_be_sent():
    interrupt = VirtualInterrupt()
    wire = Wire(interrupt, failures=[None, failed(errno.EMSGSIZE)])
    player = Player(wire.send, interrupt)
    player.replay(FILE, Spacing(0))
    assert wire.sent == [b"a:1|c", b""]
    assert player.errors == {"Message too long": 1}
    assert (player.datagrams, player.lines, player.is_refused) == (2, 1, False)


def test_it_ends_when_nobody_listens():
    interrupt = VirtualInterrupt()
    wire = Wire(interrupt, failures=[None, failed(errno.ECONNREFUSED)])
    player = Player(wire.send, interrupt)
    player.replay(FILE, Spacing(1))
    assert wire.sent == [b"a:1|c"]
    assert player.is_refused


def test_it_waits_for_a_receiver_that_is_slow():
    interrupt = VirtualInterrupt()
    wire = Wire(interrupt, cost=0.25, failures=[TimeoutError(), TimeoutError()])
    player = Player(wire.send, interrupt)
    player.replay(FILE[:1], Spacing(1))
    assert wire.times == [0.75]
    hanging = VirtualInterrupt(interrupted_after=10)
    player = Player(Wire(hanging, cost=0.25, failures=[TimeoutError()] * 1_000).send, hanging)
    player.replay(FILE[:1], Spacing(1))
    assert (player.datagrams, player.is_interrupted) == (0, True)
    assert player.seconds == pytest.approx(10)


def test_a_replay_is_interrupted_within_a_wait():
    interrupt = VirtualInterrupt(interrupted_after=1)
    wire = Wire(interrupt)
    player = Player(wire.send, interrupt)
    player.replay(FILE, Spacing(1))
    assert wire.sent == [b"a:1|c"]
    assert player.seconds == pytest.approx(1)
    assert player.is_interrupted


def load(player: Player, *, rate: float, seconds: float) -> list[int]:
    steps: list[int] = []
    player.load([b"a", b"b", b"c"], Pace(rate=rate, seconds=seconds), lines=2, seconds=seconds, progress=steps.append)
    return steps


def test_a_load_is_steady_and_all_of_it_is_sent():
    interrupt = VirtualInterrupt()
    wire = Wire(interrupt)
    player = Player(wire.send, interrupt)
    steps = load(player, rate=1_000, seconds=3)
    assert wire.sent == [b"a", b"b", b"c"] * 1_000
    assert max(abs(time - number / 1_000) for number, time in enumerate(wire.times)) <= 0.0011
    assert (sum(steps), player.lines) == (3_000, 6_000)
    assert player.late <= 0.0011


def test_a_load_ends_in_time_if_the_machine_is_too_slow():
    interrupt = VirtualInterrupt()
    player = Player(Wire(interrupt, cost=0.01).send, interrupt)
    load(player, rate=1_000, seconds=3)
    assert 3 + GRACE <= player.seconds < 3 + GRACE + 0.2
    assert player.datagrams == pytest.approx(100 * player.seconds, rel=0.1)
    assert player.late > 3 + GRACE - 1


def test_what_a_load_could_not_send_is_sent_next():
    interrupt = VirtualInterrupt()
    wire = Wire(interrupt, failures=[None, failed(errno.ENOBUFS), None, failed(errno.ENOBUFS)])
    player = Player(wire.send, interrupt)
    load(player, rate=10, seconds=1)
    assert wire.sent == [b"a", b"b", b"c", b"a", b"b", b"c", b"a", b"b"]
    assert (player.datagrams, player.errors.total()) == (8, 2)


def test_a_load_is_interrupted():
    interrupt = VirtualInterrupt(interrupted_after=1.005)
    player = Player(Wire(interrupt).send, interrupt)
    load(player, rate=100, seconds=3)
    assert player.datagrams == 101
