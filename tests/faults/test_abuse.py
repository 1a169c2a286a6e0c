"""Rows 16 to 22: bursts, floods of series, and hostile, truncated or spoofed packets."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import random
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE
from typing import TYPE_CHECKING

import pytest

from relay.errors import DROPPED_SAMPLES, REJECTED_LINES
from tests.support.hostile import mutated
from tests.support.oracle import backlog, conserve
from tests.support.relay import assert_books

if TYPE_CHECKING:
    from collections.abc import Iterable

MIB = 1 << 20
MILLION_A_MINUTE = 1_000_000 / 60
STALL = 0.02
"""Longest lag of the event loop in seconds; asserted with an allowance for a busy machine."""


def flood(address: tuple[str, int], datagrams: Iterable[bytes], *, rate: float = math.inf) -> int:
    """Send at most `rate` datagrams a second; return how many the kernel accepted."""
    began, count = time.monotonic(), 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(address)
        for datagram in datagrams:
            sock.send(datagram)
            count += 1
            if count % 64 == 0 and count / rate > time.monotonic() - began:
                time.sleep(max(0.0, count / rate - (time.monotonic() - began)))
    return count


def datagrams_of(metrics: dict[str, float]) -> int:
    return int(sum(value for key, value in metrics.items() if key.startswith("relay_datagrams_total")))


def memory_of(metrics: dict[str, float]) -> float:
    return metrics["process_resident_memory_bytes"] / MIB


SLEEPER = """
import select, sys, time
late = 0.0
while True:
    began = time.monotonic()
    if select.select([sys.stdin], [], [], 0.02)[0]:
        break
    late = max(late, time.monotonic() - began - 0.02)
print(late)
"""


class Gauge:
    """State: the greatest values of metrics meanwhile; `noise`: the lag of a process that only sleeps."""

    def __init__(self, relay) -> None:
        self._relay = relay
        self.memory = self.lag = self.noise = 0.0

    def __str__(self) -> str:
        return f"loop late by {1000 * self.lag:.0f} ms (a process that only sleeps: {1000 * self.noise:.0f} ms)"

    async def watch(self, work):
        """Poll until `work` is done; return its result."""
        work = asyncio.ensure_future(work)
        sleeper = await asyncio.create_subprocess_exec(sys.executable, "-c", SLEEPER, stdin=PIPE, stdout=PIPE)
        try:
            return await self._watch(work)
        finally:
            output, _ = await sleeper.communicate(b"")
            self.noise = max(self.noise, float(output))

    async def _watch(self, work: asyncio.Future):
        while not work.done():
            metrics = await asyncio.to_thread(self._relay.metrics)
            assert_books(metrics)
            self.memory = max(self.memory, memory_of(metrics))
            self.lag = max(self.lag, metrics["relay_loop_lag_seconds"])
            await asyncio.sleep(0.2)
        return await work


async def settled(relay) -> dict[str, float]:
    """Wait until the kernel's queue, the open window and the spool are empty."""
    before = {}
    while True:
        await asyncio.sleep(0.5)
        metrics = await asyncio.to_thread(relay.metrics)
        queued = sum(value for key, value in metrics.items() if key.startswith("relay_receive_queue_bytes"))
        open_, received = metrics['relay_samples{state="open"}'], metrics["relay_received_lines_total"]
        if not (queued or open_ or await backlog(relay)) and before == received:
            return metrics
        before = received


@pytest.mark.full
async def test_row_16_a_burst_far_over_capacity(start, load, emulator, figure):
    """A burst with and without a reader: each packet is received or a counted drop."""
    relay = start(LISTEN_RECEIVE_BUFFER="64KiB")
    generator = load(relay, rate=1000, seconds=14)
    await asyncio.sleep(1)
    relay.signal_worker(signal.SIGSTOP)
    burst = await asyncio.to_thread(flood, relay.udp, [b"burst:1|c"] * 50_000)
    relay.signal_worker(signal.SIGCONT)
    continued = time.monotonic()
    while not relay.events("the kernel dropped packets"):
        await asyncio.sleep(0.05)
        assert time.monotonic() < continued + 40
    visible = time.monotonic() - continued
    threads = [asyncio.to_thread(flood, relay.udp, [b"burst:1|c" + b" " * 900] * 30_000) for _ in range(3)]
    burst += sum(await asyncio.gather(*threads))
    sent = await generator.wait()
    verdict = await conserve(relay, emulator, sent, lost=await asyncio.to_thread(relay.kernel_drops))
    metrics, drops = await settled(relay), await asyncio.to_thread(relay.kernel_drops)
    assert burst + sent.count + 1 == datagrams_of(metrics) + drops, "with the fresh packet of the oracle"
    assert drops > 40_000
    [warning] = relay.events("the kernel dropped packets")
    assert warning["listener"].endswith(f":{relay.udp[1]}")
    assert warning["packets"] > 0
    assert warning["granted_bytes"] > 0
    assert warning["fix"]
    figure(
        16, f"{burst + sent.count} sent = received + {drops} drops, exactly; visible after {visible:.1f} s; {verdict}"
    )


@pytest.mark.parametrize(
    ("names", "count"),
    [
        (1, 30_000),
        pytest.param(1, 1_000_000, marks=pytest.mark.full),
        pytest.param(10_000, 1_000_000, marks=pytest.mark.full),
    ],
)
async def test_row_17_a_million_tag_values(start, emulator, figure, names, count):
    """A million tag values in a minute: memory stays bounded, totals are exact, the log names the tag."""
    limit = 64
    relay = start(
        WINDOW_SECONDS="15",
        LIMITS_MEMORY=f"{limit}MiB",
        LISTEN_RECEIVE_BUFFER="8MiB",
        CLOUD_CONCURRENCY="32",
    )
    lines = (b"web%d.hits:1|c|#zone:z%d,user:%d" % (n % names, n % 5, n) for n in range(count))
    datagrams = (b"\n".join(itertools.islice(lines, 20)) for _ in range(count // 20))
    before = memory_of(await asyncio.to_thread(relay.metrics))
    gauge = Gauge(relay)
    sent = await gauge.watch(asyncio.to_thread(flood, relay.udp, datagrams, rate=MILLION_A_MINUTE / 20))
    metrics = await gauge.watch(settled(relay))
    drops = await asyncio.to_thread(relay.kernel_drops)
    assert sent == datagrams_of(metrics) + drops
    assert metrics["relay_accepted_lines_total"] == 20 * (sent - drops)
    own = {p["metric"] for p in emulator.received if p["metric"].startswith("web")}
    per_metric = sum(emulator.total(metric) for metric in own) if names == 1 else sum_of(emulator, "web")
    per_class = emulator.total("statsd_relay.overflow.counter")
    assert per_metric + per_class == metrics["relay_accepted_lines_total"]
    if names == 1:
        # What finds no place in the queue for naming, on a machine that is too busy, goes to the series of its class.
        assert emulator.points("web0.hits", overflow="true"), "the metric has an overflow series of its own"
    warning = (await relay.told("series limit reached"))[0]
    assert warning["tag"] == "user"
    assert warning["metric"].startswith("web")
    assert gauge.memory - before < limit + 64, "the tables, and besides them what closing 50,000 series takes"
    assert emulator.duplicates() == []
    share = per_class / (per_metric + per_class)
    figure(
        17,
        f"{count} values of {names} names: +{gauge.memory - before:.0f} MiB, bound {limit}; {drops} kernel drops; total"
        f" exact, {share:.1%} of it in the class's series; named: {warning['tag']} of {warning['metric']},"
        f" {warning['values']} values; {gauge}",
    )


def sum_of(emulator, prefix: str) -> float:
    return sum(point["values"]["sum"] for point in emulator.received if point["metric"].startswith(prefix))


# --- row 18 ----------------------------------------------------------------------------------------------------------

LARGE = [(part * 65_507)[:65_507] for part in (b"x", b"a:1|c\n", b"\x00", b"\n", b"a:", b"|", b"\xff", b"n\xc3:1|g\n")]
ODD = [
    b"",
    b"a\x00b:1|c\x00\n\x00:1|c\na:\x00|c",
    b"\xc3\x28\xff\xfe:1|c|#\xed\xa0\x80:\xff",
    b"\n".join(b"m%d:1|c" % (number % 500) for number in range(7_000)),
]


def hostile(rng: random.Random, number: int) -> bytes:
    """Return one datagram of each kind of row 18: large, empty, NUL, not UTF-8, thousands of lines, random, mutated."""
    kind = number % 100
    if kind == 0:
        return rng.choice(LARGE)
    if kind < 5:
        return rng.choice(ODD)
    return rng.randbytes(rng.randrange(200)) if kind < 20 else mutated(rng)


@pytest.mark.parametrize("count", [20_000, pytest.param(1_000_000, marks=pytest.mark.full)])
async def test_row_18_hostile_datagrams(start, load, emulator, figure, count):
    """Each is counted, without an exception and without lag of the loop; another sender's packets are intact."""
    rng = random.Random(18)
    pool = [hostile(rng, number) for number in range(20_000)]
    relay = start(LISTEN_RECEIVE_BUFFER="8MiB")
    generator = load(relay, rate=500, seconds=600)
    stream = (pool[number % len(pool)] for number in range(count))
    gauge = Gauge(relay)
    sent = await gauge.watch(asyncio.to_thread(flood, relay.udp, stream, rate=25_000))
    peaceful = await generator.stop()
    drops = await asyncio.to_thread(relay.kernel_drops)
    verdict = await conserve(relay, emulator, peaceful, lost=drops)
    metrics = await settled(relay)
    assert sent + peaceful.count + 1 == datagrams_of(metrics) + drops
    rejected = {key.split('"')[1] for key, value in metrics.items() if key.startswith("relay_rejected_lines") and value}
    assert rejected <= set(REJECTED_LINES) - {"internal_error"}
    lost = {key.split('"')[1] for key, value in metrics.items() if key.startswith("relay_dropped_samples") and value}
    assert lost <= set(DROPPED_SAMPLES)
    assert "Traceback" not in relay.text()
    assert emulator.statuses.keys() == {200}, "no point that left was refused"
    assert gauge.lag < 4 * STALL + 5 * gauge.noise
    lines = int(metrics["relay_received_lines_total"])
    figure(18, f"{sent} datagrams, {lines} lines, {drops} kernel drops, {gauge}; {verdict}")


# --- rows 19 to 22 ---------------------------------------------------------------------------------------------------


async def test_row_19_a_truncated_datagram(start, load, emulator, figure, tmp_path):
    """Longer than 65,507 bytes comes only over IPv6 and Unix sockets; the line that was cut is not trusted."""
    unix = tmp_path / "dsd.socket"
    relay = start(LISTEN_UDP="127.0.0.1:0,[::1]:0", LISTEN_UNIX=f"dgram:{unix}")
    generator = load(to=f"unix:{unix}", rate=500, seconds=2)
    text = b"cut:1|c\n" * 8188 + b"cut:11111111111111111"
    assert 65_507 < len(text) <= 65_527
    targets: list[tuple[socket.AddressFamily, object]] = [(socket.AF_UNIX, str(unix))]
    six = [port for host, port in relay.listening("udp") if host == "[::1]"]
    targets += [(socket.AF_INET6, ("::1", port)) for port in six]
    for family, address in targets:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.sendto(text, address)
    relay.udp = next((host, port) for host, port in relay.listening("udp") if host == "127.0.0.1")
    verdict = await conserve(relay, emulator, await generator.wait())
    metrics = await relay.wait_for(relay_truncated_datagrams_total=len(targets))
    assert metrics['relay_rejected_lines_total{reason="truncated"}'] == len(targets)
    assert emulator.total("cut") == 8188 * len(targets)
    figure(19, f"{len(targets)} of {len(targets)} detected, 1 line of 8189 lost each; {verdict}")


NUMBERS = [
    *(b"nan", b"NaN", b"inf", b"-inf", b"Infinity", b"1e400", b"-1e400", b"0x10", b"1_000", b"1e", b"--1", b"1 2"),
    *("\u0661\u0662".encode(), "\uff11".encode(), b"1" * 65, b"", b"+", b".", b"1,5", b"1e9999999999"),
]


async def test_row_20_numbers(start, load, emulator, figure):
    """Malformed numbers are rejected; sums beyond the range saturate; infinity and NaN are never sent."""
    relay = start()
    generator = load(relay, rate=500, seconds=2)
    kinds = (b"c", b"ms", b"g", b"h", b"d")
    relay.send(*(b"bad:%s|%s" % (number, kind) for number in NUMBERS for kind in kinds))
    relay.send(*(b"bad:1|%s|@%s" % (kind, number) for number in NUMBERS for kind in kinds[:2]))
    relay.send(*[b"sum.%s:1e308|%s" % (kind, kind) for kind in kinds] * 20, *[b"sum.g:+1e308|g"] * 20)
    relay.send(*[b"neg.%s:-1e308|%s" % (kind, kind) for kind in (b"c", b"ms")] * 20)
    relay.send(b"tiny:5e-324|ms", b"rate:1e308|c|@1e-300", b"digits:%s|c" % (b"3" * 30))
    verdict = await conserve(relay, emulator, await generator.wait())
    metrics = await settled(relay)
    rejected = sum(value for key, value in metrics.items() if key.startswith("relay_rejected_lines_total"))
    assert rejected == len(NUMBERS) * (len(kinds) + 2)
    values = [value for point in emulator.received for value in point["values"].values()]
    assert all(math.isfinite(value) and abs(value) < 2**63 for value in values)
    assert emulator.points("bad") == []
    assert max(point["values"]["sum"] for point in emulator.points("sum.c")) == 2**63 - 1024
    assert min(point["values"]["min"] for point in emulator.points("neg.ms")) == -(2**63 - 1024)
    assert emulator.total("digits") == 2**63 - 1024
    clamped = sum(abs(value) == 2**63 - 1024 for value in values)
    assert metrics["relay_clamped_values_total"] == clamped > 0, "what is clamped is counted"
    [told] = await relay.told("values clamped")
    assert told["metric"].startswith(("sum.", "neg.", "digits", "rate"))
    assert emulator.statuses.keys() == {200}
    biggest = json.dumps(max(values))
    figure(20, f"{int(rejected)} forms rejected, {len(values)} values finite, none beyond {biggest}; {verdict}")


async def test_row_21_sources(start, load, emulator, figure):
    """Packets of senders that are not on the list are counted and dropped, and no sender gets an answer."""
    relay = start(LISTEN_ALLOW="127.0.0.1/32,127.0.1.0/24", LISTEN_TCP="127.0.0.1:0")
    [(host, port)] = relay.listening("tcp")
    generator = load(relay, rate=500, seconds=2)
    texts = [b"spoofed:1|c", b"health", b"quit\n", b"bad", b"", b"GET / HTTP/1.1\r\n\r\n", b"_sc|a|0", b"x" * 65_507]
    senders = []
    for source in ("127.0.0.1", "127.0.1.9", "127.0.2.1", "127.9.9.9"):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((source, 0))
        sock.setblocking(False)
        for text in texts:
            sock.sendto(text, relay.udp)
        senders.append(sock)
    stranger = socket.create_connection((host, port), 5, ("127.9.9.9", 0))
    assert await asyncio.to_thread(stranger.recv, 100) == b"", "closed, without a word"
    verdict = await conserve(relay, emulator, await generator.wait())
    metrics = await settled(relay)
    for sock in senders:
        with pytest.raises(BlockingIOError):
            sock.recv(1)
        sock.close()
    stranger.close()
    assert emulator.total("spoofed") == 2
    denied = metrics['relay_rejected_lines_total{reason="source_denied"}']
    assert denied == 2 * (len(texts) - 1), "every line of them; an empty datagram has none"
    assert metrics[f'relay_stream_refused_total{{listener="tcp://{host}:{port}"}}'] == 1
    figure(21, f"{int(denied)} lines denied and counted, 1 connection refused, 0 bytes answered; {verdict}")


async def test_row_22_the_reserved_prefix(start, load, emulator, figure):
    """In any spelling: characters are made legal before the name is checked."""
    relay = start()
    generator = load(relay, rate=500, seconds=2)
    names = [
        b"statsd_relay.windows",
        b"statsd-relay.x",
        b"statsd relay.x",
        b"statsd/relay.x",
        b"statsd_relay.overflow.counter",
    ]
    lines = [b"%s:1|%s" % (name, kind) for name in names for kind in (b"c", b"g", b"ms", b"s")]
    lines += [b"statsd_relay.x;a=b:1|c", b"statsd_relay.x,a=b:1|c", b"statsd_\xffrelay.x:1|c"]
    relay.send(*lines, b"statsd_relays.x:1|c", b"statsd_relay:1|c")
    verdict = await conserve(relay, emulator, await generator.wait())
    metrics = await settled(relay)
    assert metrics['relay_rejected_lines_total{reason="reserved_name"}'] == len(lines)
    assert not [point for point in emulator.received if point["metric"].startswith("statsd_relay.")]
    assert emulator.total("statsd_relays.x") == emulator.total("statsd_relay") == 1
    figure(22, f"{len(lines)} spellings rejected; {verdict}")
