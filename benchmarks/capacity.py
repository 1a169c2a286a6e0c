"""The highest rate each server takes with less than 0.1 % loss (P5), and what a hogged event loop costs (P8).

    python -m benchmarks.capacity [--seconds 1.5] [--servers "relay, native;netdata;npm statsd"]

Open loop: datagrams leave at a rate, whether they are read or not. The rate grows by a quarter until something is lost,
then the gap is halved three times. Loss is what the kernel dropped at the server's socket; for the relay its own total
of lines must say the same. The server has core 0 to itself, the load core 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.compare import write
from benchmarks.servers import Server, available, relay, send
from benchmarks.traffic import LINES, datagrams

LOSS = 0.001
START = {"full": 4_000.0, "single": 40_000.0}
HOG_RATE = 50_000.0
DEFAULT_BUFFER = "212992"
HOGGED = """
import sys, time
from relay import app, cli

async def hog(self):
    while True:
        ends = time.monotonic() + 0.5
        while time.monotonic() < ends:
            pass
        await self._clock.sleep(0.5)

app.Relay._probe_lag = hog
sys.argv = ["statsd-relay", "run"]
cli.main()
"""


def main() -> None:
    """Search for every server and shape, then hog."""
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
        hog(traffic)


def search(server: Server, traffic: Path, per_datagram: float, seconds: float, rate: float) -> None:
    """Find the highest rate without loss; print it."""
    trial(server, traffic, per_datagram, seconds, rate / 2)
    low, high = 0.0, 0.0
    best = (0.0, 0.0)
    while not high:
        reached, loss = trial(server, traffic, per_datagram, seconds, rate)
        if loss >= LOSS or reached < rate * 0.9:
            high = rate
        else:
            low, best, rate = rate, (reached, loss), rate * 1.25
    for _ in range(3):
        reached, loss = trial(server, traffic, per_datagram, seconds, (low + high) / 2)
        if loss < LOSS and reached > best[0]:
            low, best = (low + high) / 2, (reached, loss)
        else:
            high = (low + high) / 2
    print(f"{server.name:<18}{best[0]:>14,.0f}{best[0] * per_datagram:>14,.0f}{best[1]:>9.4%}", flush=True)


def trial(server: Server, traffic: Path, per_datagram: float, seconds: float, rate: float) -> tuple[float, float]:
    """Send at a rate; return the rate that left and the share that was lost."""
    dropped, said = server.drops(), server.lines() if server.lines else 0
    count, took = send(server, traffic, seconds, rate)
    time.sleep(0.5)
    lost = server.drops() - dropped
    if server.lines and server.name == "relay, native":
        missing = (count - lost) * per_datagram - (server.lines() - said)
        if abs(missing) > max(2_000.0, count * per_datagram * 0.002):
            raise RuntimeError(f"{missing:.0f} lines of {count * per_datagram:.0f} are in no total")
    return count / took, lost / count


def hog(traffic: Path) -> None:
    """Block the relay's event loop 500 ms of each second, default buffer, 50,000 datagrams/s: the reader goes on."""
    with relay("native", [sys.executable, "-c", HOGGED], LISTEN_RECEIVE_BUFFER=DEFAULT_BUFFER) as server:
        dropped = server.drops()
        count, _ = send(server, traffic, 5.0, HOG_RATE)
        time.sleep(1)
        lost = server.drops() - dropped
    print(f"\nevent loop hogged 500 ms of each second, default buffer: {lost} of {count} lost ({lost / count:.4%})")


if __name__ == "__main__":
    main()
