"""Daemons that receive copies: real sockets that a test reads."""

from __future__ import annotations

import socket
import time
from typing import Self


class Daemon:
    """A bound UDP socket with a large buffer; `received` reads it."""

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
        """Return the datagrams that arrived; with `count`, wait for that many."""
        found: list[bytes] = []
        deadline = time.monotonic() + within
        while True:
            try:
                found.append(self.socket.recv(1 << 17))
            except BlockingIOError:
                if count is None or len(found) >= count or time.monotonic() > deadline:
                    return found
                time.sleep(0.002)
