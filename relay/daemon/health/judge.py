"""The judge: facts and the answer before -> level and ordered findings. Pure.

A condition becomes a finding at once. It ends when the condition was false for a whole window; until then the finding
stays as it was, and says since when its cause is not seen. A finding keeps the time at which it began, also when its
level changes.

The order is total: by level, then by the table (`TABLE`), then by subject.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from relay.admin.answers.finding import LEVELS
from relay.daemon.health.conditions import cloud, intake, process, series, start, storage
from relay.daemon.health.conditions.wording import SINCE
from relay.wording import as_clock, as_minute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from relay.admin.answers.finding import Finding, Level, Overall
    from relay.daemon.health.facts import Facts

Key: TypeAlias = tuple[str, str]
"""Code and subject of a finding."""

_P: Final = ("problem",)
_W: Final = ("warning",)
_N: Final = ("note",)
TABLE: Final[Mapping[str, Sequence[Level]]] = {
    **dict.fromkeys(("RLY504", "RLY120", "RLY404"), _P),
    **dict.fromkeys(("RLY402", "RLY405", "RLY401", "RLY406", "RLY410", "RLY411", "RLY202"), (*_P, *_W)),
    **dict.fromkeys(("RLY123", "RLY503"), _P),
    "RLY501": (*_P, *_W),
    **dict.fromkeys(("RLY305", "RLY407"), _W),
    "RLY301": (*_W, *_N),
    **dict.fromkeys(("RLY205", "RLY310", "RLY311", "RLY403", "RLY203", "RLY204"), _W),
    **dict.fromkeys(("RLY502", "RLY122", "RLY106", "RLY408", "RLY413"), _W),
    **dict.fromkeys(("RLY302", "RLY303", "RLY304", "RLY124", "RLY505"), _N),
    **dict.fromkeys(start.CODES, _N),
}
"""Every code of a finding with its levels, in the order of a status: what stops all data comes first."""
_PLACES: Final = {code: place for place, code in enumerate(TABLE)}
CONDITIONS: Final[tuple[Callable[[Facts], Iterable[Finding]], ...]] = (
    *process.CONDITIONS,
    *cloud.CONDITIONS,
    *storage.CONDITIONS,
    *intake.CONDITIONS,
    *series.CONDITIONS,
    *start.CONDITIONS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A finding as it was when its condition was true last."""

    finding: Finding
    at: float
    """Wall time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The judge's answer."""

    level: Overall = "ok"
    findings: tuple[Finding, ...] = ()
    """The worst first."""
    seen: Mapping[Key, Seen] = field(default_factory=dict)


def judge(facts: Facts, before: Answer) -> Answer:
    """Return the level and the findings.

    Args:
        facts: of this moment.
        before: the answer of a second ago; `Answer()` at first.
    """
    seen = {key: one for key, one in before.seen.items() if not _has_ended(one.at, facts)}
    for condition in CONDITIONS:
        for found in condition(facts):
            key = (found.code, found.subject)
            seen[key] = Seen(finding=_dated(found, seen.get(key), facts.now), at=facts.now)
    findings = tuple(sorted((_shown(one, facts.now) for one in seen.values()), key=_rank))
    return Answer(level=findings[0].level if findings else "ok", findings=findings, seen=seen)


def _has_ended(seen_at: float, facts: Facts) -> bool:
    """Return whether a whole window has passed since, or the clock has gone back by more than two windows."""
    whole_begins = -(-seen_at // facts.seconds) * facts.seconds
    return not seen_at - 2 * facts.seconds <= facts.now < whole_begins + facts.seconds


def _dated(found: Finding, known: Seen | None, now: float) -> Finding:
    """Return a finding with the time at which it began, in its sentence too."""
    began = min(known.finding.since if known else now, found.since)
    return msgspec.structs.replace(found, since=began, sentence=found.sentence.replace(SINCE, as_minute(began, now)))


def _shown(one: Seen, now: float) -> Finding:
    if one.at == now:
        return one.finding
    return msgspec.structs.replace(one.finding, sentence=f"{one.finding.sentence}; not seen since {as_clock(one.at)}")


def _rank(finding: Finding) -> tuple[int, int, str]:
    return -LEVELS.index(finding.level), _PLACES[finding.code], finding.subject
