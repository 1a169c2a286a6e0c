"""A day without the cloud: 1,440 windows of 500 points through the real spool and senders, then the cloud is back.

    python -m benchmarks.outage [--windows N] [--points N] [--directory DIR]

Prints bytes on disk for each point, requests while the breaker is open, how long the backlog takes, whether the newest
window goes first, and how many hours [spool] max = 1 GiB holds.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from tests.support.outage import Outage


def main() -> None:
    """Run it once and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=1440)
    parser.add_argument("--points", type=int, default=500)
    parser.add_argument("--directory", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        outage = Outage(Path(directory), windows=options.windows, points=options.points)
        for line in asyncio.run(outage.run()).lines():
            print(line)


if __name__ == "__main__":
    main()
