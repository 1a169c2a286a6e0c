"""One socket of datagrams: bound, its receive buffer asked and granted, read by a thread or on the loop, then drained.

The socket tells what the kernel dropped and how full the queue is. After the loop has stopped reading, what is still in
the queue is taken, so that a stop loses nothing that has arrived.
"""

from __future__ import annotations

import os
import socket
import struct
from threading import Thread
from typing import TYPE_CHECKING, Final, Protocol

from relay import limits
from relay.listener.bind import granted_buffer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from relay.clock import Clock


# --- reader ----------------------------------------------------------------------------------------------------------

# A reader thread: one socket, read by native code that never takes the GIL.


class Reader(Protocol):
    """The body of the thread."""

    @property
    def datagrams(self) -> int:
        """Received so far."""
        ...

    def run(self) -> None:
        """Read until the stop descriptor is readable, then take what still waits."""


class ReaderThread:
    """State: the thread, and the descriptor that ends it."""

    def __init__(self, make: Callable[[int], Reader | None]) -> None:
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._reader = make(self._stop)
        self._thread: Thread | None = None

    def __repr__(self) -> str:
        """Report the datagrams."""
        return f"<ReaderThread {self.datagrams} datagrams>"

    def __bool__(self) -> bool:
        """Whether there is something to run: Python's hot path reads on the loop."""
        return self._reader is not None

    @property
    def datagrams(self) -> int:
        """Received so far."""
        return self._reader.datagrams if self._reader else 0

    def start(self, name: str) -> None:
        """Begin to read."""
        if self._reader is not None:
            self._thread = Thread(target=self._reader.run, name=name)
            self._thread.start()

    def stop(self) -> None:
        """Let it take what waits, and end; takes milliseconds."""
        if self._thread is not None:
            os.eventfd_write(self._stop, 1)
            self._thread.join()
        os.close(self._stop)


_SO_MEMINFO: Final = 55
_MEMINFO: Final = struct.Struct("9I")
"""linux/sock_diag.h: rmem_alloc, rcvbuf, wmem_alloc, sndbuf, fwd_alloc, wmem_queued, optmem, backlog, drops."""
_TURN: Final = 0.003
"""Seconds of reading before others get their turn."""
_DRAIN_CALLS: Final = 1_000
"""At stop; a sender that does not stop must not keep the relay from stopping."""


def read_meminfo(sock: socket.socket) -> tuple[int, ...]:
    """Return what the kernel says of a socket, as in `_MEMINFO`; item 8: datagrams it dropped as the queue was full."""
    return _MEMINFO.unpack(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))


class Sink(Protocol):
    """Who takes datagrams."""

    def reader(self, fd: int, stop_fd: int, delay: float) -> Reader | None:
        """Return what reads a socket in a thread of its own; None: call `drain` on the loop."""
        ...

    def drain(self, fd: int, now: float) -> int:
        """Take what waits on a socket; 0 if nothing does."""
        ...


class UdpListener:
    """State: a bound socket, what reads it, the datagrams it received."""

    def __init__(  # noqa: PLR0913 - the socket, two settings of the section, two neighbours
        self,
        sock: socket.socket,
        *,
        receive_buffer: int,
        sink: Sink,
        clock: Clock,
        receive_delay: float = 0.0,
        number: int = 1,
        is_held: bool = False,
    ) -> None:
        self.asked = receive_buffer
        self._delay = receive_delay
        self._sink = sink
        self._clock = clock
        self._number = number
        self._is_held = is_held
        """Somebody else keeps the socket open, for the next worker: `stop` must not close it."""
        self._thread: ReaderThread | None = None
        self._socket: socket.socket | None = sock
        self._loop: asyncio.AbstractEventLoop | None = None
        self.bound: tuple[str, int] = sock.getsockname()[:2]
        self.granted = granted_buffer(sock)
        """Bytes of the receive buffer; the kernel keeps as much again for its own use."""
        self._drained = 0

    @property
    def datagrams(self) -> int:
        """Received so far."""
        return self._drained + (self._thread.datagrams if self._thread else 0)

    def __repr__(self) -> str:
        """Report the address."""
        return f"<UdpListener {self.label}, {self.datagrams} datagrams>"

    @property
    def label(self) -> str:
        """Name of this socket in metrics: `udp://127.0.0.1:8125`; the second one of an address ends in `#2`."""
        host, port = self.bound
        number = f"#{self._number}" if self._number > 1 else ""
        return f"udp://{f'[{host}]' if ':' in host else host}:{port}{number}"

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
        import asyncio  # noqa: PLC0415 - a worker whose reader is native starts reading before it is imported

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
        """Stop reading, take what the kernel still holds; close, unless the socket is held for the next worker."""
        if self._socket is None:
            return
        if self._thread is not None:
            self._thread.stop()
        if self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
        for _ in range(_DRAIN_CALLS):
            if not self._drain(self._socket.fileno()):
                break
        if not self._is_held:
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
        return read_meminfo(self._socket) if self._socket else (0,) * 9


class UnixListener(UdpListener):
    """State: as of a UDP socket; but the kernel drops nothing here, it lets senders wait.

    Its queue is short, 10 datagrams by default, and every sender waits when it is full: so there is no delay, whatever
    the reader could save by one, and no buffer to ask for.
    """

    def __init__(self, sock: socket.socket, *, sink: Sink, clock: Clock, is_held: bool = False) -> None:
        super().__init__(sock, receive_buffer=0, sink=sink, clock=clock, is_held=is_held)
        self._path = sock.getsockname()

    @property
    def label(self) -> str:
        """Name of this socket in metrics: `unix-dgram:PATH`."""
        return f"unix-dgram:{self._path}"
