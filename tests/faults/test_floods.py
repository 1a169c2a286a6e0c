"""Row 41: traffic of one sender at line rate does not change the windows of others."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.faults.test_abuse import Gauge, memory_of, settled
from tests.support.relay import assert_books, unix

if TYPE_CHECKING:
    from tests.support.relay import RelayProcess

WINDOW = 2
LIMIT = 96
"""`limits.memory` in MiB."""
VICTIM_RATE = 50
CLOSED_WITHIN = 2.0
NORMAL_WITHIN = 5.0
SECONDS = 10
EDGE = 0.1
"""Seconds around an edge in which the victim is silent: a sample sent there may be received on the other side."""

FLOODER = """
import itertools, socket, sys, time
host, port, kind, seconds, rate = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4]), float(sys.argv[5])
sections = {"tags": b"\\xff:\\xff," * 16_200, "middle": b"\\xff:\\xff," * 350, "names": b""}
kinds = ("tags", "middle", "names") if kind == "mix" else (kind,)
def datagram(n):
    kind = kinds[n % len(kinds)]
    if kind != "names":
        return b"e%d:1|c|#%s" % (n, sections[kind])
    return b"\\n".join(b"n%d.x:1|c" % (20 * n + i) for i in range(20))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.connect((host, port))
    began = time.monotonic()
    for n in itertools.count():
        now = time.monotonic() - began
        if now > seconds:
            break
        if n > now * rate:
            time.sleep(0.001)
            continue
        sock.send(datagram(n))
print(n)
"""

RATES = {"tags": 1_500, "middle": 4_600, "names": 2_000, "mix": 4_000}
"""Datagrams a second that one sender can send to a relay on two shared cores."""


class Victim:
    """State: the number of samples sent in each window."""

    def __init__(self, relay: RelayProcess) -> None:
        self._address = relay.udp
        self.sent: Counter[int] = Counter()

    async def run(self, seconds: float) -> None:
        """Send for so long."""
        ends = time.monotonic() + seconds
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(self._address)
            while time.monotonic() < ends:
                await asyncio.sleep(1 / VICTIM_RATE)
                now = time.time()
                if EDGE < now % WINDOW < WINDOW - EDGE:
                    sock.send(b"victim.hits:1|c")
                    self.sent[int(now) // WINDOW * WINDOW] += 1


def closed_late(relay: RelayProcess) -> dict[int, float]:
    """Return the seconds from the end of each window until it was stored."""
    return {unix(event["window"]): event["late_seconds"] for event in relay.events("window closed")}


def stored(emulator) -> Counter[int]:
    """Return the victim's samples by window."""
    found: Counter[int] = Counter()
    for point in emulator.points("victim.hits"):
        found[point["timestamp"] // 1000 if point["timestamp"] > 1e11 else point["timestamp"]] += int(
            point["values"]["sum"]
        )
    return found


FULL = [pytest.mark.full, pytest.mark.alone]


@pytest.mark.parametrize("kind", ["tags", *(pytest.param(kind, marks=FULL) for kind in ("names", "mix", "middle"))])
@pytest.mark.parametrize("hotpath", ["native", pytest.param("python", marks=FULL)])
async def test_row_41_one_sender_at_line_rate(start, emulator, figure, kind, hotpath):
    """Long sections of tags, new names, and both, for ten seconds: the windows of another sender stay exact."""
    relay = start(
        WINDOW_SECONDS=str(WINDOW),
        LIMITS_MEMORY=f"{LIMIT}MiB",
        LISTEN_RECEIVE_BUFFER="8MiB",
        LISTEN_HOTPATH=hotpath,
        CLOUD_CONCURRENCY="32",
    )
    before = memory_of(await asyncio.to_thread(relay.metrics))
    gauge, victim = Gauge(relay), Victim(relay)
    rate = RATES[kind] / (1 if hotpath == "native" else 4)
    command = [sys.executable, "-c", FLOODER, relay.udp[0], str(relay.udp[1]), kind, str(SECONDS), str(rate)]
    await asyncio.sleep(2 * WINDOW)  # a start gives the rest of its window to the next one
    sending = asyncio.create_task(victim.run(SECONDS + 3 * WINDOW + NORMAL_WITHIN))
    await asyncio.sleep(WINDOW)
    flood = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    output, _ = await gauge.watch(flood.communicate())
    ended_at = time.time()
    await gauge.watch(sending)
    metrics = await gauge.watch(settled(relay))
    got, late, drops = stored(emulator), closed_late(relay), await asyncio.to_thread(relay.kernel_drops)
    differences = {window: abs(got[window] - sent) / sent for window, sent in victim.sent.items() if sent > VICTIM_RATE}
    normal = [late[window] for window in late if window >= ended_at + NORMAL_WITHIN]
    assert_books(metrics)
    assert emulator.duplicates() == []
    if not drops:  # else the kernel dropped the victim's packets with the others
        assert max(differences.values()) <= 4 * 0.01, (victim.sent, got)
    assert sum(got.values()) >= sum(victim.sent.values()) - drops
    assert max(late.values()) < 4 * CLOSED_WITHIN
    assert max(normal) < 1.0
    assert gauge.memory - before < 2 * LIMIT
    warnings = [event for event in relay.events() if "sender" in event and event.get("code") in ("RLY303", "RLY310")]
    assert all(event["sender"].startswith("127.0.0.1:") and event["metric"] for event in warnings)
    assert warnings or not metrics["relay_overflow_samples_total"], "no sender is named of what found no room"
    worst, named = max(differences.values()), warnings[0] if warnings else {"tag": "", "metric": "nothing"}
    figure(
        41,
        f"{kind}, {hotpath}: {int(output)} datagrams, {drops} kernel drops; victim off by {worst:.1%} at most; closed"
        f" {max(late.values()):.1f} s late at most, {max(normal):.2f} s afterwards; +{gauge.memory - before:.0f} MiB,"
        f" bound {LIMIT}; named: {named['tag']!r} of {named['metric']}; {gauge}",
    )
