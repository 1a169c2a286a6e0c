"""Conditions about the space where points wait, and about the state directory. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.admin.answers.finding import Finding
from relay.daemon.health.conditions.cloud import delivers
from relay.daemon.health.conditions.wording import SINCE, capacity, hours_left, safe
from relay.wording import as_duration, as_size, number, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from relay.daemon.health.facts import Facts

_FULL_SHARE: Final = 0.8
_HOURS: Final = 12.0
_TROUBLE: Final = {
    "full": "it is full",
    "read-only": "it is read-only",
    "io": "it reports errors",
    "stalled": "a write takes over 2 s",
    "removed": "the directory was removed",
    "moved": "another directory is at its path, or none",
    "replaced": "its database was replaced",
    "quota": "a window does not fit into [spool] max",
    "unusable": "the directory cannot be used",
    "checkpoint": "the open window cannot be saved",
}
"""Reasons of delivery/spool/errors.py, in words."""
_SOON_FIX: Final = "remove the cause why points wait, or raise [spool] max if the disk has room; then restart"


def space(facts: Facts) -> Iterator[Finding]:
    """RLY410: the spool is full, over 80 %, or full within twelve hours while nothing is delivered."""
    storage = facts.storage
    recent = sum(period.points_dropped.get("spool_full", 0) for period in facts.latest)
    share, hours = storage.bytes / max(1, capacity(storage)), hours_left(facts)
    soon = hours is not None and hours <= _HOURS and not delivers(facts)
    if not (recent or share >= _FULL_SHARE or soon):
        return
    lost = sum(period.points_dropped.get("spool_full", 0) for period in facts.recent)
    used = f"{as_size(storage.bytes)} of {as_size(capacity(storage))} are used"
    full = f"the spool is full since {SINCE}: {plural(lost, 'point')} of the oldest windows lost, {used}"
    left = "" if hours is None else f", full in {as_duration(hours * 3600)}"
    yield Finding(
        code="RLY410",
        level="problem" if recent else "warning",
        since=facts.now,
        sentence=full if recent else f"the spool fills since {SINCE}: {used}{left}",
        fix=_SOON_FIX,
        safe=safe(facts),
        next="spool stat" if storage.path else "explain RLY410",
    )


def disk(facts: Facts) -> Iterator[Finding]:
    """RLY411: the disk refuses; a problem while nothing is taken either, so that only memory holds what waits."""
    storage = facts.storage
    if not storage.trouble:
        return
    reason = _TROUBLE.get(storage.trouble, storage.trouble)
    yield Finding(
        code="RLY411",
        level="warning" if delivers(facts) else "problem",
        since=facts.now,
        sentence=f"the disk of {storage.path} does not take windows since {SINCE}: {reason}",
        fix=f"make room on the disk of {storage.path}, or repair it: no restart is needed",
        safe=safe(facts) or "windows are sent from memory; a crash loses what is not sent",
        next="explain RLY411",
    )


def letters(facts: Facts) -> Iterator[Finding]:
    """RLY408: dead letters were dropped in the last ten windows."""
    dropped = sum(period.letters_dropped for period in facts.recent)
    if dropped:
        yield Finding(
            code="RLY408",
            level="warning",
            since=facts.now,
            sentence=f"{plural(dropped, 'dead letter')} dropped since {SINCE}: {as_size(facts.storage.letters_limit)}"
            " of them are kept",
            fix="remove the cause of the refusals, or raise [spool] dead_letters; then restart",
            safe=f"{number(facts.storage.letters)} newer ones are kept",
            next="dead list",
        )


def foreign(facts: Facts) -> Iterator[Finding]:
    """RLY413: the state directory was another host's at the start."""
    host = facts.storage.foreign_host
    if host and facts.now - facts.started <= 10 * facts.seconds:
        yield Finding(
            code="RLY413",
            level="warning",
            since=facts.started,
            sentence=f"the state in {facts.storage.path} was of host {host} at the start: its open window is dropped",
            fix="give each relay a state directory of its own; one that moves keeps its [tags] host",
            safe="requests that waited there are sent as they are",
            next="config show",
        )


CONDITIONS: Final[tuple[Callable[[Facts], Iterator[Finding]], ...]] = (space, disk, letters, foreign)
