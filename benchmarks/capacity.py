"""The highest rate of each server with less than 0.1 % loss, and the loss while the relay's event loop is blocked.

    python -m benchmarks.capacity [--seconds 1.5] [--servers "relay, native;netdata;npm statsd"]

Open loop: datagrams leave at a fixed rate, whether they are read or not. The rate grows by a quarter until packets are
lost, then the gap is halved three times. Loss is what the kernel dropped at the server's socket; the relay's own total
of lines must agree. The server has core 0 to itself, the load core 1.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.servers import available, relay
from tests.support.server import Server, send
from tests.support.traffic import LINES, datagrams, write

LOSS = 0.001
START = {"full": 4_000.0, "single": 40_000.0}
BLOCKED_RATE = 50_000.0
DEFAULT_BUFFER = "212992"
BLOCKED = """
import time
from relay import clock

async def block(self):
    while True:
        ends = time.monotonic() + 0.5
        while time.monotonic() < ends:
            pass
        await self._clock.sleep(0.5)

clock.LagProbe.run = block
"""
"""A sitecustomize.py, which Python runs at start: it blocks the event loop for 500 ms of each second."""


def main() -> None:
    """Search for every server and shape, then block the event loop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--servers", default="relay, native;netdata;npm statsd")
    options = parser.parse_args()
    wanted = options.servers.split(";")
    with tempfile.TemporaryDirectory() as directory:
        for shape, rate in START.items():
            sent = datagrams(shape)
            traffic = write(sent, Path(directory) / shape)
            print(f"\n{shape:<18}{'datagrams/s':>14}{'lines/s':>14}{'loss':>9}")
            for name, make in available().items():
                if name in wanted:
                    with make() as server:
                        search(server, traffic, LINES / len(sent), options.seconds, rate)
        block(traffic, Path(directory))


def search(server: Server, traffic: Path, per_datagram: float, seconds: float, rate: float) -> None:
    """Find the highest rate without loss; print it."""
    measure(server, traffic, per_datagram, seconds, rate / 2)
    low, high = 0.0, 0.0
    best = (0.0, 0.0)
    while not high:
        reached, loss = measure(server, traffic, per_datagram, seconds, rate)
        if loss >= LOSS or reached < rate * 0.9:
            high = rate
        else:
            low, best, rate = rate, (reached, loss), rate * 1.25
    for _ in range(3):
        reached, loss = measure(server, traffic, per_datagram, seconds, (low + high) / 2)
        if loss < LOSS and reached > best[0]:
            low, best = (low + high) / 2, (reached, loss)
        else:
            high = (low + high) / 2
    print(f"{server.name:<18}{best[0]:>14,.0f}{best[0] * per_datagram:>14,.0f}{best[1]:>9.4%}", flush=True)


def measure(server: Server, traffic: Path, per_datagram: float, seconds: float, rate: float) -> tuple[float, float]:
    """Send at a rate; return the rate that left and the share that was lost."""
    dropped, said = server.drops(), server.lines() if server.lines else 0
    count, took = send(server, traffic, seconds, rate)
    time.sleep(0.5)
    lost = server.drops() - dropped
    if server.lines and server.name == "relay, native":
        missing = (count - lost) * per_datagram - (server.lines() - said)
        if abs(missing) > max(2_000.0, count * per_datagram * 0.002):
            raise RuntimeError(f"{missing:.0f} lines of {count * per_datagram:.0f} are in no total of the relay")
    return count / took, lost / count


def block(traffic: Path, directory: Path) -> None:
    """Send to a relay with a blocked event loop and the default buffer: the reader threads go on."""
    (directory / "sitecustomize.py").write_text(BLOCKED)
    environ = {"PYTHONPATH": str(directory)}
    with relay("native", environ=environ, LISTEN_RECEIVE_BUFFER=DEFAULT_BUFFER) as server:
        dropped = server.drops()
        count, _ = send(server, traffic, 5.0, BLOCKED_RATE)
        time.sleep(1)
        lost = server.drops() - dropped
    print(f"\nevent loop blocked 500 ms of each second, default buffer: {lost} of {count} lost ({lost / count:.4%})")


if __name__ == "__main__":
    main()
