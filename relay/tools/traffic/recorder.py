"""Receives datagrams with the kernel's receive times, and adds them to a recording."""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from relay.tools.traffic.packet import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.tools.traffic.interrupt import Interrupt
    from relay.tools.traffic.recording import Recording

_SO_TIMESTAMPNS: Final = 35
"""Option and control message (asm-generic/socket.h)."""
_TIMESPEC: Final = struct.Struct("@ll")
_LARGEST: Final = 65_535
_TURN: Final = 256
"""Datagrams between two checks of the clock."""
_FLUSH_SECONDS: Final = 0.25
_DRAIN_SECONDS: Final = 2.0
"""Longest time at the end for reading what the kernel still holds."""
_PROBES: Final = 100
_PROBE_SECONDS: Final = 0.002
_PEERS: Final = 1024
"""Addresses cached in packed form."""


class Recorder:
    """State: the socket that is recorded; its construction enables the kernel's receive timestamps.

    Args:
        sock: bound, non-blocking, IPv4 or IPv6; the caller closes it.
        interrupt: time, waiting, and the request to stop.
    """

    def __init__(self, sock: socket.socket, interrupt: Interrupt) -> None:
        self._sock, self._interrupt = sock, interrupt
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        _wait_for_times()
        self._space = socket.CMSG_SPACE(_TIMESPEC.size)
        self._packed = lru_cache(_PEERS)(lambda host: socket.inet_pton(sock.family, host.partition("%")[0]))
        host, port = sock.getsockname()[:2]
        self._target = Endpoint(self._packed(host), port)
        self.is_full = False

    def run(self, recording: Recording, *, seconds: float, progress: Callable[[], object]) -> None:
        """Record until the time is over, the recording is full, or an interrupt comes; then write what was received.

        Datagrams that the kernel had received by the end are recorded too.

        Raises:
            OSError: the recording cannot be written.
        """
        ends, flushed = self._interrupt.monotonic() + seconds, 0.0
        while not self._interrupt.is_interrupted and not self.is_full and (now := self._interrupt.monotonic()) < ends:
            if now - flushed >= _FLUSH_SECONDS:
                recording.flush()
                flushed = now
            progress()
            if not self._receive(recording):
                self._interrupt.wait(min(ends - now, _FLUSH_SECONDS), self._sock)
        until, ends = time.time_ns(), self._interrupt.monotonic() + _DRAIN_SECONDS
        while not self.is_full and self._receive(recording, until) and self._interrupt.monotonic() < ends:
            pass
        recording.flush()

    def _receive(self, recording: Recording, until: int | None = None) -> bool:
        """Receive up to 256 waiting datagrams, none received after `until` (ns); return whether more may wait."""
        for _ in range(_TURN):
            try:
                payload, control, _, peer = self._sock.recvmsg(_LARGEST, self._space)
            except BlockingIOError:
                return False
            received = _read_time(control)
            if until and received > until:
                return False
            if not recording.add(received, payload, Endpoint(self._packed(peer[0]), peer[1]), self._target):
                self.is_full = True
                return False
        return True


def _wait_for_times() -> None:
    """Wait until the kernel stamps datagrams on arrival, some milliseconds after the first socket asked for it.

    Until then it stamps them when they are read. The switch is global to all sockets, so a probe socket shows it.
    """
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # without loopback: no probe
        probe.setblocking(False)
        probe.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        probe.bind(("127.0.0.1", 0))
        for _ in range(_PROBES):
            probe.sendto(b"", probe.getsockname())
            sent = time.time_ns()
            time.sleep(_PROBE_SECONDS)
            if _read_time(probe.recvmsg(1, socket.CMSG_SPACE(_TIMESPEC.size))[1]) <= sent:
                return


def _read_time(control: list[tuple[int, int, bytes]]) -> int:
    for level, kind, content in control:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS) and len(content) == _TIMESPEC.size:
            seconds, rest = _TIMESPEC.unpack(content)
            return int(seconds * 1_000_000_000 + rest)
    return time.time_ns()
