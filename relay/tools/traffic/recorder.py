"""Receives datagrams with the times at which the kernel did, and hands them to a recording."""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

from relay.tools.traffic.packet import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.tools.traffic.recording import Recording

_SO_TIMESTAMPNS: Final = 35
"""Option and control message (asm-generic/socket.h)."""
_TIMESPEC: Final = struct.Struct("@ll")
_LARGEST: Final = 65_535
_TURN: Final = 256
"""Datagrams between two looks at the time."""
_FLUSH_SECONDS: Final = 0.25
_DRAIN_SECONDS: Final = 2.0
"""At the end, for what the kernel holds."""
_PROBES: Final = 100
_PROBE_SECONDS: Final = 0.002
_PEERS: Final = 1024
"""Addresses remembered in packed form."""


class Ears(Protocol):
    """Time, and waiting for a socket."""

    @property
    def is_interrupted(self) -> bool:
        """Whether to stop; costs nothing to ask."""
        ...

    def monotonic(self) -> float:
        """Seconds; never steps back."""
        ...

    def listen(self, sock: socket.socket, seconds: float) -> None:
        """Return when the socket can be read, after so long, or when interrupted."""
        ...


class Recorder:
    """State: a socket that is recorded; from now on the kernel notes when it receives what waits there.

    Args:
        sock: bound and non-blocking, of IPv4 or IPv6; stays the caller's to close.
    """

    def __init__(self, sock: socket.socket, ears: Ears) -> None:
        self._sock, self._ears = sock, ears
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        _wait_for_times()
        self._space = socket.CMSG_SPACE(_TIMESPEC.size)
        self._packed = lru_cache(_PEERS)(lambda host: socket.inet_pton(sock.family, host.partition("%")[0]))
        host, port = sock.getsockname()[:2]
        self._target = Endpoint(self._packed(host), port)
        self.is_full = False

    def __repr__(self) -> str:
        """Report the port, and whether there was room."""
        return f"<Recorder of port {self._target.port}{', full' if self.is_full else ''}>"

    def run(self, recording: Recording, *, seconds: float, progress: Callable[[], object]) -> None:
        """Record until the time is over, the recording is full, or it is interrupted; all that was taken is written.

        What the kernel had received by then is taken, too.

        Raises:
            OSError: the recording cannot be written.
        """
        ends, flushed = self._ears.monotonic() + seconds, 0.0
        while not self._ears.is_interrupted and not self.is_full and (now := self._ears.monotonic()) < ends:
            if now - flushed >= _FLUSH_SECONDS:
                recording.flush()
                flushed = now
            progress()
            if not self._take(recording):
                self._ears.listen(self._sock, min(ends - now, _FLUSH_SECONDS))
        until, ends = time.time_ns(), self._ears.monotonic() + _DRAIN_SECONDS
        while not self.is_full and self._take(recording, until) and self._ears.monotonic() < ends:
            pass
        recording.flush()

    def _take(self, recording: Recording, until: int | None = None) -> bool:
        """Take what waits, some of it, but nothing received after `until`; return whether there may be more."""
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
    """Return when the kernel notes times as datagrams come: some milliseconds after somebody has asked for them.

    Until then it notes when they are taken. That is one switch for all sockets, so it is seen at any.
    """
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # no loopback: no way to see it
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
