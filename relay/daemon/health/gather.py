"""Gathers the facts of a running relay: each from the stage that counts it, all in one step without an await.

`Gatherer.gather` takes about a millisecond. What a file has is read in a thread (surroundings.py).
"""

from __future__ import annotations

import os
from collections import Counter, deque
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from relay.daemon.health.access_key import describe_key
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
from relay.delivery.sender.breaker import fix_for
from relay.hotpath.explain import explain
from relay.loss_log import lost_samples
from relay.wording import escape, printable

if TYPE_CHECKING:
    from relay.daemon.app import Relay
    from relay.daemon.health.surroundings import Surroundings
    from relay.errors import Problem
    from relay.ledger import WindowRecord
    from relay.model import RejectedLine, Tally

_PERIODS: Final = 10
"""Windows for which a loss stays a finding."""


class Periods:
    """State: the counters when each of the last windows was seen closed, and the points that waited then."""

    def __init__(self, counts: Counts) -> None:
        self._last: int | None = None
        self._at_close = counts
        self.added: deque[Counts] = deque(maxlen=_PERIODS)
        """What each of the last ten windows added, newest first."""
        self.waiting: deque[int] = deque(maxlen=_PERIODS)
        """Points that waited at these closes, newest first."""

    def follow(self, last: int | None, counts: Counts, *, waiting: int) -> Counts:
        """Begin another period if a window has closed; return what the present one has added so far.

        Args:
            last: id of the window that was stored last.
            counts: counters of this moment.
            waiting: points that wait.
        """
        if last != self._last:
            self._last = last
            self.added.appendleft(counts - self._at_close)
            self.waiting.appendleft(waiting)
            self._at_close = counts
        return counts - self._at_close


class Gatherer:
    """State: the periods, the imbalance of the look before, and the growth of series at the last close."""

    def __init__(self, relay: Relay, surroundings: Surroundings) -> None:
        self._relay = relay
        self._surroundings = surroundings
        self._started = relay.context.clock.wall() - relay.status.uptime
        self._periods = Periods(self._counts(relay.hotpath.tally()))
        self._imbalance = 0
        self._grown_at: int | None = None
        self._ahead: tuple[LimitAhead, ...] = ()
        self._fastest: tuple[str, float] = ("", 0.0)

    def gather(self) -> Facts:
        """Return the facts of this moment; call it once a second."""
        relay, clock = self._relay, self._relay.context.clock
        tally, windows = relay.hotpath.tally(), relay.context.ledger.windows
        counts = self._counts(tally)
        waiting = relay.spool.points + relay.pool.in_flight
        open_ = self._periods.follow(windows.last.start if windows.last else None, counts, waiting=waiting)
        return Facts(
            now=clock.wall(),
            started=self._started,
            seconds=relay.config.window.seconds,
            open_start=relay.closer.open_id,
            windows=tuple(map(_window, windows)),
            counts=counts,
            open=open_,
            periods=tuple(self._periods.added),
            waiting=tuple(self._periods.waiting),
            delivery=self._delivery(),
            storage=self._storage(waiting),
            intake=self._intake(tally),
            series=self._series(tally),
            process=self._process(),
        )

    def _counts(self, tally: Tally) -> Counts:
        relay, ledger = self._relay, self._relay.context.ledger
        streams = relay.streams.listeners
        return Counts(
            packets=tally.datagrams + sum(one.datagrams for one in streams),
            lines=tally.received,
            rejected=dict(tally.rejected),
            kernel_drops={one.label: one.kernel_drops for one in relay.listeners},
            samples_dropped=dict(Counter(tally.samples_dropped) + ledger.samples_dropped),
            samples_overflow=tally.samples_overflow,
            points_dropped=dict(ledger.points_dropped),
            points_refused=ledger.points_refused,
            throttled=ledger.requests["429"],
            failed=dict(ledger.requests_failed),
            connections_closed={
                "evicted": sum(one.evicted for one in streams),
                "idle": sum(one.idle_closed for one in streams),
                "refused": sum(one.refused for one in streams),
            },
            tee_dropped=relay.tees.dropped(),
            letters_dropped=ledger.dead_letters_dropped,
            names_rewritten=ledger.names_rewritten,
            tags_dropped=ledger.tags_dropped + tally.tags_unread,
            values_clamped=ledger.values_clamped,
        )

    def _delivery(self) -> Delivery:
        relay, pool, ledger = self._relay, self._relay.pool, self._relay.context.ledger
        last, cloud, wall = pool.last_answer, relay.config.cloud, relay.context.clock.wall()
        key = describe_key(cloud, relay.credentials, os.environ)
        return Delivery(
            provider=cloud.provider,
            host=(urlsplit(pool.url).hostname or "") if cloud.provider == "jdcloud" else cloud.file or "stdout",
            endpoint=pool.url if cloud.provider == "jdcloud" else "",
            proxy=_without_password(cloud.proxy),
            region=cloud.region,
            key=key.masked,
            key_place=key.place,
            key_reload=key.reload,
            verdict=last.kind,
            since=last.since,
            status=last.status,
            words=last.words,
            cause=last.cause,
            is_down=pool.delivery_state == "down",
            is_stopped=pool.delivery_state == "stopped",
            accepted_at=ledger.accepted_at,
            paused=max(0.0, last.paused_until - wall),
            per_minute=pool.per_minute,
            quota=cloud.requests_per_minute,
            clock_skew=ledger.clock_skew,
            is_skew_known=ledger.is_clock_compared,
            refusal=Refusal(
                metric=printable(last.refused_metric),
                words=last.refused_words,
                fix=fix_for(last.refused_words) if last.refused_words else "",
            ),
        )

    def _storage(self, waiting: int) -> Storage:
        relay, spool = self._relay, self._relay.spool
        checkpoint = "checkpoint" if relay.checkpointer and relay.checkpointer.is_failing else ""
        return Storage(
            points=waiting,
            bytes=spool.bytes,
            limit=int(spool.limit_bytes),
            oldest=spool.oldest_window,
            path=str(relay.state or ""),
            trouble=spool.trouble or checkpoint,
            letters=relay.context.ledger.dead_letters,
            letters_limit=int(relay.config.spool.dead_letters),
            foreign_host=printable(relay.foreign_host),
        )

    def _intake(self, tally: Tally) -> Intake:
        relay = self._relay
        sockets = [Socket(name=one.label, granted=one.granted, asked=int(one.asked)) for one in relay.listeners]
        return Intake(
            addresses=(*(one.label for one in relay.listeners), *(one.label for one in relay.streams.listeners)),
            sockets=tuple(sockets),
            last_packet_at=tally.last_at,
            closed_ports=self._surroundings.closed_ports,
            bad_lines=tuple(map(_bad_line, {one.reason: one for one in relay.hotpath.rejects()}.values())),
            tees=relay.tees.troubles(),
        )

    def _follow_growth(self) -> None:
        """Read the growth anew after each close: with 10,000 metrics that takes some milliseconds."""
        cardinality = self._relay.cardinality
        last = cardinality.history.last
        if last is None or last.start == self._grown_at:
            return
        self._grown_at = last.start
        self._ahead = tuple(
            LimitAhead(
                metric=one.metric.name if one.metric else "",
                series=one.series,
                limit=one.limit,
                per_minute=one.per_minute,
                seconds=one.seconds,
            )
            for one in cardinality.approaching()
        )
        fastest = cardinality.history.fastest()
        self._fastest = (fastest[0].name, fastest[1]) if fastest else ("", 0.0)

    def _series(self, tally: Tally) -> SeriesFacts:
        relay = self._relay
        self._follow_growth()
        limits, examples, cause = (
            relay.config.limits,
            relay.context.ledger.last_examples,
            relay.cardinality_watch.explosion,
        )
        return SeriesFacts(
            count=tally.series,
            limit=limits.series,
            per_metric=limits.series_per_metric,
            ahead=self._ahead,
            fastest=self._fastest[0],
            fastest_growth=self._fastest[1],
            explosion=Explosion(metric=cause.metric, tag=cause.tag, values=cause.values) if cause else Explosion(),
            rewritten=examples.get("rewritten", {}),
            unsent=examples.get("unsent", {}),
            clamped=examples.get("clamped", {}),
        )

    def _process(self) -> Process:
        relay, status = self._relay, self._relay.status
        before, self._imbalance = self._imbalance, status.books().imbalance()
        return Process(
            imbalances=(before, self._imbalance),
            opens_in=relay.closer.opens_in(),
            slow_at=tuple(relay.lag.slow_at),
            top_sender=relay.cardinality_watch.top_sender,
            deaths=tuple(Death(at=at, reason=reason) for at, reason in relay.deaths),
            memory_limit=self._surroundings.memory_limit,
            reload_error=printable(status.reload_error),
            file=printable(str(relay.in_force.path or "")),
            stepped_at=relay.clock_watch.stepped_at,
            step=relay.clock_watch.step,
            is_health_down=status.is_health_down,
            cautions=self._cautions(),
        )

    def _cautions(self) -> tuple[Caution, ...]:
        relay = self._relay
        found = [_caution(one) for one in relay.status.cautions]
        for listener in relay.listeners:
            if listener.granted < listener.asked:
                message = f"{listener.label} has a receive buffer of {listener.granted} bytes of {listener.asked} asked"
                fix = f"sysctl -w net.core.rmem_max={int(listener.asked)}, or give the process CAP_NET_ADMIN"
                found.append(Caution(code="RLY201", message=message, fix=fix))
        for path in self._surroundings.set_aside:
            fix = f"inspect {path}, then remove it"
            found.append(Caution(code="RLY412", message=f"{path} is damaged and set aside", fix=fix))
        if relay.hotpath.name == "python" and relay.config.listen.hotpath == "auto":
            fix = 'install the native hot path, or set [listen] hotpath = "python"'
            found.append(Caution(code="RLY900", message="the Python hot path runs, the native one is missing", fix=fix))
        return tuple(found)


def _window(record: WindowRecord) -> Window:
    rejected, samples = sum(record.rejected.values()), lost_samples(record.samples_dropped)
    return Window(
        start=record.start,
        late=record.late,
        lines=record.lines,
        rejected=rejected,
        lost=record.kernel_drops + rejected + samples + sum(record.dropped.values()),
        series=record.series,
        points=record.points,
        requests=record.requests,
        delivered=record.delivered,
        refused=record.refused,
        waiting=record.waiting,
        first_answer_at=record.first_answer_at,
    )


def _bad_line(rejected: RejectedLine) -> BadLine:
    at, why = explain(rejected.line, rejected.reason)
    line = escape(rejected.line)
    shown_at = None if at is None else len(escape(rejected.line[:at]))
    sender = f"{rejected.peer.host}:{rejected.peer.port}" if rejected.peer else "a Unix socket"
    return BadLine(reason=rejected.reason, line=line, at=shown_at, why=why, sender=sender)


def _caution(problem: Problem) -> Caution:
    return Caution(code=problem.code, message=printable(problem.located()), fix=printable(problem.fix))


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return url if "@" not in parts.netloc else url.replace(parts.netloc, parts.netloc.rpartition("@")[2])
