"""One UDP socket: bound, its receive buffer asked and granted, read by a thread or on the loop, drained at stop.

The socket tells what the kernel dropped and how full the queue is. After the loop has stopped reading, what is still in
the queue is taken, so that a stop loses nothing that has arrived.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from typing import TYPE_CHECKING, Final, Protocol

from relay import limits
from relay.config.rules import parse_address
from relay.errors import ExitCode, Problem, RelayError
from relay.listener.owner import find_owner
from relay.listener.reader import Reader, ReaderThread

if TYPE_CHECKING:
    from relay.clock import Clock

_SO_RCVBUFFORCE: Final = 33
_SO_MEMINFO: Final = 55
_MEMINFO: Final = struct.Struct("9I")
"""linux/sock_diag.h: rmem_alloc, rcvbuf, wmem_alloc, sndbuf, fwd_alloc, wmem_queued, optmem, backlog, drops."""
_TURN: Final = 0.003
"""Seconds of reading before others get their turn."""
_DRAIN_CALLS: Final = 1_000
"""At stop; a sender that does not stop must not keep the relay from stopping."""
_ABSENT: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class Sink(Protocol):
    """Who takes datagrams."""

    def reader(self, fd: int, stop_fd: int, delay: float) -> Reader | None:
        """Return what reads a socket in a thread of its own; None: call `drain` on the loop."""
        ...

    def drain(self, fd: int, now: float) -> int:
        """Take what waits on a socket; 0 if nothing does."""
        ...


class UdpListener:
    """State: a bound socket, the loop that reads it, the datagrams it received."""

    def __init__(  # noqa: PLR0913 - two settings of the address, two of the section, two neighbours
        self,
        *,
        address: str,
        receive_buffer: int,
        sink: Sink,
        clock: Clock,
        receive_delay: float = 0.0,
        optional: bool = False,
        number: int = 1,
    ) -> None:
        self.address = address
        self.asked = receive_buffer
        self._delay = receive_delay
        self._sink = sink
        self._clock = clock
        self._optional = optional
        self._number = number
        self._thread: ReaderThread | None = None
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.skipped = False
        """The address does not exist on this machine, and may."""
        self.bound = ("", 0)
        self.granted = 0
        """Bytes of the receive buffer; the kernel keeps as much again for its own use."""
        self._drained = 0

    @property
    def datagrams(self) -> int:
        """Received so far."""
        return self._drained + (self._thread.datagrams if self._thread else 0)

    def __repr__(self) -> str:
        """Report the address."""
        return f"<UdpListener {self.address}, {self.datagrams} datagrams>"

    @property
    def label(self) -> str:
        """Name of this socket in metrics: `udp://127.0.0.1:8125`; the second one of an address ends in `#2`."""
        host, port = self.bound
        number = f"#{self._number}" if self._number > 1 else ""
        return f"udp://{f'[{host}]' if ':' in host else host}:{port}{number}"

    def open(self) -> None:
        """Bind. The first socket has no SO_REUSEPORT: a second relay on the port is an error, never a silent split.

        Raises:
            RelayError: RLY101, the address cannot be bound.
        """
        host, port = parse_address(self.address)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        except OSError as error:
            self._fail(error, port)
            return
        try:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if self._number > 1:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self.granted = ask_for_buffer(sock, self.asked)
            sock.bind((host, port))
        except OSError as error:
            sock.close()
            self._fail(error, port)
            return
        self.bound = sock.getsockname()[:2]
        self._socket = sock

    def share(self) -> None:
        """Let further listeners, of other numbers, bind the address too; the kernel spreads the senders over them."""
        if self._socket is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)

    def _fail(self, error: OSError, port: int) -> None:
        if self._optional and error.errno in _ABSENT:
            self.skipped = True
            return
        message, fix = f"cannot bind udp {self.address}: {error.strerror}", "listen on another address"
        if error.errno == errno.EADDRINUSE:
            message = f"cannot bind udp {self.address}: in use{find_owner(port)}"
            fix = "stop it, or listen on another port"
        elif error.errno == errno.EACCES:
            fix = "ports below 1024 need CAP_NET_BIND_SERVICE; StatsD's is 8125"
        elif error.errno in _ABSENT:
            fix = "this machine has no such address; 0.0.0.0 means every IPv4 one, [::] every IPv6 one"
        raise RelayError(Problem(code="RLY101", message=message, fix=fix), exit_code=ExitCode.BIND_OR_STATE) from error

    def start(self) -> None:
        """Begin to read: in a thread if the hot path has one, else on the running loop.

        There the hot path drains the socket at a wake-up: 1.5 us each, where a DatagramProtocol of uvloop costs 1.8.
        """
        if self._socket is None:
            return
        fd = self._socket.fileno()
        thread = ReaderThread(lambda stop_fd: self._sink.reader(fd, stop_fd, self._delay))
        if thread:
            self._thread = thread
            thread.start(self.label)
            return
        thread.stop()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(fd, self._read, fd)

    def _read(self, fd: int) -> None:
        """Take what waits, for a few milliseconds: under load a turn of the loop costs as much as six datagrams."""
        ends = self._clock.monotonic() + _TURN
        while self._drain(fd) == limits.DRAIN_DATAGRAMS and self._clock.monotonic() < ends:
            pass

    def _drain(self, fd: int) -> int:
        taken = self._sink.drain(fd, self._clock.wall())
        self._drained += taken
        return taken

    def stop(self) -> None:
        """Stop reading, take what the kernel still holds, close."""
        if self._socket is None:
            return
        if self._thread is not None:
            self._thread.stop()
        if self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
        for _ in range(_DRAIN_CALLS):
            if not self._drain(self._socket.fileno()):
                break
        self._socket.close()
        self._socket = None

    # --- what the kernel says -----------------------------------------------------------------------------------------

    @property
    def kernel_drops(self) -> int:
        """Datagrams the kernel threw away since the socket was bound, because its queue was full."""
        return self._meminfo()[8]

    @property
    def queue_bytes(self) -> int:
        """Memory of what waits in the kernel's queue."""
        return self._meminfo()[0]

    @property
    def limit_bytes(self) -> int:
        """Memory at which the kernel begins to drop."""
        return self._meminfo()[1]

    def _meminfo(self) -> tuple[int, ...]:
        if self._socket is None:
            return (0,) * 9
        return _MEMINFO.unpack(self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))


def ask_for_buffer(sock: socket.socket, size: int) -> int:
    """Ask for a receive buffer, beyond the system's limit if we may; return what was granted, in bytes."""
    for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, size)
        except PermissionError:
            continue
        break
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
