"""Rows 26 to 34, 37 and 40: a cloud that is down, refuses, limits or answers garbage; points that are too old."""

from __future__ import annotations

import asyncio
import gc
import random
import re
import time
from collections import Counter
from contextlib import suppress
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from relay.config.types import Secret
from relay.delivery.sender.breaker import OPEN_AFTER
from relay.delivery.sender.rate import AdaptiveRate
from relay.delivery.transport import HttpTransport
from relay.errors import TransportError
from relay.jdcloud.sign import Signer
from relay.tools.emulator import Fault
from relay.tools.emulator.answers import SHAPES
from tests.delivery.sender.test_gate import fleet
from tests.delivery.sender.test_rate import simulate
from tests.support.chaos import ChaosProxy
from tests.support.emulator import FixedWindow, TokenBucket
from tests.support.oracle import conserve
from tests.support.pool import CLOCK, Paused, Setup

if TYPE_CHECKING:
    from relay.model import Reply

NOW = int(CLOCK.wall()) // 60 * 60


# --- 26: down ---------------------------------------------------------------------------------------------------------


@pytest.mark.full
@pytest.mark.parametrize("status", ["500", "503"])
async def test_row_26_ten_windows_of_5xx(status, start, load, emulator, figure):
    relay = start(WINDOW_SECONDS="1")
    generator = load(relay, rate=500, seconds=60)
    await relay.wait_for(**{'relay_points_total{outcome="delivered"}': 1})
    emulator.add_fault(Fault.parse(status))
    await asyncio.sleep(2)
    before, began = emulator.requests, time.monotonic()
    await asyncio.sleep(10)
    tries, windows = emulator.requests - before, time.monotonic() - began
    newest = relay.windows()[-1]
    emulator.clear_faults()
    stored = len(emulator.received)
    while len(emulator.received) == stored:
        await asyncio.sleep(0.01)
    first = emulator.received[stored]["timestamp"]
    verdict = await conserve(relay, emulator, await generator.stop())
    assert tries <= 2 * windows + 2, "at most two requests a window try"
    assert first >= newest - 1, "a fresh window first; one may have closed while the probe was on its way"
    figure(26, f"{status}: {tries} requests in {windows:.0f} windows, {verdict}")


# --- 27: quotas -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tells", [True, False], ids=["retry-after", "silent"])
@pytest.mark.parametrize("name", ["2/s", "10/s", "60/s", "600/min"])
def test_row_27_a_quota_is_used_and_rarely_overrun(name, tells, figure):
    quota, per_second, share = {
        "2/s": (TokenBucket(2), 2, 0.05),
        "10/s": (TokenBucket(10), 10, 0.05),
        "60/s": (TokenBucket(60), 60, 0.05),
        "600/min": (FixedWindow(600), 10, 0.15),
    }[name]
    outcome = simulate(quota, AdaptiveRate(per_minute=6000), seconds=1200, tells=tells)
    used = outcome.accepted / (per_second * 1200)
    figure(27, f"{name} {'' if tells else 'silent '}{used:.0%} used, {outcome.share:.1%} 429")
    assert used >= 0.85
    assert outcome.share <= share


class TimedTransport(HttpTransport):
    """State: when each request was sent, by a virtual clock."""

    def __init__(self, clock: Paused) -> None:
        super().__init__(timeout=1, connect_timeout=0.5, concurrency=1, ca_file="", proxy="")
        self.clock, self.times = clock, []

    async def post(self, url, headers, body) -> Reply:
        self.times.append(self.clock.monotonic())
        return await super().post(url, headers, body)


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        ("7", 7, 7.7),
        (lambda: formatdate(CLOCK.wall() + 20, usegmt=True), 18, 22),
        ("99999999", 120, 132),
        ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", 0.5, 1),
        ("-5", 0.5, 1),
        ("soon", 0.5, 1),
        (None, 0.5, 1),
    ],
    ids=["seconds", "date", "absurd", "absurd date", "negative", "word", "missing"],
)
async def test_row_27_retry_after_is_honoured_and_clamped(header, low, high, tmp_path):
    transport = TimedTransport(Paused())
    async with Setup(tmp_path, clock=transport.clock, transport=transport, concurrency=1) as setup:
        value = header() if callable(header) else header
        setup.emulator.add_fault(Fault("429", left=1, headers={"retry-after": value} if value else None))
        await setup.send(5)
        await setup.settle()
    assert setup.ledger.points_delivered == 5
    refused, accepted = transport.times
    assert low - 1 <= accepted - refused <= high


@pytest.mark.full
async def test_row_27_a_real_quota(start, load, emulator, figure):
    emulator.quota = TokenBucket(5, burst=2).acquire
    relay = start(WINDOW_SECONDS="1")
    verdict = await conserve(relay, emulator, await load(relay, rate=2000, seconds=8).wait(), fresh_within=30)
    refused = emulator.statuses[429]
    figure(27, f"real 5/s: {refused} of {emulator.requests} answered 429; {verdict}")
    assert refused <= max(10, 0.2 * emulator.requests)


# --- 28 and 29: connections and answers -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["reset before", "reset in", "answer lost", "answer cut"])
async def test_row_28_a_connection_breaks(kind, start, load, emulator, figure):
    proxy = ChaosProxy(emulator.url)
    relay = start(endpoint=await proxy.start())
    try:
        proxy.spoil(kind, times=1)
        verdict = await conserve(relay, emulator, await load(relay, rate=500, seconds=2).wait(), fresh_within=30)
    finally:
        await proxy.stop()
    metrics = await asyncio.to_thread(relay.metrics)
    assert metrics["relay_ambiguous_requests_total"] == 1
    assert (verdict.resent > 0) == kind.startswith("answer")
    figure(28, f"{kind}: {verdict.resent} points resent, the same bytes; {verdict.lost} lost")


async def test_row_28_an_ambiguous_batch_is_dropped_if_so_configured(tmp_path):
    async with Setup(tmp_path, on_ambiguous="drop", minute=0.2) as setup:
        for kind in ("lost:1", "500:2", "503:2"):
            setup.emulator.add_fault(Fault.parse(kind))
        await setup.send(20)
        await setup.settle()
        assert setup.ledger.points_dropped == {"ambiguous": 5}
        assert setup.ledger.points_delivered == 15
        assert setup.emulator.duplicates() == []
        assert {letter["reason"] for letter in setup.letters()} == {"ambiguous"}


def resident() -> float:
    """MiB of this process."""
    gc.collect()
    return int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def connections(port: int) -> int:
    """Return the number of client sockets to a port that are connected or not yet closed."""
    entries = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(entry[2].endswith(f":{port:04X}") and entry[3] in ("01", "08") for entry in entries)


@pytest.mark.full
async def test_row_29_a_thousand_answers_that_harm(tmp_path, figure):
    transport = HttpTransport(timeout=0.25, connect_timeout=0.2, concurrency=8, ca_file="", proxy="")
    kinds = ["hang", "slow", "big", "bomb", "hints", "redirect", "reset", "cut", "garbage", "empty", "500"]
    trap, tasks_before, dice = asyncio.Event(), len(asyncio.all_tasks()), random.Random(0)

    async def visited(_reader, writer) -> None:
        trap.set()
        writer.close()

    elsewhere = await asyncio.start_server(visited, "127.0.0.1", 0)
    async with Setup(tmp_path, transport=transport, minute=0.05) as setup:
        setup.emulator.redirect_to = f"http://127.0.0.1:{elsewhere.sockets[0].getsockname()[1]}/"
        cloud, window = setup.cloud, NOW

        async def storm(requests: int) -> float:
            nonlocal window
            setup.emulator.clear_faults()
            for kind in dice.sample(kinds, len(kinds)):
                setup.emulator.add_fault(Fault(kind, left=requests // len(kinds)))
            longest = 0.0

            async def one() -> None:
                nonlocal longest
                began = time.monotonic()
                headers = cloud.request_headers(b"{}", now=CLOCK.wall())
                with suppress(TransportError):
                    await transport.post(cloud.url, headers, b"{}")
                longest = max(longest, time.monotonic() - began)

            for _ in range(requests // 8):
                await asyncio.gather(*(one() for _ in range(8)))
            return longest

        await storm(88)
        before = resident()
        longest = await storm(1100)
        setup.emulator.clear_faults()
        await setup.send(20)
        await setup.settle()
        open_ends = connections(int(setup.url.rpartition(":")[2]))
        grown = resident() - before
    elsewhere.close()
    async with asyncio.timeout(5):  # the local cloud ends its own answers first
        while len(asyncio.all_tasks()) > tasks_before + 2:
            await asyncio.sleep(0.02)
    assert not trap.is_set(), "credentials went to another host"
    assert longest < 0.25 + 5
    assert grown < 64
    assert open_ends <= 8
    figure(29, f"1,100 answers: longest {longest:.2f} s, {grown:.0f} MiB more, {open_ends} connections, no task left")


# --- 30 to 32: answers that refuse or make no sense -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["garbage", "empty", "foreign"])
async def test_row_30_every_answer_is_unreadable(kind, tmp_path, figure):
    async with Setup(tmp_path, minute=0.4) as setup:
        setup.emulator.add_fault(Fault.parse(kind))
        await setup.send(100)
        await setup.until(lambda: sum(setup.ledger.requests.values()) >= OPEN_AFTER)
        seen = setup.emulator.requests
        await asyncio.sleep(2)
        tries = setup.emulator.requests - seen
        assert (setup.ledger.points_refused, setup.ledger.dead_letters) == (0, 0)
        assert tries <= 2 * 5 + 4 + 2
        setup.emulator.clear_faults()
        await setup.settle()
        assert setup.ledger.points_delivered == 100
        figure(30, f"{kind}: {tries} requests in 5 windows, all kept")


async def test_row_30_one_batch_is_never_answered_readably(tmp_path, figure):
    async with Setup(tmp_path, minute=0.2, concurrency=2) as setup:
        setup.emulator.unreadable = {"m99"}
        await setup.send(100)
        await setup.until(lambda: setup.ledger.points_delivered == 95)
        await setup.send(50, window=NOW - 60)
        await setup.settle()
        assert (setup.ledger.points_delivered, setup.ledger.points_refused) == (145, 5)
        letters = setup.letters()
        assert {letter["reason"] for letter in letters} == {"unreadable_answer"}
        assert "it works" in letters[0]["detail"]
        figure(30, f"one batch of 30: to the dead letters after {setup.emulator.requests - 29} tries")


@pytest.mark.parametrize("shape", SHAPES)
async def test_row_31_partial_failures(shape, tmp_path, figure):
    dice = random.Random(shape)
    async with Setup(tmp_path, minute=0.2, concurrency=8, timeout=60) as setup:
        setup.emulator.shape = shape
        expected, refused = Counter(), 0
        for number in range(250):
            size = 50
            bad = frozenset(dice.sample(range(size), dice.choice([0, 1, 2, 25, 49, 50])))
            await setup.send(size, per_request=50, window=NOW - 60 * number, bad=bad)
            expected.update((f"m{n}", NOW - 60 * number) for n in range(size) if n not in bad)
            refused += len(bad)
        await setup.only_quarantined_left()
        await setup.send(5, window=NOW - 60 * 250)
        expected.update((f"m{n}", NOW - 60 * 250) for n in range(5))
        await setup.settle()
        received = Counter((point["metric"], point["timestamp"]) for point in setup.emulator.received)
        assert received == expected
        assert setup.ledger.dead_letters == refused
        assert all("illegal" in letter["detail"] for letter in setup.letters())
        figure(31, f"shape {shape}: 250 requests, {sum(expected.values())} stored once, {refused} dead letters")


@pytest.mark.parametrize("fault", ["refused", "400"])
async def test_row_31_everything_is_refused_with_and_without_a_list(fault, tmp_path, figure):
    async with Setup(tmp_path, minute=0.4, concurrency=1) as setup:
        setup.emulator.add_fault(Fault.parse(fault))
        with capture_logs() as logs:
            await setup.send(500, per_request=50)
            await setup.until(lambda: any("every point is refused" in log["event"] for log in logs))
        before = setup.emulator.requests
        await asyncio.sleep(2)
        tries = setup.emulator.requests - before
        assert (setup.ledger.points_refused, setup.ledger.dead_letters) == (0, 0)
        assert setup.spool.points + setup.pool.in_flight == 500
        assert tries <= (2 / 0.4 + 1) * (1 if fault == "refused" else 8)
        setup.emulator.clear_faults()
        began = time.monotonic()
        await setup.settle()
        assert setup.ledger.points_delivered == 500
        assert setup.emulator.duplicates() == []
        row = 31 if fault == "refused" else 32
        figure(row, f"all refused: stopped after {before} requests, alone again after {time.monotonic() - began:.1f} s")


@pytest.mark.parametrize("poisoned", [1, 3])
async def test_row_32_poison(poisoned, tmp_path, figure):
    bad = {f"m{number}" for number in (17, 3, 44)[:poisoned]}
    async with Setup(tmp_path, minute=0.4) as setup:
        setup.emulator.poison = bad
        await setup.send(50, per_request=50)
        await setup.settle()
        assert sorted(setup.metrics()) == sorted({f"m{n}" for n in range(50)} - bad)
        assert setup.ledger.points_refused == poisoned
        assert {letter["point"]["metric"] for letter in setup.letters()} == bad
        assert setup.emulator.requests <= 12 * poisoned
        figure(32, f"{poisoned} of 50: {setup.emulator.requests} requests")


async def test_row_32_a_whole_batch_is_poison_and_the_others_are_not(tmp_path):
    async with Setup(tmp_path, minute=0.4, concurrency=2) as setup:
        setup.emulator.poison = {f"m{n}" for n in range(50)}
        await setup.send(150, per_request=50)
        await setup.only_quarantined_left()
        await setup.send(50, window=NOW - 60, per_request=50, first=150)
        await setup.settle()
        assert sorted(setup.metrics()) == sorted(f"m{n}" for n in range(50, 200))
        assert (setup.ledger.points_refused, len(setup.letters())) == (50, 50)


# --- 33 and 34: credentials and clocks --------------------------------------------------------------------------------


async def test_row_33_a_key_is_rotated_in_its_file(start, load, emulator, figure, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("old-secret\n")
    secret.chmod(0o600)
    emulator.rotate("old-secret")
    relay = start(CLOUD_ACCESS_KEY="test-ak", CLOUD_SECRET_KEY_FILE=str(secret))
    generator = load(relay, rate=500, seconds=60)
    await relay.wait_for(**{'relay_points_total{outcome="delivered"}': 1})
    emulator.rotate("new-secret")
    await relay.wait_for(**{'relay_requests_total{code="401"}': 1})
    await asyncio.sleep(3)
    refused = emulator.statuses[401]
    assert refused <= 10, "no hot loop"
    secret.write_text("new-secret\n")
    stored, began = len(emulator.received), time.monotonic()
    while len(emulator.received) == stored:
        await asyncio.sleep(0.02)
    resumed = time.monotonic() - began
    verdict = await conserve(relay, emulator, await generator.stop())
    assert "new-secret" not in relay.text()
    figure(33, f"resumed after {resumed:.1f} s, {refused} requests refused in 3 windows; {verdict}")


async def test_row_33_a_file_that_holds_no_credential_is_told_and_the_old_one_goes_on(start, emulator, tmp_path):
    """At a renewal the old credential stays; a start refuses the file."""
    secret = tmp_path / "secret"
    secret.write_text("old-secret")
    secret.chmod(0o600)
    emulator.rotate("old-secret")
    settings = {"CLOUD_ACCESS_KEY": "test-ak", "CLOUD_SECRET_KEY_FILE": str(secret)}
    relay = start(**settings)
    worker = relay.worker_pid
    emulator.rotate("new-secret")
    secret.write_text("new-secret\nsecond line")
    relay.send(b"kept:1|c")
    await relay.wait_for(**{'relay_requests_total{code="401"}': 2})
    assert [event["why"] for event in await relay.told("RLY103")] == [
        f"{secret}:2 has more than one line: a credential must be printable ASCII in one line (write it again)"
    ]
    secret.write_text("new-secret")
    await relay.wait_for(**{'relay_points_total{outcome="delivered"}': 1})
    assert relay.worker_pid == worker
    assert emulator.total("kept") == 1


@pytest.mark.full
async def test_row_33_resumes_within_fifteen_seconds_of_real_windows(tmp_path, figure):
    secret = tmp_path / "secret"
    secret.write_text("sk")
    in_force = "sk"

    def newer() -> Signer | None:
        nonlocal in_force
        if (found := secret.read_text()) == in_force:
            return None
        in_force = found
        return Signer(access_key="ak", secret_key=Secret(found), region="r")

    async with Setup(tmp_path, minute=60.0, newer_signer=newer) as setup:
        setup.emulator.rotate("new")
        await setup.send(20)
        await setup.until(lambda: setup.ledger.requests["401"])
        await asyncio.sleep(1)
        secret.write_text("new")
        began = time.monotonic()
        await setup.settle()
        resumed = time.monotonic() - began
        assert setup.ledger.points_delivered == 20
        assert setup.ledger.requests["401"] <= 4 + 1
        assert resumed <= 15
        figure(33, f"windows of 60 s: resumed after {resumed:.1f} s")


@pytest.mark.parametrize("ahead", [-90, 90])
async def test_row_34_the_clock_differs(ahead, start, emulator, figure):
    emulator.clock_ahead = ahead
    relay = start()
    relay.send(b"a:1|c")
    metrics = await relay.wait_for(**{'relay_points_total{outcome="delivered"}': 1})
    assert metrics["relay_clock_skew_seconds"] == pytest.approx(-ahead, abs=3)
    assert await relay.told("RLY122")
    figure(34, f"cloud ahead by {ahead} s: seen {metrics['relay_clock_skew_seconds']:.1f}, RLY122")


# --- 37 and 40 --------------------------------------------------------------------------------------------------------


def test_row_37_fifty_relays_restart_in_the_same_second(figure):
    large = fleet(50, backlog=2000, fresh=5, seconds=120)
    small = fleet(50, backlog=20, fresh=20, seconds=130)
    peaks = [max(part) * len(part) / sum(part) for part in (large, small[:10], small[60:70])]
    figure(37, "peak second / mean: {:.2f} large backlog, {:.2f} small one, {:.2f} a minute later".format(*peaks))
    assert max(peaks) <= 1.5


async def test_row_40_too_old_to_be_sent(tmp_path, figure):
    async with Setup(tmp_path, max_age=3600.0) as setup:
        await setup.send(20, window=NOW - 7200)
        await setup.send(10, window=NOW)
        await setup.settle()
        assert setup.ledger.points_dropped == {"too_old": 20}
        assert setup.ledger.points_delivered == 10
        assert setup.emulator.requests == 2
        letters = setup.letters()
        assert (len(letters), {letter["reason"] for letter in letters}) == (20, {"too_old"})
        figure(40, f"{len(letters)} points to the dead letters, {setup.emulator.requests} requests for the others")
