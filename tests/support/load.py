"""A steady load with packets that the totals tell apart: the generator of the conservation oracle.

**Encoding.** Packet n is one counter line. Thirteen packets share a series and add 16^0, 16^1 ... 16^12 to it, so the
hexadecimal digits of a series' total say how often each of its packets was counted: 1 is right, 0 lost, 2 or more
duplicated, and a digit of a packet that was never sent is an invention. Totals stay below 2^53 and are exact. A group
of 13 x `width` packets uses its own series; neighbours in time belong to different series, so that a series lives for
about a window, and windows, restarts and kills cut through it.

It runs in its own process, so that a test's event loop does not slow it down; started as a file it imports nothing of
this repository. Over stream and Unix sockets it waits for a slow receiver, and tries a missing one again until the time
is over, so a packet that is not counted was not sent. A UDP packet counts as sent when the kernel accepted it, even
without a receiver. Lines that a kernel held for a TCP connection that broke count as sent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DIGITS = 13
BASE = 16
_BURST = 64
"""Most packets at once when the generator is behind; it catches up in steps of a millisecond."""
_RETRY = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Packets that a generator has sent: 0 ... count - 1."""

    name: str
    width: int
    count: int
    seconds: float
    breaks: int = 0
    """Connections that broke."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a packet is counted: a metric and a digit of its total."""

    metric: str
    digit: int


def place(number: int, *, name: str, width: int) -> Place:
    """Return where packet `number` is counted."""
    group, rest = divmod(number, DIGITS * width)
    digit, series = divmod(rest, width)
    return Place(f"{name}.{group}.{series}", digit)


def number_of(metric: str, digit: int, *, name: str, width: int) -> int | None:
    """Return the number of the packet at a place, the reverse of `place`; None without one."""
    group, _, series = metric.removeprefix(f"{name}.").partition(".")
    if not (metric.startswith(f"{name}.") and group.isdigit() and series.isdigit() and int(series) < width):
        return None
    return int(group) * DIGITS * width + digit * width + int(series)


def lines(name: str, width: int) -> Iterator[bytes]:
    """Yield the line of packet 0, 1, ... without end."""
    group = 0
    while True:
        for digit in range(DIGITS):
            for series in range(width):
                yield b"%s.%d.%d:%d|c" % (name.encode(), group, series, BASE**digit)
        group += 1


class Load:
    """State: the generator's process. Start it, inject faults, `await stop()`.

    Args:
        to: `udp:HOST:PORT`, `unix:PATH` (datagrams), `stream:PATH` or `tcp:HOST:PORT`.
        rate: packets a second, paced in milliseconds.
        seconds: at most; `stop` ends it earlier.
        spread: seconds over which the packets of one series are spread; about a window.
        name: metric prefix; generators that run at the same time need different ones.
    """

    def __init__(
        self, to: str, *, rate: float = 8000, seconds: float = 60, spread: float = 1.0, name: str = "load"
    ) -> None:
        self._name, self._width = name, max(1, ceil(rate * spread / DIGITS))
        command = [sys.executable, __file__, to, name, str(self._width), str(rate), str(seconds)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd="/")

    def __repr__(self) -> str:
        return f"<Load {self._name} {'running' if self.process.poll() is None else 'ended'}>"

    async def wait(self) -> Sent:
        """Wait until its seconds are over."""
        output, _ = await asyncio.to_thread(self.process.communicate)
        assert self.process.returncode == 0, f"the generator failed: {output!r}"
        return Sent(name=self._name, width=self._width, **json.loads(output.splitlines()[-1]))

    async def stop(self) -> Sent:
        """Stop the generator; one that was just started is stopped once it can report what it sent."""
        await asyncio.to_thread(self.process.stdout.readline)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return await self.wait()

    def kill(self) -> None:
        """Clean up after a test that failed."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


# --- the process -----------------------------------------------------------------------------------------------------


class _Outlet:
    """State: the socket, connected again when it breaks."""

    def __init__(self, to: str, deadline: float) -> None:
        self._kind, _, self._rest = to.partition(":")
        self._deadline = deadline
        self._sock: socket.socket | None = None
        self._stream = self._kind in ("tcp", "stream")
        self.breaks = 0

    def send(self, line: bytes) -> bool:
        """Send a packet, with retries until the time is over; return whether it was sent."""
        while True:
            try:
                if self._sock is None:
                    self._sock = self._open()
                if self._stream:
                    self._sock.sendall(line + b"\n")
                else:
                    self._sock.sendto(line, self._address())
            except OSError:
                self._close()
                if time.monotonic() > self._deadline:
                    return False
                time.sleep(_RETRY)
            else:
                return True

    def _address(self) -> str | tuple[str, int]:
        if self._kind in ("unix", "stream"):
            return self._rest
        host, _, port = self._rest.rpartition(":")
        return host.strip("[]"), int(port)

    def _open(self) -> socket.socket:
        family = socket.AF_UNIX if self._kind in ("unix", "stream") else socket.AF_INET
        if family == socket.AF_INET and ":" in self._address()[0]:
            family = socket.AF_INET6
        sock = socket.socket(family, socket.SOCK_STREAM if self._stream else socket.SOCK_DGRAM)
        if self._stream:
            sock.settimeout(5)
            sock.connect(self._address())
        return sock

    def _close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self.breaks += self._stream
        self._sock = None


def main() -> None:
    """Send until the time is over or SIGTERM; print a line once SIGTERM is handled, then the result as JSON."""
    parser = argparse.ArgumentParser()
    for argument, type_ in (("to", str), ("name", str), ("width", int), ("rate", float), ("seconds", float)):
        parser.add_argument(argument, type=type_)
    options = parser.parse_args()
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    print("sending", flush=True)  # noqa: T201
    began = time.monotonic()
    outlet = _Outlet(options.to, began + options.seconds)
    packets, count, alive = lines(options.name, options.width), 0, True
    while alive and not stopped and (elapsed := time.monotonic() - began) < options.seconds:
        for _ in range(min(_BURST, int(elapsed * options.rate) - count)):
            if not (alive := outlet.send(next(packets))):
                break
            count += 1
        time.sleep(0.001)
    print(json.dumps({"count": count, "seconds": time.monotonic() - began, "breaks": outlet.breaks}))  # noqa: T201


if __name__ == "__main__":
    main()
