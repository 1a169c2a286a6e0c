"""Situations in which something is wrong, and the whole answer of the judge to each: tests/vectors/findings.jsonl."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from relay.daemon.health.facts import (
    BadLine,
    Caution,
    Counts,
    Death,
    Delivery,
    Explosion,
    Facts,
    Intake,
    LimitAhead,
    Process,
    Refusal,
    SeriesFacts,
    Socket,
    Storage,
    Window,
)
from relay.daemon.health.judge import TABLE, Answer, judge
from tests.support.facts import NOON

VECTORS = Path(__file__).parents[2] / "vectors/findings.jsonl"


def windows(count: int = 5) -> tuple[Window, ...]:
    starts = [int(NOON) - 60 * (count - place) for place in range(count)]
    return tuple(Window(start=start, points=3400, requests=69, delivered=3400, series=3400) for start in starts)


def silent(**fields) -> Facts:
    """A relay that is well, but for what is given; no packet has come."""
    return Facts(**{"now": NOON, "started": NOON - 300_000, "windows": windows(), "open_start": int(NOON), **fields})


def facts(**fields) -> Facts:
    """A relay that is well, but for what is given."""
    found = silent(**fields)
    return replace(found, intake=replace(found.intake, last_packet_at=NOON))


def delivery(**fields) -> Delivery:
    url = "https://monitor.cn-north-1.jdcloud-api.com/v1/customMetrics"
    known = {
        "host": "monitor.cn-north-1.jdcloud-api.com",
        "endpoint": url,
        "key": "JDC_..4F2A",
        "key_place": "/run/secrets/jdcloud",
        "key_reload": "it is read every 5 s",
        "accepted_at": NOON - 480,
        "per_minute": 900.0,
        "is_skew_known": True,
        "clock_skew": 0.3,
    }
    return Delivery(**{**known, **fields})


OUTAGE = Storage(points=51_180, bytes=2_000_000, oldest=int(NOON) - 900, path="/var/lib/statsd-relay", letters=3)
REFUSAL = Refusal(metric="web.hits", words="HTTP 400 dimensions value illegal")
SITUATIONS = {
    "credentials": facts(
        delivery=delivery(
            verdict="credentials", since=NOON - 480, status=401, words="HTTP 401 the signature does not match"
        ),
        storage=OUTAGE,
    ),
    "clock": facts(
        delivery=delivery(
            verdict="credentials", since=NOON - 480, status=401, words="HTTP 401 the clock differs", clock_skew=-1200.0
        ),
        storage=OUTAGE,
    ),
    "endpoint": facts(
        delivery=delivery(
            verdict="misconfigured", since=NOON - 480, status=404, words="HTTP 404 no such path", region="cn-north-1"
        ),
        storage=OUTAGE,
    ),
    "stopped": facts(delivery=delivery(verdict="refused", is_stopped=True, refusal=REFUSAL), storage=OUTAGE),
    "points": facts(
        delivery=delivery(verdict="delivered", accepted_at=NOON - 5, refusal=REFUSAL),
        periods=(Counts(points_refused=12),),
    ),
    "down": facts(
        delivery=delivery(
            verdict="unavailable",
            since=NOON - 420,
            is_down=True,
            cause="connect",
            words="Connection refused",
        ),
        storage=OUTAGE,
    ),
    "one failure": facts(
        delivery=delivery(verdict="delivered", accepted_at=NOON - 5, cause="5xx"), open=Counts(failed={"5xx": 1})
    ),
    "429": facts(
        delivery=delivery(
            verdict="throttled",
            since=NOON - 20,
            words="HTTP 429 QUOTA over the quota",
            paused=7.0,
            per_minute=310.0,
            accepted_at=NOON - 25,
        ),
        open=Counts(throttled=4),
        storage=Storage(points=900, bytes=40_000, oldest=int(NOON) - 60, path="/s"),
    ),
    "429 old": facts(
        delivery=delivery(
            verdict="throttled",
            since=NOON - 620,
            words="HTTP 429 QUOTA over the quota",
            per_minute=12.0,
            accepted_at=NOON - 25,
        ),
        open=Counts(throttled=4),
        storage=OUTAGE,
    ),
    "behind": facts(
        delivery=delivery(verdict="delivered", accepted_at=NOON - 2),
        waiting=(9000, 6000, 4000, 1000),
        storage=Storage(points=9000, bytes=400_000, oldest=int(NOON) - 240, path="/s"),
    ),
    "full": facts(
        delivery=delivery(
            verdict="unavailable", since=NOON - 90_000, is_down=True, cause="dns", accepted_at=NOON - 90_000
        ),
        periods=(Counts(points_dropped={"spool_full": 3400}),),
        storage=Storage(points=2_000_000, bytes=1024**3 - 1000, oldest=int(NOON) - 80_000, path="/s"),
    ),
    "disk": facts(
        delivery=delivery(verdict="delivered", accepted_at=NOON - 5), storage=Storage(path="/s", trouble="full")
    ),
    "disk and cloud": facts(
        delivery=delivery(verdict="unavailable", since=NOON - 420, is_down=True, cause="timeout"),
        storage=Storage(points=3400, bytes=160_000, oldest=int(NOON) - 420, path="/s", trouble="full"),
    ),
    "kernel": facts(
        open=Counts(kernel_drops={"udp://127.0.0.1:8125": 1234}),
        intake=Intake(sockets=(Socket(name="udp://127.0.0.1:8125", granted=212_992, asked=8_388_608),)),
    ),
    "kernel earlier": facts(
        periods=(Counts(), Counts(), Counts(kernel_drops={"udp://127.0.0.1:8125": 1234})),
        intake=Intake(sockets=(Socket(name="udp://127.0.0.1:8125", granted=8_388_608, asked=8_388_608),)),
    ),
    "future": facts(open_start=int(NOON) + 7200, process=Process(opens_in=7200.0)),
    "late": facts(
        windows=(*windows(3), Window(start=int(NOON) - 120, late=12.0, points=1)),
        process=Process(top_sender="10.1.4.9:5000"),
    ),
    "slow": facts(process=Process(slow_at=(NOON - 30, NOON - 20, NOON - 1))),
    "death": facts(
        process=Process(deaths=(Death(at=NOON - 60, reason="killed by SIGKILL"),), memory_limit=536_870_912)
    ),
    "deaths": facts(
        process=Process(
            deaths=(Death(at=NOON - 600, reason="exit code 70"), Death(at=NOON - 60, reason="exit code 70"))
        )
    ),
    "books": facts(process=Process(imbalances=(3, 3))),
    "losses": facts(open=Counts(samples_dropped={"rule": 9, "too_old": 2}, points_dropped={"ambiguous": 50})),
    "rejected": facts(
        open=Counts(lines=1000, rejected={"bad_value": 14, "no_value": 1}),
        intake=Intake(
            bad_lines=(
                BadLine(
                    reason="bad_value", line="web.time:abc|ms", at=9, why='"abc" is no number', sender="10.1.4.9:5000"
                ),
            )
        ),
    ),
    "few rejected": facts(open=Counts(lines=100_000, rejected={"bad_value": 1})),
    "streams": facts(open=Counts(connections_closed={"evicted": 1})),
    "overflow": facts(
        open=Counts(samples_overflow=77),
        series=SeriesFacts(explosion=Explosion(metric="web.req", tag="request_id", values=10_000)),
    ),
    "growth": facts(
        series=SeriesFacts(
            ahead=(LimitAhead(metric="web.req", series=4204, limit=10_000, per_minute=1831.0, seconds=190.0),)
        )
    ),
    "quota": facts(
        windows=tuple(Window(start=int(NOON) - 60 * (4 - i), requests=600 + 70 * i, points=1) for i in range(4))
    ),
    "no packet": silent(
        started=NOON - 200, intake=Intake(addresses=("udp://127.0.0.1:8125", "udp://[::1]:8125"), closed_ports=500)
    ),
    "silence": silent(
        counts=Counts(packets=9), intake=Intake(addresses=("udp://127.0.0.1:8125",), last_packet_at=NOON - 400)
    ),
    "reload": facts(
        process=Process(
            file="/etc/statsd-relay/relay.toml",
            reload_error="/etc/statsd-relay/relay.toml:2 window.percentiles: must be a list",
        )
    ),
    "skew": facts(delivery=delivery(verdict="delivered", accepted_at=NOON - 5, clock_skew=90.0)),
    "tee": facts(
        open=Counts(tee_dropped={"127.0.0.1:9125": 4}), intake=Intake(tees={"127.0.0.1:9125": "Connection refused"})
    ),
    "letters": facts(open=Counts(letters_dropped=1), storage=Storage(path="/s", letters=200)),
    "foreign": facts(
        started=NOON - 30, storage=Storage(path="/s", foreign_host="web_2"), intake=Intake(last_packet_at=NOON)
    ),
    "changed": facts(
        open=Counts(names_rewritten=2, tags_dropped=3, values_clamped=1),
        series=SeriesFacts(
            rewritten={"metric": "web_1.hits", "received": "web-1.hits", "sent_as": "web_1.hits"},
            unsent={"metric": "web.req", "tags": "zone rack"},
            clamped={"metric": "web.bytes"},
        ),
    ),
    "step": facts(process=Process(stepped_at=NOON - 30, step=-3600.0)),
    "catching up": facts(
        delivery=delivery(verdict="delivered", accepted_at=NOON - 2),
        waiting=(9000, 12_000, 14_000, 15_000),
        storage=Storage(points=9000, bytes=400_000, oldest=int(NOON) - 1200, path="/s"),
    ),
    "just back": facts(
        delivery=delivery(verdict="delivered", since=NOON - 150, accepted_at=NOON - 2),
        waiting=(9000, 6000, 4000, 1000),
        storage=Storage(points=9000, bytes=400_000, oldest=int(NOON) - 1200, path="/s"),
    ),
    "behind for long": facts(
        delivery=delivery(verdict="delivered", accepted_at=NOON - 2),
        storage=Storage(points=9000, bytes=400_000, oldest=int(NOON) - 1200, path="/s"),
    ),
    "filling": facts(
        delivery=delivery(verdict="delivered", accepted_at=NOON - 2),
        storage=Storage(points=9000, bytes=900_000_000, oldest=int(NOON) - 120, path="/s"),
    ),
    "health": facts(process=Process(is_health_down=True)),
    "caution": facts(
        process=Process(
            cautions=(
                Caution(code="RLY121", message="/run/key can be read by every user", fix="chmod 600 /run/key"),
                Caution(code="RLY110", message="odd"),
            )
        )
    ),
}


def answer_of(situation: str) -> dict:
    found = judge(SITUATIONS[situation], Answer())
    shown = [{key: value for key, value in msgspec.to_builtins(one).items() if value != ""} for one in found.findings]
    return {"situation": situation, "level": found.level, "findings": shown}


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


EXPECTED = [json.loads(line) for line in VECTORS.read_text().splitlines()]


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda one: one["situation"])
def test_the_whole_answer(expected):
    assert answer_of(expected["situation"]) == expected


def test_every_situation_has_an_answer_and_every_code_a_situation():
    assert [one["situation"] for one in EXPECTED] == list(SITUATIONS)
    told = {(finding["code"], finding["level"]) for one in EXPECTED for finding in one["findings"]}
    cautions = {"RLY102", "RLY111", "RLY112", "RLY121", "RLY131", "RLY201", "RLY412", "RLY900"}
    wanted = {(code, level) for code, levels in TABLE.items() for level in levels if code not in cautions}
    assert wanted - told == set()
