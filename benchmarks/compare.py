"""CPU per line of this relay and its peers, side by side in one run.

    python -m benchmarks.compare [--rounds 5] [--seconds 1.0] [--shapes full,ten,single,tagged] [--plot FILE.png]

Every round sends the same traffic to every server in turn, in a closed loop (the load polls the receiver's queue, so
nothing is lost), then at an ordinary rate (paced). CPU is read from schedstat, lines are those sent; a server's own
count of accepted lines must agree. Figures drift on a shared machine: only ratios inside a round count; their median
and the smallest are printed.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import available
from tests.support.server import Server, send
from tests.support.traffic import SHAPES, datagrams, write

SETTLE = 0.4
PACED = {"paced single": ("single", 30_000.0), "paced full": ("full", 100_000 / 42)}
BATCHES = {"full": 16, "tagged": 16}
OURS = "relay, native"


@dataclass(frozen=True, slots=True)
class Traffic:
    """Datagrams in a file, and the lines of each."""

    path: Path
    sizes: list[int]

    def lines(self, count: int) -> int:
        """Return the lines of the first `count` datagrams of an endless repetition."""
        passes, rest = divmod(count, len(self.sizes))
        return passes * sum(self.sizes) + sum(self.sizes[:rest])


Cost = dict[str, list[float]]


def main() -> None:
    """Measure, print one table a shape, maybe plot."""
    options = read_options()
    costs: dict[str, Cost] = {}
    with tempfile.TemporaryDirectory() as directory:
        for shape in options.shapes.split(","):
            costs[shape] = measure(shape, options, Path(directory))
            report(shape, costs[shape])
    if options.plot:
        plot(costs, options.plot)


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--shapes", default=",".join([*SHAPES, *PACED]))
    parser.add_argument("--plot")
    return parser.parse_args()


def measure(shape: str, options: argparse.Namespace, directory: Path) -> Cost:
    """Return CPU seconds per million lines, by server and round; the first round warms up."""
    source, rate = PACED.get(shape, (shape, 0.0))
    sent = datagrams(source)
    traffic = Traffic(write(sent, directory / source), [datagram.count(b"\n") + 1 for datagram in sent])
    costs: Cost = {}
    with ExitStack() as stack:
        servers = [stack.enter_context(make()) for make in available().values()]
        for number in range(options.rounds + 1):
            for server in servers:
                cost = one_turn(server, traffic, options.seconds, rate, BATCHES.get(source, 64))
                if number:
                    costs.setdefault(server.name, []).append(cost)
    return costs


def one_turn(server: Server, traffic: Traffic, seconds: float, rate: float, batch: int) -> float:
    """Send for a while; return CPU seconds per million lines."""
    cpu, dropped = server.cpu(), server.drops()
    said = server.lines() if server.lines else 0
    count, _ = send(server, traffic.path, seconds, rate, batch)
    time.sleep(SETTLE)
    spent = server.cpu() - cpu
    lost = server.drops() - dropped
    lines = traffic.lines(count)
    if lost:
        print(f"  {server.name}: {lost} of {count} datagrams dropped by the kernel")
    elif server.lines and server.lines() - said != lines:
        raise RuntimeError(f"{server.name} accepted {server.lines() - said} of {lines} lines")
    return spent / (lines * (1 - lost / count)) * 1e6


def report(shape: str, costs: Cost) -> None:
    """Print a table: CPU per million lines, and how much of each server's cost ours is."""
    print(f"\n{shape:<24}{'CPU s per M lines':>20}{'ours / theirs':>16}{'smallest':>10}")
    for name, rounds in sorted(costs.items(), key=lambda item: statistics.median(item[1])):
        ratios = [ours / theirs for ours, theirs in zip(costs[OURS], rounds, strict=True)]
        print(f"{name:<24}{statistics.median(rounds):>20.3f}{statistics.median(ratios):>16.3f}{min(ratios):>10.3f}")


def plot(costs: dict[str, Cost], path: str) -> None:
    """Draw CPU per line by server and shape, logarithmic."""
    import matplotlib.pyplot as plt  # noqa: PLC0415 - needed for --plot only

    figure, axes = plt.subplots(figsize=(9, 4.5))
    names = list(next(iter(costs.values())))
    width = 0.8 / len(names)
    for number, name in enumerate(names):
        medians = [statistics.median(cost[name]) for cost in costs.values()]
        axes.bar([at + number * width for at in range(len(costs))], medians, width, label=name)
    axes.set_yscale("log")
    axes.set_ylabel("CPU seconds per million lines")
    axes.set_xticks([at + 0.4 - width / 2 for at in range(len(costs))], list(costs))
    axes.legend(fontsize="small", ncols=2)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
