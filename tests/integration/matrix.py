"""Clients, the sockets that they support, and the part of the plan that each can send.

The plan, the same for every client: 100 times 1 on `hits`, 10 times 5 on `by`, -4 on `down`, the times 1..50 on `time`,
a gauge `level` that ends at 7 (by a delta where the client has deltas), 11 users in the set `users`, the sizes 1..10 as
a histogram and as a distribution, and 3 tagged counts. tests/clients/pypi.py and npm.js send it.
"""

from __future__ import annotations

from typing import NamedTuple

BASE = frozenset({"counters", "timer", "gauge"})
CLASSIC = BASE | {"set"}
DOG = CLASSIC | {"histogram", "distribution", "tags"}
EVENTS = DOG | {"events"}


class Pair(NamedTuple):
    """One client in one mode over one transport."""

    registry: str
    client: str
    mode: str
    socket: str
    """udp4, udp6, tcp, tcp6, dgram, stream or datadog."""
    sends: frozenset[str]

    @property
    def name(self) -> str:
        """The id of the test and the prefix of its metrics."""
        return f"{self.registry}_{self.client}_{self.mode}_{self.socket}".replace("-", "_").replace(" ", "_")


PYPI = [
    Pair("pypi", "pypi_statsd", "udp", "udp4", CLASSIC),
    Pair("pypi", "pypi_statsd", "udp", "udp6", CLASSIC),
    Pair("pypi", "pypi_statsd", "udp pipeline", "udp4", CLASSIC),
    Pair("pypi", "pypi_statsd", "tcp", "tcp", CLASSIC),
    Pair("pypi", "pypi_statsd", "tcp", "tcp6", CLASSIC),
    Pair("pypi", "pypi_statsd", "tcp pipeline", "tcp", CLASSIC),
    Pair("pypi", "pypi_statsd", "unix", "stream", CLASSIC),
    Pair("pypi", "pypi_statsd", "unix pipeline", "stream", CLASSIC),
    Pair("pypi", "statsd_telegraf", "udp", "udp4", CLASSIC | {"tags"}),
    Pair("pypi", "statsd_telegraf", "udp", "udp6", CLASSIC | {"tags"}),
    Pair("pypi", "statsd_telegraf", "tcp", "tcp", CLASSIC | {"tags"}),
    Pair("pypi", "python_statsd", "udp", "udp4", BASE),
    Pair("pypi", "pystatsd_hit9", "udp", "udp4", BASE),
    Pair("pypi", "perfmetrics", "plain", "udp4", CLASSIC),
    Pair("pypi", "perfmetrics", "plain", "udp6", CLASSIC),
    Pair("pypi", "perfmetrics", "buffer", "udp4", CLASSIC),
    Pair("pypi", "statsdmetrics", "udp", "udp4", CLASSIC),
    Pair("pypi", "statsdmetrics", "udp batch", "udp4", CLASSIC),
    Pair("pypi", "statsdmetrics", "tcp", "tcp", CLASSIC),
    Pair("pypi", "statsdmetrics", "tcp batch", "tcp", CLASSIC),
    Pair("pypi", "markus", "statsd", "udp4", BASE | {"histogram"}),
    Pair("pypi", "markus", "datadog", "udp4", BASE | {"histogram", "tags"}),
    Pair("pypi", "datadog", "plain", "udp4", EVENTS),
    Pair("pypi", "datadog", "plain", "udp6", EVENTS),
    Pair("pypi", "datadog", "buffered", "udp4", EVENTS),
    Pair("pypi", "datadog", "aggregated", "udp4", EVENTS),
    Pair("pypi", "datadog", "sender", "udp4", EVENTS),
    Pair("pypi", "datadog", "plain", "dgram", EVENTS),
    Pair("pypi", "datadog", "buffered", "dgram", EVENTS),
    Pair("pypi", "datadog", "stream plain", "datadog", EVENTS),
    Pair("pypi", "datadog", "stream buffered", "datadog", EVENTS),
    Pair("pypi", "datadog", "stream aggregated", "datadog", EVENTS),
    Pair("pypi", "aiodogstatsd", "udp", "udp4", BASE | {"histogram", "distribution", "tags"}),
    Pair("pypi", "aio_statsd", "statsd", "udp4", CLASSIC),
    Pair("pypi", "aio_statsd", "dogstatsd", "udp4", DOG),
    Pair("pypi", "aio_statsd", "telegraf", "udp4", DOG),
]
"""aio-statsd over TCP is left out: it writes lines without an end."""

NPM = [
    Pair("npm", "hot-shots", "udp plain", "udp4", EVENTS),
    Pair("npm", "hot-shots", "udp buffered", "udp4", EVENTS),
    Pair("npm", "hot-shots", "udp6 plain", "udp6", EVENTS),
    Pair("npm", "hot-shots", "tcp plain", "tcp", EVENTS),
    Pair("npm", "hot-shots", "tcp buffered", "tcp", EVENTS),
    Pair("npm", "hot-shots", "stream plain", "stream", EVENTS),
    Pair("npm", "hot-shots", "uds plain", "dgram", EVENTS),
    Pair("npm", "hot-shots", "uds buffered", "dgram", EVENTS),
    Pair("npm", "node-statsd", "udp", "udp4", BASE | {"set", "histogram", "tags"}),
    Pair("npm", "statsd-client", "udp", "udp4", DOG),
    Pair("npm", "statsd-client", "udp6", "udp6", DOG),
    Pair("npm", "statsd-client", "tcp", "tcp", DOG),
    Pair("npm", "lynx", "udp", "udp4", CLASSIC),
]


class Total(NamedTuple):
    """The expected sum over the points of a metric."""

    metric: str
    stat: str
    value: float
    dimensions: dict[str, str]


def totals(pair: Pair) -> list[Total]:
    """Return the exact totals of a pair in the cloud."""
    tagged = {"page": "p1"} if "tags" in pair.sends else {}
    found = {
        "counters": [Total("hits", "sum", 100, {}), Total("by", "sum", 50, {}), Total("down", "sum", -4, {})],
        "timer": [
            Total("time", "sum", 1275, {}),
            Total("time", "count", 50, {}),
            Total("time", "min", 1, {}),
            Total("time", "max", 50, {}),
        ],
        "gauge": [Total("level", "last", 7, {})],
        "set": [Total("users", "sum", 11, {})],
        "histogram": [Total("size", "sum", 55, {}), Total("size", "count", 10, {})],
        "distribution": [Total("dist", "sum", 55, {}), Total("dist", "max", 10, {})],
        "tags": [Total("tagged", "sum", 3, tagged)],
        "events": [],
    }
    return [total for part in sorted(pair.sends) for total in found[part]]
