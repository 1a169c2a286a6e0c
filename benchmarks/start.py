"""Start time to the first packet, idle CPU and memory, and memory at 10,000 series.

    python -m benchmarks.start

A worker starts on a socket that its supervisor holds, with a packet in it: the time from fork until that packet is
read. The start of a bare interpreter, the lower bound, is printed beside it. Memory is that of both processes.
"""

from __future__ import annotations

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

from benchmarks.servers import QUIET, relay
from relay.config.loading import load
from relay.daemon.build import ingest_settings
from relay.listener.addresses import UDP, BoundSocket
from relay.listener.socket_activation import INGEST, SUPERVISOR, pass_sockets
from tests.support.relay import environment, free_port
from tests.support.server import send, udp_row
from tests.support.traffic import datagrams, write

STARTS = 11
SO_MEMINFO = 55
SETTINGS = ingest_settings(load(None, {}).config).to_json()
IDLE_SECONDS = 10.0


def main() -> None:
    """Start a relay several times, then leave one idle."""
    times = [start() for _ in range(STARTS)]
    report("start to bound socket", times)
    workers = [(start_interpreter(), start_worker()) for _ in range(STARTS)]
    report("an interpreter alone", [alone for alone, _ in workers])
    report("a worker's first packet", [worker for _, worker in workers])
    with tempfile.TemporaryDirectory() as state, relay("native") as server:
        time.sleep(2)
        cpu = server.cpu()
        time.sleep(IDLE_SECONDS)
        print(f"idle: {(server.cpu() - cpu) / IDLE_SECONDS:.2%} of a core, {server.rss():.0f} MB PSS")
        send(server, write(datagrams("full"), Path(state) / "traffic"), 2.0)
        time.sleep(2)
        print(f"10,000 series: {server.rss():.0f} MB PSS")


def report(what: str, times: list[float]) -> None:
    """Print a line."""
    print(f"{what}: {statistics.median(times) * 1000:.0f} ms (smallest {min(times) * 1000:.0f})")


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


def start_interpreter() -> float:
    """Return the run time of an interpreter that does nothing."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - began


def start_worker() -> float:
    """Start a worker on a socket with a packet in it; return the seconds until the packet is read."""
    with tempfile.TemporaryDirectory() as state, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.sendto(b"hits:1|c", sock.getsockname())
        began = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            become_worker(sock, environment("http://127.0.0.1:1", state, ADMIN_LISTEN=""))
        while struct.unpack("9I", sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))[0]:
            time.sleep(0.0002)
        took = time.perf_counter() - began
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return took


def become_worker(sock: socket.socket, environ: dict[str, str]) -> None:
    """Replace this process by a worker, as a supervisor starts it."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    environ[SUPERVISOR], environ[INGEST] = str(os.getppid()), SETTINGS
    pass_sockets([BoundSocket(UDP, sock)], environ)
    os.execve(sys.executable, [sys.executable, "-m", "relay", "run"], environ)


if __name__ == "__main__":
    main()
