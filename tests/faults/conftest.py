"""Fixtures of the fault tests. README.md says how to write one; the table of all rows is table.py."""

from __future__ import annotations

import fcntl
import os
import socket
from typing import TYPE_CHECKING

import pytest

from tests.faults.table import HERE
from tests.support.canary import Canary
from tests.support.load import Load
from tests.support.relay import SECRET, RelayProcess, environment, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMEOUTS = {"soak": 1800, "alone": 1800, "full": 900, "fast": 180}
"""Timeout of the tests of each tier, in seconds: it ends a test that hangs. Waits inside a test have their own."""


@pytest.fixture
def figure(request) -> Callable[[int, object], None]:
    """`figure(row, text)`: add a figure to the table; it may be called several times."""

    def add(row: int, text: object) -> None:
        request.node.user_properties.append(("figure", (row, str(text))))

    return add


@pytest.fixture(autouse=True)
def canary(request, tmp_path) -> Iterator[Canary]:
    """The secrets of every relay that `start` starts; the files that a test leaves behind hold none of them."""
    canary = Canary({SECRET})
    yield canary
    assert canary.search(tmp_path) == []
    request.node.user_properties.append(("searched", (canary.files, canary.bytes)))


@pytest.fixture
def settings(emulator, tmp_path) -> Callable[..., dict[str, str]]:
    """`settings(TABLE_KEY="value")`: the environment of a relay that sends to the emulator.

    Its state is in tmp_path/state, its ports are fixed so that it can be restarted, a window has 1 s, the quota is
    out of the way, and counters carry the number of their samples, which the oracle needs.
    """

    def make(endpoint: str = "", **changes: str) -> dict[str, str]:
        defaults = {
            "LISTEN_UDP": f"127.0.0.1:{free_port()}",
            "ADMIN_LISTEN": f"127.0.0.1:{free_port(socket.SOCK_STREAM)}",
            "CLOUD_COUNTER_VALUES": "samples",
            "CLOUD_REQUESTS_PER_MINUTE": "60000",
            "WINDOW_IDLE_GAUGES": "drop",
        }
        return environment(endpoint or emulator.url, tmp_path / "state", **{**defaults, **changes})

    return make


@pytest.fixture
def start(settings, tmp_path, canary):
    """`start(TABLE_KEY="value", ...)`: a RelayProcess, ended with the test.

    Args (all optional, by keyword): `endpoint`: base URL if it is not the emulator (a ChaosProxy's); `environ`:
    additions to the process's environment (libfaketime, shims); `command`: see RelayProcess; `log`: path.
    """
    running: list[RelayProcess] = []

    def begin(*, endpoint="", environ=None, command=(), log=None, **changes: str) -> RelayProcess:
        env = {**settings(endpoint, **changes), **(environ or {})}
        canary.know(env)
        running.append(RelayProcess(env, log or tmp_path / f"relay-{len(running)}.log", command=command))
        return running[-1]

    yield begin
    for relay in running:
        relay.kill()


@pytest.fixture
def load():
    """`load(relay, rate=8000, seconds=60, ...)`: a running generator, see Load; `to=` for another socket."""
    running: list[Load] = []

    def begin(relay: RelayProcess | None = None, *, to: str = "", **options) -> Load:
        running.append(Load(to or f"udp:{relay.udp[0]}:{relay.udp[1]}", **options))
        return running[-1]

    yield begin
    for generator in running:
        generator.kill()


@pytest.fixture(autouse=True)
def machine(request, tmp_path_factory):
    """Run a test marked `alone` while no other test of this folder runs in another process."""
    base, is_distributed = tmp_path_factory.getbasetemp(), "PYTEST_XDIST_WORKER" in os.environ
    with ((base.parent if is_distributed else base) / "machine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if request.node.get_closest_marker("alone") else fcntl.LOCK_SH)
        yield


def pytest_collection_modifyitems(items):
    """Give each test of this folder the timeout of its tier; those that wait for the others come last."""
    items.sort(key=lambda item: item.get_closest_marker("alone") is not None)
    for item in items:
        if item.path.parent == HERE and not item.get_closest_marker("timeout"):
            tier = next((tier for tier in ("soak", "alone", "full") if item.get_closest_marker(tier)), "fast")
            item.add_marker(pytest.mark.timeout(TIMEOUTS[tier]))
