"""The real npm statsd with its Graphite back end, as the daemon that a relay is compared with."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from tests.support.node import install
from tests.support.relay import free_port
from tests.support.tools import need

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class OldDaemon(NamedTuple):
    address: tuple[str, int]
    """Of its UDP socket."""
    config: Path
    process: subprocess.Popen


@contextmanager
def old_daemon(scratch: Path, *, to: int, port: int = 0, **settings: object) -> Iterator[OldDaemon]:
    """Run statsd, with a flush a second to a Graphite port of loopback.

    Args:
        scratch: directory for its configuration.
        to: the Graphite port.
        port: of its UDP socket; 0: a free one.
        settings: of its configuration.
    """
    need("NODE")
    port, console = port or free_port(), free_port(socket.SOCK_STREAM)
    config = {
        "address": "127.0.0.1",
        "port": port,
        "mgmt_address": "127.0.0.1",
        "mgmt_port": console,
        "flushInterval": 1000,
        "backends": ["./backends/graphite"],
        "graphiteHost": "127.0.0.1",
        "graphitePort": to,
        **settings,
    }
    path = scratch / f"config-{port}.js"
    path.write_text(json.dumps(config))
    command = ["node", "--no-deprecation", "stats.js", str(path)]
    directory = install() / "statsd"
    with subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]}) as node:
        try:
            _wait_for(console)
            yield OldDaemon(("127.0.0.1", port), path, node)
        finally:
            node.kill()


def _wait_for(port: int) -> None:
    """Wait until it answers on its console: then it listens for datagrams, too."""
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert time.monotonic() < deadline, "statsd did not start"
            time.sleep(0.02)
        else:
            return
