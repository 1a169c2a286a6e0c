"""Daemons that get copies: real sockets, read whenever a test wants to know, and the real npm statsd."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from tests.support.node import install
from tests.support.relay import free_port
from tests.support.tools import need

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Daemon:
    """A bound UDP socket with a large buffer; `received` takes what has come."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host = host
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        for option in (33, socket.SO_RCVBUF):  # SO_RCVBUFFORCE
            try:
                self.socket.setsockopt(socket.SOL_SOCKET, option, 32 << 20)
                break
            except PermissionError:
                continue
        self.socket.bind((host, port))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    @property
    def to(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def received(self, count: int | None = None, *, within: float = 5) -> list[bytes]:
        """Return the datagrams that are here; of a `count`, wait for that many."""
        found: list[bytes] = []
        deadline = time.monotonic() + within
        while True:
            try:
                found.append(self.socket.recv(1 << 17))
            except BlockingIOError:
                if count is None or len(found) >= count or time.monotonic() > deadline:
                    return found
                time.sleep(0.002)


class NpmStatsd:
    """The real npm statsd, which flushes nowhere; `counters` asks its console."""

    def __init__(self, port: int, console: int) -> None:
        self.to = f"127.0.0.1:{port}"
        self._console = console

    def counters(self) -> dict[str, float]:
        """Return its counters, and its own figures as `statsd.*`; nothing while it does not answer."""
        try:
            with socket.create_connection(("127.0.0.1", self._console), 5) as sock, sock.makefile("rw") as stream:
                stream.write("counters\n")
                stream.flush()
                text = "".join(iter(stream.readline, "END\n"))
        except ConnectionRefusedError:
            return {}
        return {name: float(value) for name, value in re.findall(r"'?([\w.]+)'?: (-?[\d.]+)", text)}


@contextmanager
def npm_statsd(scratch: Path) -> Iterator[NpmStatsd]:
    """Run it until it answers; `scratch` is a directory for its configuration."""
    need("NODE")
    port, console = free_port(), free_port(socket.SOCK_STREAM)
    config = scratch / "config.js"
    config.write_text(
        f'{{ port: {port}, address: "127.0.0.1", mgmt_port: {console}, backends: [], flushInterval: 9e8 }}'
    )
    command = ["node", "--no-deprecation", install() / "statsd/stats.js", config]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]}) as process:
        try:
            daemon, deadline = NpmStatsd(port, console), time.monotonic() + 20
            while not daemon.counters():
                assert process.poll() is None and time.monotonic() < deadline, "npm statsd did not start"  # noqa: PT018
                time.sleep(0.05)
            yield daemon
        finally:
            process.kill()
