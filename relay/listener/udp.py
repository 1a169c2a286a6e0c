"""Reads one datagram socket, in a native thread or on the event loop, and drains it at stop.

Invariant: after reading has stopped, the datagrams still in the kernel's queue are read, so that a stop loses nothing
that has arrived. The socket also reports the datagrams that the kernel dropped and the fill of its queue.

Does not know: how the socket was bound, what a datagram contains.
"""

from __future__ import annotations

import os
import socket
import struct
from threading import Thread
from typing import TYPE_CHECKING, Final, Protocol

from relay import limits
from relay.listener.addresses import UDP, label_of
from relay.listener.bind import granted_buffer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from relay.clock import Clock


# --- reader thread: native code that never takes the GIL -------------------------------------------------------------


class Reader(Protocol):
    """Body of the reader thread."""

    @property
    def datagrams(self) -> int:
        """Datagrams received so far."""
        ...

    def run(self) -> None:
        """Read until the stop descriptor is readable, then read the datagrams still in the queue."""


class ReaderThread:
    """State: the thread, and the event descriptor that stops it."""

    def __init__(self, make: Callable[[int], Reader | None]) -> None:
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._reader = make(self._stop)
        self._thread: Thread | None = None

    def __bool__(self) -> bool:
        """Whether the hot path reads in a thread; the Python one reads on the loop."""
        return self._reader is not None

    @property
    def datagrams(self) -> int:
        """Datagrams received so far."""
        return self._reader.datagrams if self._reader else 0

    def start(self, name: str) -> None:
        """Start the thread."""
        if self._reader is not None:
            self._thread = Thread(target=self._reader.run, name=name)
            self._thread.start()

    def stop(self) -> None:
        """Stop the thread after it has read the queue; blocks for some milliseconds."""
        if self._thread is not None:
            os.eventfd_write(self._stop, 1)
            self._thread.join()
        os.close(self._stop)


_SO_MEMINFO: Final = 55
_MEMINFO: Final = struct.Struct("9I")
"""linux/sock_diag.h: rmem_alloc, rcvbuf, wmem_alloc, sndbuf, fwd_alloc, wmem_queued, optmem, backlog, drops."""
_TURN: Final = 0.003
"""Longest turn, in seconds; then the loop serves its other callbacks."""
_DRAIN_CALLS: Final = 1_000
"""Maximum number of calls of `drain` at stop; bounded because senders may go on."""


def read_meminfo(sock: socket.socket) -> tuple[int, ...]:
    """Return SO_MEMINFO of a socket, fields as in `_MEMINFO`; item 8: datagrams dropped because the queue was full."""
    return _MEMINFO.unpack(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))


class Sink(Protocol):
    """Consumer of datagrams: the hot path."""

    def reader(self, fd: int, stop_fd: int, delay: float, listener: int = 0) -> Reader | None:
        """Return a reader that runs in its own thread; None: call `drain` on the loop."""
        ...

    def drain(self, fd: int, now: float, listener: int = 0) -> int:
        """Read datagrams from the socket's queue; return their number, 0 if the queue is empty."""
        ...


class UdpListener:
    """State: a bound socket, its reader, the datagrams received."""

    def __init__(  # noqa: PLR0913 - the socket, its numbers, two settings of the section, two neighbours
        self,
        sock: socket.socket,
        *,
        receive_buffer: int,
        sink: Sink,
        clock: Clock,
        receive_delay: float = 0.0,
        number: int = 1,
        index: int = 0,
        is_held: bool = False,
    ) -> None:
        self.asked = receive_buffer
        self._delay = receive_delay
        self._sink = sink
        self._clock = clock
        self._number = number
        self._index = index
        """Number of this socket among all listeners, for `senders`."""
        self._is_held = is_held
        """The supervisor keeps the socket open for the next worker: `stop` must not close it."""
        self._thread: ReaderThread | None = None
        self._socket: socket.socket | None = sock
        self._loop: asyncio.AbstractEventLoop | None = None
        self.bound: tuple[str, int] = sock.getsockname()[:2]
        self.granted = granted_buffer(sock)
        """Bytes of the receive buffer; the kernel keeps as much again for its own use."""
        self._drained = 0

    @property
    def datagrams(self) -> int:
        """Datagrams received so far."""
        return self._drained + (self._thread.datagrams if self._thread else 0)

    @property
    def label(self) -> str:
        """Name of this socket in metrics: `udp://127.0.0.1:8125`; the second one of an address ends in `#2`."""
        return label_of(UDP, self.bound) + (f"#{self._number}" if self._number > 1 else "")

    def start(self) -> None:
        """Begin to read: in a thread if the hot path provides a reader, else on the running loop.

        On the loop the hot path drains the socket at each wake-up: 1.5 us a datagram; uvloop's DatagramProtocol takes
        1.8 us.
        """
        if self._socket is None:
            return
        fd = self._socket.fileno()
        thread = ReaderThread(lambda stop_fd: self._sink.reader(fd, stop_fd, self._delay, self._index))
        if thread:
            self._thread = thread
            thread.start(self.label)
            return
        thread.stop()
        import asyncio  # noqa: PLC0415 - a native reader starts before asyncio is imported

        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(fd, self._read, fd)

    def _read(self, fd: int) -> None:
        """Drain for a few milliseconds: under load one iteration of the loop costs as much as six datagrams."""
        ends = self._clock.monotonic() + _TURN
        while self._drain(fd) == limits.DRAIN_DATAGRAMS and self._clock.monotonic() < ends:
            pass

    def _drain(self, fd: int) -> int:
        taken = self._sink.drain(fd, self._clock.wall(), self._index)
        self._drained += taken
        return taken

    def stop(self) -> None:
        """Stop reading, then drain the queue; close the socket unless it is held for the next worker."""
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

    # --- kernel counters ----------------------------------------------------------------------------------------------

    @property
    def kernel_drops(self) -> int:
        """Datagrams dropped by the kernel since the socket was bound, because the queue was full."""
        return self._meminfo()[8]

    @property
    def queue_bytes(self) -> int:
        """Memory used by the kernel's receive queue."""
        return self._meminfo()[0]

    @property
    def limit_bytes(self) -> int:
        """Size of the receive queue's memory at which the kernel begins to drop."""
        return self._meminfo()[1]

    def _meminfo(self) -> tuple[int, ...]:
        return read_meminfo(self._socket) if self._socket else (0,) * 9


class UnixListener(UdpListener):
    """State: that of `UdpListener`, for a Unix datagram socket.

    The kernel drops nothing here: a full queue (10 datagrams by default) makes the senders wait. So `receive_delay` is
    0, although a delay would save wake-ups, and no receive buffer is asked for.
    """

    def __init__(self, sock: socket.socket, *, sink: Sink, clock: Clock, index: int = 0, is_held: bool = False) -> None:
        super().__init__(sock, receive_buffer=0, sink=sink, clock=clock, index=index, is_held=is_held)
        self._path = sock.getsockname()

    @property
    def label(self) -> str:
        """Name of this socket in metrics: `unix-dgram:PATH`."""
        return label_of("unix-dgram", self._path)
