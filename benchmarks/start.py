"""How long packets wait when a worker starts (P14): from fork to the first one read, on a socket that is held.

    python -m benchmarks.start [--rounds 11]

The interpreter alone, which no code of ours can shorten, is measured beside it.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from relay.assembly import ingest_settings
from relay.config.loading import load
from relay.listener.sockets import INGEST, SUPERVISOR, UDP, Held, give

SO_MEMINFO = 55


def waits(sock: socket.socket) -> bool:
    """Say whether a packet is in the socket's queue."""
    return struct.unpack("9I", sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))[0] > 0


def start_worker(sock: socket.socket, state: str) -> float:
    """Start a worker on a socket with packets in it; return the seconds until they are read."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": state,
        "STATSD_RELAY_CLOUD_PROVIDER": "file",
        "STATSD_RELAY_CLOUD_FILE": f"{state}/requests",
        "STATSD_RELAY_SPOOL_PATH": state,
        "STATSD_RELAY_ADMIN_LISTEN": "",
        SUPERVISOR: str(os.getpid()),
        INGEST: ingest_settings(load(None, {}).config).to_json(),
    }
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"hits:1|c", sock.getsockname())
    began = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1)
        os.dup2(devnull, 2)
        give([Held(UDP, sock)], environ)
        os.execve(sys.executable, [sys.executable, "-m", "relay", "run"], environ)
    while waits(sock):
        time.sleep(0.0002)
    took = time.perf_counter() - began
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return took


def start_interpreter() -> float:
    """Return the seconds that an interpreter which does nothing lives."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - began


def main() -> None:
    """Print medians and minimums."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as state, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        Path(state).chmod(0o700)
        sock.bind(("127.0.0.1", 0))
        found: dict[str, list[float]] = {"interpreter alone": [], "first packet read": []}
        for _ in range(rounds):
            found["interpreter alone"].append(start_interpreter())
            found["first packet read"].append(start_worker(sock, state))
    for name, seconds in found.items():
        print(f"{name:<20} median {1000 * statistics.median(seconds):6.1f} ms   least {1000 * min(seconds):6.1f} ms")


if __name__ == "__main__":
    main()
