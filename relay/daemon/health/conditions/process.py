"""Conditions about the process: its books, windows, worker, configuration and clock. Pure."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Final

from relay.admin.answers.finding import Finding
from relay.daemon.health.conditions.cloud import is_clock_wrong, skew
from relay.daemon.health.conditions.wording import SINCE
from relay.wording import as_clock, as_duration, as_minute, as_size, number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from relay.daemon.health.facts import Facts

_LATE: Final = 5.0
"""Seconds after its end by which a window is stored, else it is a problem."""
_SLOW_PROBES: Final = 3
_DEATH_WINDOWS: Final = 15
"""Windows for which the death of a worker is told: a quarter of an hour."""


def books(facts: Facts) -> Iterator[Finding]:
    """RLY504: the books do not balance in two looks, one second apart."""
    before, now = facts.process.imbalances
    if before and now:
        yield Finding(
            code="RLY504",
            level="problem",
            since=facts.now,
            sentence=f"{number(now)} lines, samples or points are not accounted for since {SINCE}: a mistake of the"
            " relay",
            fix="send its authors the file that this writes: statsd-relay bundle",
            safe="data flows on; the figures of the relay are wrong by this number",
            next="bundle",
        )


def future(facts: Facts) -> Iterator[Finding]:
    """RLY123: the open window lies in the future."""
    if facts.process.opens_in:
        yield Finding(
            code="RLY123",
            level="problem",
            since=facts.now,
            sentence=f"nothing is sent: the open window begins at {as_minute(facts.open_start, facts.now)}, in"
            f" {as_duration(facts.process.opens_in)}; a clock that was ahead has closed the windows until then",
            fix=f"check the clock (timedatectl), then wait until {as_minute(facts.open_start, facts.now)}",
            safe="samples gather in that window, on disk once a second",
            next="explain RLY123",
        )


def late(facts: Facts) -> Iterator[Finding]:
    """RLY503: one of the last two windows was stored over 5 s late, or the loop lagged over 1 s thrice in a window."""
    last = [window for window in facts.windows[-2:] if window.late > _LATE]
    slow = [at for at in facts.process.slow_at if facts.now - at <= facts.seconds]
    if not last and len(slow) < _SLOW_PROBES:
        return
    sender = facts.process.top_sender
    by = f"; most new names come from {sender}" if sender else ""
    what = (
        f"window {as_clock(last[-1].start)} was stored {as_duration(last[-1].late)} after its end, allowed are 5 s"
        if last
        else f"the event loop was over 1 s late {len(slow)} times within a window"
    )
    yield Finding(
        code="RLY503",
        level="problem",
        since=facts.now,
        sentence=f"windows close late since {SINCE}: {what}{by}",
        fix=f"let {sender or 'the senders'} send fewer new names; check the disk and the CPU limit of this process",
        safe="every sample is in the window in which it was received",
        next="series",
    )


def deaths(facts: Facts) -> Iterator[Finding]:
    """RLY501: a worker died in the last 15 windows; a problem if two did."""
    recent = [death for death in facts.process.deaths if facts.now - death.at <= _DEATH_WINDOWS * facts.seconds]
    if not recent:
        return
    last, limit = recent[-1], facts.process.memory_limit
    times = f"{len(recent)} workers died since {as_minute(recent[0].at, facts.now)}" if recent[1:] else "a worker died"
    memory = f"; memory is limited to {as_size(limit)}" if limit else ""
    killed = "SIGKILL" in last.reason
    yield Finding(
        code="RLY501",
        level="problem" if recent[1:] else "warning",
        since=recent[0].at,
        sentence=f"{times}, the last at {as_clock(last.at)}: {last.reason}{memory}",
        fix="raise the memory limit, or lower [limits] memory and series"
        if killed
        else "send the lines of the log before its end to the relay's authors: statsd-relay bundle",
        safe="the next worker went on with the same sockets; at most the last second was lost",
        next="explain RLY501",
    )


def reload_refused(facts: Facts) -> Iterator[Finding]:
    """RLY502: the configuration on disk is not the one in force."""
    if facts.process.reload_error:
        yield Finding(
            code="RLY502",
            level="warning",
            since=facts.now,
            sentence=f"{facts.process.file or 'the configuration'} is not in force since {SINCE}:"
            f" {facts.process.reload_error}",
            fix="correct the file; then: statsd-relay reload",
            safe="what was in force before goes on",
            next=f"check {quote(facts.process.file)}" if facts.process.file else "config show",
        )


def clock_wrong(facts: Facts) -> Iterator[Finding]:
    """RLY122: this clock differs from the cloud's by over a minute."""
    if is_clock_wrong(facts):
        yield Finding(
            code="RLY122",
            level="warning",
            since=facts.now,
            sentence=f"this clock is {skew(facts)} since {SINCE}, allowed are 60 s: points land in a wrong minute",
            fix="timedatectl set-ntp true",
            next="explain RLY122",
        )


def stepped(facts: Facts) -> Iterator[Finding]:
    """RLY124: the clock stepped in the last ten windows."""
    at, step = facts.process.stepped_at, facts.process.step
    if at and 0 <= facts.now - at <= 10 * facts.seconds:
        way = "forward" if step > 0 else "back"
        yield Finding(
            code="RLY124",
            level="note",
            since=at,
            sentence=f"this clock stepped {way} by {as_duration(abs(step))} at {as_clock(at)}",
            fix="nothing needs to be done after one step; if there are more, check the time service: timedatectl",
            safe="no window is sent twice",
            next="explain RLY124",
        )


def health_down(facts: Facts) -> Iterator[Finding]:
    """RLY505: the console's `health` is down by hand."""
    if facts.process.is_health_down:
        yield Finding(
            code="RLY505",
            level="note",
            since=facts.now,
            sentence=f"`health` of the console is set to down by hand since {SINCE}",
            fix="the console's command `health up`",
            safe="nothing else depends on it",
            next="explain RLY505",
        )


CONDITIONS: Final[tuple[Callable[[Facts], Iterator[Finding]], ...]] = (
    books,
    future,
    late,
    deaths,
    reload_refused,
    clock_wrong,
    stepped,
    health_down,
)
