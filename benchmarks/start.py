"""How soon a relay reads its first packet, what it costs while nothing comes (P14), its memory at 10,000 series (P7).

python -m benchmarks.start
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.compare import write
from benchmarks.servers import QUIET, free_port, relay, send, udp_row
from benchmarks.traffic import datagrams
from tests.support.relay import environment

STARTS = 5
IDLE_SECONDS = 10.0


def main() -> None:
    """Start it a few times, then leave one alone."""
    times = [start() for _ in range(STARTS)]
    print(f"start to bound socket: {statistics.median(times) * 1000:.0f} ms (smallest {min(times) * 1000:.0f})")
    with tempfile.TemporaryDirectory() as state, relay("native") as server:
        time.sleep(2)
        cpu = server.cpu()
        time.sleep(IDLE_SECONDS)
        print(f"idle: {(server.cpu() - cpu) / IDLE_SECONDS:.2%} of a core, {server.rss():.0f} MB PSS")
        send(server, write(datagrams("full"), Path(state) / "traffic"), 2.0)
        time.sleep(2)
        print(f"10,000 series: {server.rss():.0f} MB PSS")


def start() -> float:
    """Return seconds from the start of the process to its socket."""
    port = free_port()
    with tempfile.TemporaryDirectory() as state:
        env = environment("http://127.0.0.1:1", state, LISTEN_UDP=f"127.0.0.1:{port}", ADMIN_LISTEN="")
        began = time.perf_counter()
        with subprocess.Popen([sys.executable, "-m", "relay", "run"], stdout=QUIET, stderr=QUIET, env=env) as process:
            while udp_row(port) is None:
                time.sleep(0.002)
            took = time.perf_counter() - began
            os.kill(process.pid, 15)
    return took


if __name__ == "__main__":
    main()
