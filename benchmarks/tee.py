"""The cost of a tee: CPU of the relay without one, with one to a daemon that reads, and with one to a closed port.

    python -m benchmarks.tee [--rounds 5] [--seconds 1.0]

The same traffic goes to each in turn, in a closed loop, as in compare.py. Over loopback the sender of a copy also does
the kernel's work of the receiving side. The daemon is the bare loop of recvmmsg.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from benchmarks.compare import BATCHES, PACED, SETTLE, Traffic
from benchmarks.servers import floor, relay
from tests.support.relay import free_port
from tests.support.server import Server, send
from tests.support.traffic import SHAPES, datagrams, write


def main() -> None:
    """Measure every shape and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--shapes", default=",".join([*SHAPES, *PACED]))
    options = parser.parse_args()
    print(f"{'CPU s per M lines':<20}{'no tee':>10}{'one tee':>10}{'times':>8}{'us a copy':>12}{'closed':>10}{'us':>8}")
    with tempfile.TemporaryDirectory() as directory:
        for shape in options.shapes.split(","):
            measure(shape, options, Path(directory))


def measure(shape: str, options: argparse.Namespace, directory: Path) -> None:
    """Print the medians of a shape's rounds, and what a copy adds to a datagram."""
    source, rate = PACED.get(shape, (shape, 0.0))
    sent = datagrams(source)
    traffic = Traffic(write(sent, directory / source), [datagram.count(b"\n") + 1 for datagram in sent])
    costs: list[list[float]] = []
    with ExitStack() as stack:
        daemon = stack.enter_context(floor())
        targets = [[], [daemon.port], [free_port()]]
        servers = [
            stack.enter_context(relay("native", TEE=json.dumps([{"to": f"127.0.0.1:{port}"} for port in ports])))
            for ports in targets
        ]
        for server in servers:
            wait_for(server)
        for number in range(options.rounds + 1):
            turn = [one_turn(server, traffic, options.seconds, rate) for server in servers]
            costs += [turn] if number else []
    without, read, closed = (statistics.median(column) for column in zip(*costs, strict=True))
    times = statistics.median(turn[1] / turn[0] for turn in costs)
    lines = sum(traffic.sizes) / len(traffic.sizes)
    print(
        f"{shape:<20}{without:>10.3f}{read:>10.3f}{times:>8.2f}{(read - without) * lines:>12.2f}"
        f"{closed:>10.3f}{(closed - without) * lines:>8.2f}"
    )


def wait_for(server: Server) -> None:
    """Wait until the admin port answers, which opens after the sockets that receive."""
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        with suppress(OSError):
            server.metrics()
            return
        time.sleep(0.1)


def one_turn(server: Server, traffic: Traffic, seconds: float, rate: float) -> float:
    """Send for a while and wait until all of it is accepted; return CPU seconds per million lines."""
    cpu, said = server.cpu(), server.lines()
    count, _ = send(server, traffic.path, seconds, rate, BATCHES.get(traffic.path.name, 64))
    lines = traffic.lines(count)
    for _ in range(25):
        time.sleep(SETTLE)
        spent = server.cpu() - cpu
        if server.lines() - said == lines:
            return spent / lines * 1e6
    raise RuntimeError(
        f"{server.name} accepted {server.lines() - said} of {lines} lines; {server.drops()} datagrams were dropped"
    )


if __name__ == "__main__":
    main()
