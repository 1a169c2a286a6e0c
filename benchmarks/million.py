"""A million series with three tags: memory, and the close of their window at 500,000 lines/s.

    python -m benchmarks.million [--series 1000000] [--rate 500000]

A relay without percentiles gets every series once, and again and again at that rate while its window of a minute
closes. Its metrics give the time of the close and the lag of the event loop, the kernel gives the drops.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.servers import relay
from tests.support.server import Server, send
from tests.support.traffic import pack, write

KINDS = (b"c", b"c", b"g", b"ms", b"c")


def main() -> None:
    """Run once and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=500_000, help="lines a second")
    options = parser.parse_args()
    sent = datagrams(options.series)
    settings = {
        "LIMITS_SERIES": str(2 * options.series),
        "LIMITS_MEMORY": "4GiB",
        "WINDOW_SECONDS": "60",
        "WINDOW_PERCENTILES": "",
    }
    with tempfile.TemporaryDirectory() as directory, relay("native", **settings) as server:
        empty = server.rss()
        run(server, write(sent, Path(directory) / "traffic"), options.rate * len(sent) / options.series, empty)


def datagrams(series: int) -> list[bytes]:
    """Return one line of every series, in a random order, in full datagrams."""
    rng = random.Random(1)
    order = list(range(series))
    rng.shuffle(order)
    return pack(
        b"svc%d.requests%d:%d|%b|#env:prod,host:web-%d,route:r%d"
        % (n % 100, n % 5000, n % 997, KINDS[n % 5], n // 5000, n % 31)
        for n in order
    )


def run(server: Server, traffic: Path, rate: float, empty: float) -> None:
    """Begin with a fresh minute; watch until its window is closed."""
    time.sleep(60 - time.time() % 60)
    first = metric(server, "relay_windows_closed_total")
    cpu, lags = server.cpu(), []
    with ThreadPoolExecutor(1) as sender:
        sending = sender.submit(send, server, traffic, 95.0, rate)
        time.sleep(50)
        print(f"series {metric(server, 'relay_series'):,.0f}, PSS {empty:.0f} -> {server.rss():.0f} MB")
        while metric(server, "relay_windows_closed_total") == first:
            lags.append(metric(server, "relay_loop_lag_seconds"))
            time.sleep(0.25)
        seconds = metric(server, "relay_window_close_seconds")
        print(f"closed in {seconds:.1f} s, loop lag at most {max(lags) * 1000:.0f} ms")
        print(f"PSS {server.rss():.0f} MB, CPU {(server.cpu() - cpu):.1f} s since the minute began")
        count, took = sending.result()
    time.sleep(1)
    print(f"{server.drops()} of {count} datagrams dropped in {took:.0f} s")


def metric(server: Server, name: str) -> float:
    """Read one of the relay's own metrics."""
    return float(server.metrics().partition(f"\n{name} ")[2].split()[0])


if __name__ == "__main__":
    main()
