"""The reference daemon, statsd/statsd of npm, and what is around it: its proxy, its checks."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.node import expect_node, install
from tests.support.relay import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GRAPHITE = {"backends": ["./backends/graphite"], "graphiteHost": "127.0.0.1"}
"""Settings of a daemon that flushes to `graphitePort`."""


class Node:
    """A program of the npm package with a UDP port and a management port."""

    def __init__(self, directory: Path, program: str, *, port: int = 0, **settings) -> None:
        self.udp, self.console = port or free_port(), free_port(socket.SOCK_STREAM)
        self.address = ("127.0.0.1", self.udp)
        self.package = install() / "statsd"
        self._log = directory / f"{program}-{self.udp}.log"
        self.config = directory / f"{program}-{self.udp}.json"
        # A file of settings is a JavaScript object, so JSON will do.
        self.config.write_text(
            json.dumps(
                {
                    "port": self.udp,
                    "address": "127.0.0.1",
                    "mgmt_port": self.console,
                    "mgmt_address": "127.0.0.1",
                    **settings,
                }
            )
        )
        command = ["node", "--no-deprecation", self.package / program, self.config]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.package, env={"PATH": os.environ["PATH"]}
            )

    def wait(self) -> None:
        """Return when it answers."""
        deadline = time.monotonic() + 20
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                if ask(self.console, b"health").startswith(b"health: "):
                    return
            except OSError:
                time.sleep(0.02)
        raise AssertionError(self.text())

    def text(self) -> str:
        return self._log.read_text()

    def send(self, *datagrams: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for datagram in datagrams:
                sock.sendto(datagram, self.address)

    def counters(self) -> dict[str, float]:
        """Return its counters, and its own figures as `statsd.*`."""
        text = ask(self.console, b"counters\n").decode()
        return {name: float(value) for name, value in re.findall(r"'?([\w.]+)'?: (-?[\d.]+)", text)}

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


@contextmanager
def running(directory: Path, program: str = "stats.js", **settings) -> Iterator[Node]:
    """Run a program of the package until it answers; the test is skipped where there is no node."""
    expect_node()
    node = Node(directory, program, **settings)
    try:
        node.wait()
        yield node
    finally:
        node.stop()


def ask(port: int, command: bytes) -> bytes:
    """Send bytes to a management port, then end of file; return the reply."""
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(command)
        sock.shutdown(socket.SHUT_WR)
        found = b""
        while chunk := sock.recv(1 << 16):
            found += chunk
        return found


def wait_until(true, *, within: float = 10) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.02)
