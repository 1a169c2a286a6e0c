"""Makes the answer of `GET /api/v1/status` out of the facts and findings of the last judgement."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from relay import __version__
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
from relay.loss_log import lost_samples
from relay.wording import as_utc, printable

if TYPE_CHECKING:
    from datetime import datetime

    from relay.admin.answers.finding import Finding, Overall
    from relay.daemon.app import Relay
    from relay.daemon.health.facts import Counts, Facts, Window
    from relay.daemon.health.rates import Rates
    from relay.ledger import Books


_ACTIVE: Final = 60.0
"""Seconds since its newest packet in which a sender counts."""


def report(relay: Relay, facts: Facts, *, level: Overall, findings: tuple[Finding, ...], rates: Rates) -> StatusAnswer:
    """Return the answer of this moment; facts, level and findings are those of the last judgement."""
    return StatusAnswer(
        version=__version__,
        host=printable(relay.config.tags.get("host", "")),
        pid=relay.main_pid or os.getpid(),
        time=moment(relay.context.clock.wall()),
        started=moment(facts.started),
        window_seconds=facts.seconds,
        level=level,
        findings=[_finding(one) for one in findings],
        input=_input(relay, facts, rates),
        window=_window(facts.windows[-1]) if facts.windows else None,
        closed_windows=relay.context.ledger.windows_closed,
        delivered_window=_delivered_window(facts),
        rules=_rules(relay, facts),
        series=_series(facts),
        cloud=_cloud(facts),
        waiting=_waiting(facts),
        books=_books(relay.status.books()),
        config=ConfigurationInForce(
            file=facts.process.file,
            is_file_in_force=relay.status.is_last_reload_successful,
            generation=relay.in_force.generation,
            since=moment(relay.in_force.since),
        ),
    )


def moment(seconds: float) -> datetime:
    """Return a wall time as a date in UTC, in milliseconds."""
    return as_utc(round(seconds, 3))


def _moment_of(seconds: float | None) -> datetime | None:
    return moment(seconds) if seconds else None


def _finding(one: Finding) -> StatusFinding:
    return StatusFinding(
        code=one.code,
        level=one.level,
        since=moment(one.since),
        subject=one.subject,
        sentence=one.sentence,
        cloud=one.cloud,
        fix=one.fix,
        safe=one.safe,
        next=one.next,
    )


def lost(counts: Counts) -> int:
    """Return what was lost without intention: packets, lines, samples and points."""
    samples, points = lost_samples(counts.samples_dropped), sum(counts.points_dropped.values())
    return sum(counts.kernel_drops.values()) + sum(counts.rejected.values()) + samples + points


def _input(relay: Relay, facts: Facts, rates: Rates) -> Input:
    since = relay.context.clock.wall() - _ACTIVE
    return Input(
        senders=sum(one.last_at >= since for one in relay.hotpath.senders().known),
        lines_per_second=round(rates.lines, 1),
        packets_per_second=round(rates.packets, 1),
        last_packet=_moment_of(facts.intake.last_packet_at),
        lost=lost(facts.open),
    )


def _window(one: Window) -> LastWindow:
    return LastWindow(
        start=moment(one.start),
        late_seconds=round(one.late, 3),
        lines=one.lines,
        accepted=one.lines - one.rejected,
        rejected=one.rejected,
        lost=one.lost,
        series=one.series,
        points=one.points,
        requests=one.requests,
        delivered=one.delivered,
        refused=one.refused,
        dropped=one.points - one.delivered - one.refused - one.waiting,
        waiting=one.waiting,
        first_answer=_moment_of(one.first_answer_at),
    )


def _delivered_window(facts: Facts) -> datetime | None:
    """Return the start of the last window up to which nothing waits."""
    oldest = facts.storage.oldest
    done = [
        window.start for window in facts.windows if not window.waiting and (oldest is None or window.start < oldest)
    ]
    return moment(done[-1]) if done else None


def _rules(relay: Relay, facts: Facts) -> Rules:
    rules, figures = relay.config.rule, relay.cardinality.rules()
    dropped = {
        number: figures[number].samples
        for number, rule in enumerate(rules, 1)
        if rule.action == "drop" and number in figures
    }
    top = max(dropped, key=lambda number: dropped[number], default=0)
    is_dropping = bool(top and dropped[top])
    return Rules(
        top_dropping=printable(rules[top - 1].match or rules[top - 1].regex) if is_dropping else "",
        top_dropped=dropped[top] if is_dropping else 0,
        count=len(rules),
        identities=sum(relay.namer.hits),
        unmatched=relay.namer.unmatched.count,
        samples_dropped=facts.counts.samples_dropped.get("rule", 0),
    )


def _series(facts: Facts) -> SeriesCount:
    return SeriesCount(
        open=facts.series.count,
        last=facts.windows[-1].series if facts.windows else 0,
        limit=facts.series.limit,
        per_metric_limit=facts.series.per_metric,
        fastest=facts.series.fastest,
        fastest_growth=round(facts.series.fastest_growth),
    )


def _cloud(facts: Facts) -> Cloud:
    delivery = facts.delivery
    return Cloud(
        provider=delivery.provider,
        host=delivery.host,
        verdict=delivery.verdict,
        last_delivery=_moment_of(delivery.accepted_at),
        requests_per_minute=delivery.quota,
        allowed_per_minute=round(delivery.per_minute, 1),
        throttled=facts.counts.throttled,
        failed=sum(facts.counts.failed.values()),
        clock_skew_seconds=round(delivery.clock_skew, 1) if delivery.is_skew_known else None,
    )


def _waiting(facts: Facts) -> Waiting:
    storage = facts.storage
    return Waiting(
        points=storage.points,
        bytes=storage.bytes,
        limit_bytes=storage.limit,
        is_durable=bool(storage.path) and not storage.trouble,
        oldest=_moment_of(storage.oldest),
        dead_letters=storage.letters,
    )


def _books(books: Books) -> BooksAnswer:
    return BooksAnswer(
        received=books.received,
        accepted=books.accepted,
        events=books.events,
        rejected=sum(books.rejected.values()),
        samples_accepted=books.samples_accepted,
        samples_closed=books.samples_closed,
        samples_open=books.samples_open,
        samples_dropped=sum(books.samples_dropped.values()),
        created=books.created,
        recovered=books.recovered,
        replayed=books.replayed,
        delivered=books.delivered,
        refused=books.refused,
        dropped=sum(books.dropped.values()),
        waiting=books.spooled + books.in_flight,
        imbalance=books.imbalance(),
    )
