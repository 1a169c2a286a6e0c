"""The conservation oracle: after the faults, every packet is counted once, and nothing else is.

Ask it with `await conserve(...)` when the faults are over and the load has stopped. It checks, in this order:

(d) a fresh packet is delivered within two windows (asserted x 4, the figure is returned);
(a) every packet that was sent is delivered, less the loss that the row allows;
(b) none is counted twice and none was invented, from the totals *and* the counts of the points;
(c) each (series, window) has one distinct value over everything the cloud ever stored, in any series (I8):
    byte-identical resends are allowed and counted;
(e) the relay's own books balance to the unit.

How packets are told apart is explained in load.py. The relay must send counters with their number of samples
(`settings` of tests/faults/conftest.py sets `cloud.counter_values = "samples"`).
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tests.support.load import BASE, number_of
from tests.support.relay import assert_books

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from relay.tools.emulator import Emulator
    from tests.support.load import Sent
    from tests.support.relay import RelayProcess

_fresh = itertools.count(1)
_NOISE = 5.0
"""Seconds that a loaded machine may add to any wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The oracle's figures; `str` is what goes into the table."""

    sent: int
    lost: int = 0
    duplicated: int = 0
    invented: int = 0
    conflicts: list[tuple[Any, ...]] = field(default_factory=list)
    """(metric, dimensions, timestamp) that were stored with more than one value."""
    resent: int = 0
    """Points that were stored again, byte by byte the same."""
    fresh: float = 0.0
    """Seconds until a packet sent after the faults was delivered."""
    gaps: list[tuple[int, int]] = field(default_factory=list)
    """Ranges of packets that were lost, first and last."""

    def __str__(self) -> str:
        text = f"{self.lost} lost, {self.duplicated} duplicated, {self.invented} invented of {self.sent}"
        return f"{text}; fresh packet after {self.fresh:.1f} s" if self.fresh else text


def judge(points: Iterable[dict[str, Any]], *sents: Sent) -> Verdict:
    """Compare what a cloud stored with what was sent. Pure; `fresh` is not known here."""
    values: dict[tuple[Any, ...], list[dict[str, float]]] = defaultdict(list)
    resent = 0
    for point in points:
        key = (point["metric"], tuple(sorted(point["dimensions"].items())), point["timestamp"])
        if point["values"] in values[key]:
            resent += 1
        else:
            values[key].append(point["values"])
    conflicts = [key for key, found in values.items() if len(found) > 1]
    totals: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for (metric, *_), found in values.items():
        totals[metric][0] += sum(value.get("sum", 0.0) for value in found)
        totals[metric][1] += sum(value.get("count", 0.0) for value in found)
    verdicts = [_judge_one(totals, sent) for sent in sents]
    return Verdict(
        sent=sum(sent.count for sent in sents),
        lost=sum(verdict.lost for verdict in verdicts),
        duplicated=sum(verdict.duplicated for verdict in verdicts),
        invented=sum(verdict.invented for verdict in verdicts),
        conflicts=conflicts,
        resent=resent,
        gaps=[gap for verdict in verdicts for gap in verdict.gaps],
    )


def _judge_one(totals: dict[str, list[float]], sent: Sent) -> Verdict:
    times: Counter[int] = Counter()
    invented = 0
    for metric, (total, count) in totals.items():
        if not metric.startswith(f"{sent.name}."):
            continue
        digits = _digits(total)
        numbers = [number_of(metric, digit, name=sent.name, width=sent.width) for digit in range(len(digits))]
        found_of = dict(zip(numbers, digits, strict=True))
        known = all(number is not None and number < sent.count for number, found in found_of.items() if found)
        if not known or sum(digits) != count:
            invented += max(1, int(abs(count - sum(digits))))
        times.update({number: found for number, found in found_of.items() if number is not None and found})
    lost = [number for number in range(sent.count) if not times[number]]
    twice = sum(found - 1 for found in times.values() if found > 1)
    return Verdict(sent=sent.count, lost=len(lost), duplicated=twice, invented=invented, gaps=_ranges(lost))


def _digits(total: float) -> list[int]:
    """Return the digits of a total, lowest first."""
    digits, rest = [], int(total)
    while rest > 0:
        rest, digit = divmod(rest, BASE)
        digits.append(digit)
    return digits


def _ranges(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return runs of consecutive numbers."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


async def conserve(
    relay: RelayProcess,
    emulator: Emulator,
    *sents: Sent,
    lost: int = 0,
    window: float = 1.0,
    fresh_within: float | None = None,
    within: float = 60.0,
) -> Verdict:
    """Assert conservation, (a) to (e) above, and return the figures.

    Args:
        relay: a running relay that may send again.
        emulator: everything it ever stored is looked at; it must have been up since the first packet.
        sents: of each generator.
        lost: packets that may be missing, by what the row says.
        window: seconds of a window.
        fresh_within: ceiling of (d), already x 4; default 2 windows x 4, and what a busy machine adds.
        within: seconds until the backlog must have been delivered.
    """
    fresh = await freshness(relay, emulator, within=fresh_within or 8 * window + _NOISE)
    deadline = time.monotonic() + within
    while (waiting := await backlog(relay)) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    verdict = judge(list(emulator.received), *sents)
    # Nothing waits any more: what is missing is in a window that closes soon, or never comes.
    settled = time.monotonic() + 4 * window + _NOISE
    while verdict.lost > lost and time.monotonic() < settled:
        await asyncio.sleep(0.5)
        verdict = judge(list(emulator.received), *sents)
    assert_books(await asyncio.to_thread(relay.metrics))
    told = f"{verdict}; {waiting} points still wait; gaps {verdict.gaps[:10]}; {verdict.conflicts[:3]}"
    assert verdict.lost <= lost, f"lost more than {lost}: {told}\n{relay.text()[-3000:]}"
    assert (verdict.duplicated, verdict.invented, verdict.conflicts) == (0, 0, []), f"{told}\n{relay.text()[-3000:]}"
    return replace(verdict, fresh=fresh)


async def freshness(relay: RelayProcess, emulator: Emulator, *, within: float) -> float:
    """Send one packet; return the seconds until the cloud has it."""
    metric, began = f"fresh.{next(_fresh)}", time.monotonic()
    await asyncio.to_thread(relay.send, f"{metric}:1|c".encode())
    while not emulator.points(metric):
        waited = time.monotonic() - began
        assert waited < within, f"a fresh packet was not delivered within {within:.0f} s:\n{relay.text()[-3000:]}"
        await asyncio.sleep(0.05)
    return time.monotonic() - began


async def backlog(relay: RelayProcess) -> int:
    """Return the points that wait in the relay or are on their way."""
    metrics = await asyncio.to_thread(relay.metrics)
    return int(metrics['relay_points{state="spooled"}'] + metrics['relay_points{state="in_flight"}'])
