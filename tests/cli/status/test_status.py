"""`status`: its text at 80 columns, the line for Nagios, and what a real relay answers."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from relay.admin.answers.status import (
    BooksAnswer,
    Cloud,
    ConfigurationInForce,
    Input,
    LastWindow,
    Rules,
    SeriesCount,
    StatusAnswer,
    StatusFinding,
    Waiting,
)
from relay.cli.status.nagios import nagios_line
from relay.cli.status.text import status_lines
from relay.tools.emulator import Fault
from tests.support.command import Done, call
from tests.support.inprocess import open_relay

NOW = datetime(2026, 11, 30, 12, 7, 31, tzinfo=UTC)
MINUTE = NOW.replace(minute=6, second=0)
REFUSED = StatusFinding(
    code="RLY120",
    level="problem",
    since=NOW,
    sentence="nothing has reached the cloud since 11:52: credentials refused",
    cloud='"HTTP 401 the signature does not match"; this clock is right (+0.3 s)',
    fix="replace key JDC_..4F2A in /run/secrets/jdcloud; it is read every 5 s",
    safe="51 180 points wait on disk; it holds 9 d of this",
    next="explain RLY120",
)
OVERFLOW = StatusFinding(
    code="RLY310",
    level="warning",
    since=NOW,
    sentence="web.req has 10 000 series by request_id, more overflow",
    fix="a rule",
    next="series",
)
BAD = StatusAnswer(
    version="0.1.0",
    host="web_1",
    pid=812,
    time=NOW,
    started=NOW - timedelta(days=3, hours=4),
    window_seconds=60,
    level="problem",
    findings=[REFUSED, OVERFLOW],
    input=Input(lines_per_second=3071.2, packets_per_second=411.9, senders=37, last_packet=NOW, lost=0),
    window=LastWindow(
        start=MINUTE,
        late_seconds=0.1,
        lines=184_201,
        accepted=184_187,
        rejected=14,
        lost=14,
        series=13_398,
        points=3_412,
        requests=69,
        delivered=0,
        refused=0,
        dropped=0,
        waiting=3_412,
    ),
    closed_windows=4_561,
    rules=Rules(
        count=3, identities=61, unmatched=39, samples_dropped=2_400, top_dropping="debug.**", top_dropped=2_310
    ),
    series=SeriesCount(
        open=3_000, last=13_398, limit=50_000, per_metric_limit=10_000, fastest="web.req", fastest_growth=1_831
    ),
    cloud=Cloud(
        provider="jdcloud",
        host="monitor.cn-north-1.jdcloud-api.com",
        verdict="credentials",
        requests_per_minute=900,
        allowed_per_minute=900,
        throttled=0,
        failed=0,
    ),
    waiting=Waiting(
        points=51_180, bytes=2_000_000, limit_bytes=1024**3, is_durable=True, oldest=MINUTE, dead_letters=3
    ),
    books=BooksAnswer(
        received=0,
        accepted=0,
        events=0,
        rejected=0,
        samples_accepted=0,
        samples_closed=0,
        samples_open=0,
        samples_dropped=0,
        created=0,
        recovered=0,
        replayed=0,
        delivered=0,
        refused=0,
        dropped=0,
        waiting=0,
        imbalance=0,
    ),
    config=ConfigurationInForce(
        file="/etc/statsd-relay/relay.toml", is_file_in_force=True, generation=4, since=NOW.replace(hour=10, minute=2)
    ),
)
TEXT_OF_A_PROBLEM = """\
statsd-relay 0.1.0  web_1  pid 812  up 3 d 4 h                   12:07:31 +00:00
PROBLEM  RLY120  nothing has reached the cloud since 11:52: credentials refused
  cloud   "HTTP 401 the signature does not match"; this clock is right (+0.3 s)
  fix     replace key JDC_..4F2A in /run/secrets/jdcloud; it is read every 5 s
  safe    51 180 points wait on disk; it holds 9 d of this
also      RLY310  web.req has 10 000 series by request_id, more overflow  series
in        3 071 lines/s in 412 packets/s from 37 senders, last 0.0 s ago, lost 0
lines     12:06  184 201 = 184 187 accepted + 14 rejected         tap --rejected
rules     3 took 61 % of 100 names; "debug.**" dropped 2 310 samples     explain
series  ! 13 398 of 50 000 (27 %); fastest web.req, +1 831/min            series
cloud   ! 12:06  0 of 3 412 points delivered; 69 requests of 900/min, 429s 0
waiting ! 51 180 points, 1.9 MiB of 1.0 GiB, durable; dead letters 3   dead list
books     lines, samples and points balance since the start
config    /etc/statsd-relay/relay.toml, generation 4 since 10:02     config show
"""


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def text(answer: StatusAnswer) -> str:
    return "".join(f"{line}\n" for line in status_lines(answer))


def test_a_problem():
    assert text(BAD) == TEXT_OF_A_PROBLEM


def test_all_is_well_in_one_line():
    well = msgspec.structs.replace(
        BAD,
        level="ok",
        findings=[],
        delivered_window=MINUTE,
        cloud=msgspec.structs.replace(BAD.cloud, last_delivery=NOW.replace(second=1, microsecond=900_000)),
    )
    lines = text(well).splitlines()
    assert lines[1] == "OK  everything up to 12:06 is in the cloud, 1.9 s after the minute ended"
    assert lines[2].startswith("in  ")
    assert not any("!" in line for line in lines)


def test_before_the_first_window():
    early = msgspec.structs.replace(BAD, level="ok", findings=[], window=None)
    assert text(early).splitlines()[1] == "OK  no window has closed yet, the first one lasts until 12:08:00"


def test_long_texts_wrap_beside_their_label_and_many_findings_are_counted():
    long = msgspec.structs.replace(OVERFLOW, sentence="a sentence of seven words " * 5)
    lines = text(msgspec.structs.replace(BAD, findings=[REFUSED, *[long] * 9])).splitlines()
    assert max(map(len, lines)) <= 80
    assert "          and 4 more" + "status --json".rjust(60) in lines
    assert sum("RLY310" in line for line in lines) == 5


def test_a_number_stays_in_one_line_with_its_digits_and_its_unit():
    for filler in range(45, 65):
        sentence = f"{'x' * filler} of 50 000 waits for 1 min 36 s and 20 samples"
        found = text(msgspec.structs.replace(BAD, findings=[msgspec.structs.replace(REFUSED, sentence=sentence)]))
        assert "50 000" in found
        assert "36 s" in found
        assert max(map(len, found.splitlines())) <= 80


def test_requests_are_those_of_a_minute_for_windows_of_every_length():
    assert "828 requests of 900/min" in text(msgspec.structs.replace(BAD, window_seconds=5))


def test_untrusted_characters_are_escaped():
    finding = msgspec.structs.replace(REFUSED, cloud='"\x1b[2J\u202e"', sentence="a|b\nc")
    bad = msgspec.structs.replace(BAD, host="h\x1b", findings=[finding])
    assert "\x1b" not in text(bad)
    assert "\u202e" not in text(bad)
    _, line = nagios_line(bad)
    assert line.count("|") == 1
    assert "\n" not in line


@pytest.mark.parametrize(("level", "code", "word"), [("ok", 0, "OK"), ("note", 0, "OK"), ("warning", 1, "WARNING")])
def test_the_line_for_nagios(level, code, word):
    findings = [] if level == "ok" else [msgspec.structs.replace(OVERFLOW, level=level)]
    found, line = nagios_line(msgspec.structs.replace(BAD, level=level, findings=findings))
    assert found == code
    assert line.startswith(f"STATSD-RELAY {word} - ")
    assert line.endswith(" | lines=184201 waiting=51180 lost=14")


def test_a_problem_is_critical():
    code, line = nagios_line(BAD)
    assert code == 2
    sentence = "nothing has reached the cloud since 11:52: credentials refused (and 1 more)"
    assert line == f"STATSD-RELAY CRITICAL - RLY120 {sentence} | lines=184201 waiting=51180 lost=14"


# --- a real relay ----------------------------------------------------------------------------------------------------


async def status(address: str, *arguments: str) -> Done:
    return await asyncio.to_thread(call, "status", "--admin", address, *arguments)


async def test_a_relay_tells_its_own_status(tmp_path):
    async with open_relay(tmp_path) as running:
        address, emulator = running.relay.admin.address, running.emulator
        running.relay.hotpath.feed(b"web.hits:1|c", time.time())
        done = await status(address, "--wait", "20s")
        assert (done.returncode, done.stderr) == (0, "")
        done = await status(address)
        assert done.returncode == 0
        assert "\nOK  everything up to " in done.stdout
        assert max(map(len, done.stdout.splitlines())) <= 80
        assert address in done.stderr
        answer = json.loads((await status(address, "--json")).stdout)
        assert answer["level"] == "ok"
        assert answer["source"]["relay"] == address
        assert (await status(address, "--check")).stdout.startswith("STATSD-RELAY OK - ")
        emulator.add_fault(Fault("401"))
        running.relay.hotpath.feed(b"web.hits:1|c", time.time())
        done = await status(address, "--wait", "20s")
        assert done.returncode == 77 or "is delivered" in done.stdout  # the window closed before the fault
        while (await status(address, "--check")).returncode != 2:
            await asyncio.sleep(0.2)
        assert (await status(address, "--wait", "20s")).returncode == 77
        assert "\nPROBLEM  RLY120  nothing has reached the cloud" in (await status(address)).stdout
        emulator.clear_faults()


async def test_time_is_up_while_nothing_can_be_delivered(tmp_path):
    async with open_relay(tmp_path) as running:
        running.emulator.add_fault(Fault("503"))
        running.relay.hotpath.feed(b"web.hits:1|c", time.time())
        while not running.relay.context.ledger.failed_at:
            await asyncio.sleep(0.1)
        done = await status(running.relay.admin.address, "--wait", "3s")
        assert done.returncode == 1
        assert "not delivered within 3 s: RLY405 " in done.stderr
        running.emulator.clear_faults()


def test_without_a_relay():
    assert call("status", "--admin", "127.0.0.1:1").returncode == 69
    assert call("status", "--admin", "127.0.0.1:1", "--wait", "1s").returncode == 69
    done = call("status", "--admin", "127.0.0.1:1", "--check")
    assert done.returncode == 3
    assert done.stdout.startswith("STATSD-RELAY UNKNOWN - no relay answers on 127.0.0.1:1")


@pytest.mark.parametrize("wrong", [["--wait", "soon"], ["--wait", "0s"], ["--check", "--wait", "5s"], ["extra"]])
def test_a_wrong_option_is_a_usage_error(wrong):
    assert call("status", *wrong).returncode == 64
