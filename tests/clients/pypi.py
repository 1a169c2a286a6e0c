"""Sends the plan through one client from PyPI: argv is CLIENT MODE ADDRESS PREFIX; see tests/integration/matrix.py.

ADDRESS is HOST PORT joined by a space, or a path. Every client sends the part of the plan that it supports. Each is
closed or flushed as its documentation says, so that everything is sent before the program ends.
"""

from __future__ import annotations

import asyncio
import sys

TIMES = range(1, 51)
SIZES = range(1, 11)


def users():
    return (f"u{number % 11}" for number in range(33))


def pypi_statsd(mode, address, prefix):
    from statsd import StatsClient, TCPStatsClient, UnixSocketStatsClient

    if " " not in address:
        client = UnixSocketStatsClient(socket_path=address, prefix=prefix)
    else:
        host, port = address.split()
        make = TCPStatsClient if mode.startswith("tcp") else StatsClient
        client = make(host=host, port=int(port), prefix=prefix, ipv6=":" in host)
    sender = client.pipeline() if mode.endswith("pipeline") else client
    _classic(sender, timing=sender.timing)
    if mode.endswith("pipeline"):
        sender.send()
    client.close()


def _classic(client, *, timing):
    """Send the plan through the names that most clients share."""
    for _ in range(100):
        client.incr("hits")
    for _ in range(10):
        client.incr("by", 5)
    client.decr("down", 4)
    for value in TIMES:
        timing("time", value)
    client.gauge("level", 10)
    client.gauge("level", -3, delta=True)
    for user in users():
        client.set("users", user)


def statsd_telegraf(mode, address, prefix):
    from statsd import StatsClient, TCPStatsClient

    host, port = address.split()
    make = TCPStatsClient if mode == "tcp" else StatsClient
    client = make(host=host, port=int(port), prefix=prefix, ipv6=":" in host)
    _classic(client, timing=client.timing)
    for _ in range(3):
        client.incr("tagged", tags={"page": "p1"})


def python_statsd(_, address, prefix):
    from statsd import Client, Connection, Counter, Gauge, Timer

    host, port = address.split()
    client = Client(prefix, Connection(host=host, port=int(port)))
    counter, gauge, timer = (client.get_client(class_=kind) for kind in (Counter, Gauge, Timer))
    for _ in range(100):
        counter.increment("hits")
    for _ in range(10):
        counter.increment("by", 5)
    counter.decrement("down", 4)
    for value in TIMES:
        timer.send("time", value / 1000)
    gauge.send("level", 10)
    gauge.decrement("level", 3)


def pystatsd_hit9(_, address, prefix):
    from pystatsd import Client

    host, port = address.split()
    client = Client(host, int(port), prefix)
    for _ in range(100):
        client.increment("hits")
    for _ in range(10):
        client.update_stats("by", 5)
    client.update_stats("down", -4)
    for value in TIMES:
        client.timing("time", value)
    client.gauge("level", 7)


def perfmetrics(mode, address, prefix):
    from perfmetrics import StatsdClient

    host, port = address.split()
    client = StatsdClient(host, int(port), prefix)
    gathered = [] if mode == "buffer" else None
    for _ in range(100):
        client.incr("hits", buf=gathered)
    for _ in range(10):
        client.incr("by", 5, buf=gathered)
    client.decr("down", 4, buf=gathered)
    for value in TIMES:
        client.timing("time", value, buf=gathered)
    client.gauge("level", 7, buf=gathered)
    for user in users():
        client.set_add("users", user, buf=gathered)
    client.sendbuf(gathered or [])
    client.close()


def statsdmetrics(mode, address, prefix):
    from statsdmetrics.client import BatchClient, Client
    from statsdmetrics.client.tcp import TCPBatchClient, TCPClient

    host, port = address.split()
    make = {"udp": Client, "udp batch": BatchClient, "tcp": TCPClient, "tcp batch": TCPBatchClient}[mode]
    client = make(host, int(port), prefix=f"{prefix}.")
    for _ in range(100):
        client.increment("hits")
    for _ in range(10):
        client.increment("by", 5)
    client.decrement("down", 4)
    for value in TIMES:
        client.timing("time", value)
    client.gauge("level", 10)
    client.gauge_delta("level", -3)
    for user in users():
        client.set("users", user)
    if mode.endswith("batch"):
        client.flush()


def markus(mode, address, prefix):
    from markus import configure, get_metrics

    host, port = address.split()
    kind = {"statsd": "statsd.StatsdMetrics", "datadog": "datadog.DatadogMetrics"}[mode]
    options = {"statsd_host": host, "statsd_port": int(port)}
    configure([{"class": f"markus.backends.{kind}", "options": options}])
    metrics = get_metrics(prefix)
    tagged = ["page:p1"] if mode == "datadog" else None
    for _ in range(100):
        metrics.incr("hits")
    for _ in range(10):
        metrics.incr("by", 5)
    metrics.incr("down", -4)
    for value in TIMES:
        metrics.timing("time", value)
    for value in SIZES:
        metrics.histogram("size", value)
    metrics.gauge("level", 7)
    for _ in range(3):
        metrics.incr("tagged", tags=tagged)


def datadog(mode, address, prefix):
    from datadog.dogstatsd import DogStatsd

    if " " in address:
        host, port = address.split()
        where = {"host": host, "port": int(port)}
    else:
        scheme = "unixstream://" if "stream" in mode else "unixgram://"
        # Without a timeout it throws away what a Unix socket does not take at once: its queue has room for ten.
        where = {"socket_path": scheme + address, "socket_timeout": 10}
    how = {
        "plain": {"disable_buffering": True, "disable_aggregation": True},
        "buffered": {"disable_buffering": False, "disable_aggregation": True},
        "aggregated": {"disable_buffering": True, "disable_aggregation": False, "flush_interval": 0.1},
        "sender": {"disable_buffering": False, "disable_aggregation": True, "disable_background_sender": False},
    }[mode.split()[-1]]
    client = DogStatsd(namespace=prefix, disable_telemetry=True, **where, **how)
    for _ in range(100):
        client.increment("hits")
    for _ in range(10):
        client.increment("by", 5)
    client.decrement("down", 4)
    for value in TIMES:
        client.timing("time", value)
    for value in SIZES:
        client.histogram("size", value)
        client.distribution("dist", value)
    client.gauge("level", 7)
    for user in users():
        client.set("users", user)
    for _ in range(3):
        client.increment("tagged", tags=["page:p1"])
    client.event("deployed", f"{prefix}.hits:1|c")
    client.service_check("alive", DogStatsd.OK)
    client.flush()
    client.wait_for_pending()
    client.stop()
    client.close_socket()


def aiodogstatsd(_, address, prefix):
    import aiodogstatsd

    host, port = address.split()

    async def send():
        async with aiodogstatsd.Client(host=host, port=int(port), namespace=prefix) as client:
            for _ in range(100):
                client.increment("hits")
            for _ in range(10):
                client.increment("by", value=5)
            client.decrement("down", value=4)
            for value in TIMES:
                client.timing("time", value=value)
            for value in SIZES:
                client.histogram("size", value=value)
                client.distribution("dist", value=value)
            client.gauge("level", value=7)
            for _ in range(3):
                client.increment("tagged", tags={"page": "p1"})

    asyncio.run(send())


def aio_statsd(mode, address, prefix):
    from aio_statsd import DogStatsdClient, StatsdClient, TelegrafStatsdClient

    host, port = address.split()
    make = {"statsd": StatsdClient, "dogstatsd": DogStatsdClient, "telegraf": TelegrafStatsdClient}[mode]

    async def send():
        async with make(host=host, port=int(port)) as client:
            add = client.increment if mode == "dogstatsd" else client.counter
            _aio_plan(client, add, client.sets if mode == "statsd" else client.set, prefix)
            if mode != "statsd":
                for value in SIZES:
                    client.histogram(f"{prefix}.size", value)
                    client.distribution(f"{prefix}.dist", value)
                for _ in range(3):
                    add(f"{prefix}.tagged", 1, tag_dict={"page": "p1"})

    asyncio.run(send())


def _aio_plan(client, add, add_to_set, prefix):
    for _ in range(100):
        add(f"{prefix}.hits", 1)
    for _ in range(10):
        add(f"{prefix}.by", 5)
    add(f"{prefix}.down", -4)
    for value in TIMES:
        client.timer(f"{prefix}.time", value)
    client.gauge(f"{prefix}.level", 7)
    for user in users():
        add_to_set(f"{prefix}.users", user)


if __name__ == "__main__":
    _, client, mode, address, prefix = sys.argv
    globals()[client](mode, address, prefix)
