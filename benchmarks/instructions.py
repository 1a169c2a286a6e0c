"""Instructions a line, counted by callgrind: a gate that does not depend on the load of the machine.

    python -m benchmarks.instructions

feed.c runs four and eight passes over the same traffic; the difference is the cost of lines with known series. Fails
more than 5 % above a target, the margin for another version of gcc.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.traffic import LINES, datagrams, write

TARGETS = {"full": 420, "tagged": 600}
SLACK = 1.05
KERNEL = Path(__file__).parents[1] / "relay/hotpath/native"
FLAGS = ("-O3", "-std=c11", "-D_GNU_SOURCE", "-pthread")


def main() -> None:
    """Compile, count, compare."""
    worst = 0.0
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory) / "feed"
        sources = [Path(__file__).parent / "feed.c", *sorted((KERNEL / "kernel").glob("*.c"))]
        subprocess.run(["gcc", *FLAGS, f"-I{KERNEL}", *sources, "-o", program, "-lm"], check=True)
        for shape, target in TARGETS.items():
            traffic = write(datagrams(shape), Path(directory) / shape)
            few, many = (count(program, traffic, passes) for passes in (4, 8))
            per_line = (many - few) / (4 * LINES)
            worst = max(worst, per_line / target)
            print(f"{shape:<10}{per_line:>8.0f} instructions a line, target {target}")
    if worst > SLACK:
        sys.exit("more instructions than the gate allows")


def count(program: Path, traffic: Path, passes: int) -> int:
    """Return the instructions of one run."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, traffic, str(passes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(re.search(r"Collected : (\d+)", done.stderr)[1])


if __name__ == "__main__":
    main()
