"""The log's lines about what is wrong: each finding of the judge when it begins, gets worse, goes on and ends.

A finding is told when it begins and when its level rises, again every ten windows with the figures of then, and at its
end with its length; a note only once. After a window that added to it, a line says how many more there were.

Not known here: what is wrong, and the words for it (health/). Single occurrences of what the judge tells are in the log
at level debug (`LossLog`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from relay.admin.answers.finding import LEVELS
from relay.daemon.health.judge import TABLE
from relay.wording import as_duration, number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from relay.admin.answers.finding import Finding
    from relay.daemon.health.facts import Counts, Facts
    from relay.daemon.health.watch import Findings, Health

TOLD_AT_ONCE: Final = frozenset({"RLY413", "RLY501", "RLY502", "RLY505", "RLY900"})
"""Codes of events that are in the log before the judge looks. The log leaves out the beginning of their findings."""
JUDGED: Final = frozenset(TABLE) - TOLD_AT_ONCE - {"RLY205", "RLY412"}
"""Codes of single events without a line: the finding has their facts. Some of RLY205 and RLY412 have no finding."""
_REMINDER_WINDOWS: Final = 10
_METHODS: Final = {"problem": "error", "warning": "warning", "note": "info"}
_COUNTS: Final[Mapping[str, Callable[[Counts, str], int]]] = {
    "RLY106": lambda counts, target: counts.tee_dropped.get(target, 0),
    "RLY202": lambda counts, listener: counts.kernel_drops.get(listener, 0),
    "RLY205": lambda counts, reason: counts.connections_closed.get(reason, 0),
    "RLY301": lambda counts, _: sum(counts.rejected.values()),
    "RLY305": lambda counts, reason: counts.samples_dropped.get(reason, 0),
    "RLY310": lambda counts, _: counts.samples_overflow,
    "RLY401": lambda counts, _: counts.throttled,
    "RLY402": lambda counts, _: counts.points_refused,
    "RLY405": lambda counts, _: sum(counts.failed.values()),
    "RLY407": lambda counts, reason: counts.points_dropped.get(reason, 0),
    "RLY408": lambda counts, _: counts.letters_dropped,
}
"""How many of what a finding is about one window added."""


@dataclass(slots=True, kw_only=True)
class _Told:
    """State: how bad a finding was when it was told last, in which window that was, and where its counting begins."""

    level: int
    window: int
    counted: int


class FindingLog:
    """State: the findings in the log that have not ended, by code and subject."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._told: dict[tuple[str, str], _Told] = {}
        health.subscribe(self.report)

    def report(self, began: Findings, changed: Findings, ended: Findings) -> None:
        """Log what has changed; called after each judgement."""
        facts = self._health.facts
        for finding in began:
            self._begin(finding, facts)
        for finding in changed:
            if LEVELS.index(finding.level) > self._told[_key(finding)].level:
                self._tell("finding got worse", finding, facts, word="worse: ")
        for finding in ended:
            self._end(finding, facts)
        for finding in self._health.findings:
            self._continue(finding, facts)

    def _begin(self, finding: Finding, facts: Facts) -> None:
        if finding.code in TOLD_AT_ONCE:
            self._remember(finding, facts)
        else:
            self._tell("finding began", finding, facts)

    def _end(self, finding: Finding, facts: Facts) -> None:
        self._told.pop(_key(finding), None)
        if finding.level != "note":
            seconds = max(0.0, facts.now - finding.since)
            sentence = f"ended after {as_duration(seconds)}: {finding.sentence.partition('; not seen since ')[0]}"
            _log("info", "finding ended", finding, sentence=sentence, seconds=round(seconds))

    def _continue(self, finding: Finding, facts: Facts) -> None:
        """Log a reminder, or how many more a window had, if a window has closed since."""
        told = self._told[_key(finding)]
        if finding.level == "note" or facts.open_start <= told.counted:
            return
        if facts.open_start - told.window >= _REMINDER_WINDOWS * facts.seconds:
            self._tell("finding continues", finding, facts, word="still: ")
            return
        told.counted = facts.open_start
        count = _COUNTS.get(finding.code)
        more = count(facts.periods[0], finding.subject) if count and facts.periods else 0
        if more:
            _log("info", "more like this", finding, sentence=f"{number(more)} more like this", more=more)

    def _tell(self, event: str, finding: Finding, facts: Facts, *, word: str = "") -> None:
        self._remember(finding, facts)
        words = {"cloud": finding.cloud, "fix": finding.fix, "safe": finding.safe, "next": finding.next}
        example = _bad_line(facts, finding) if finding.code == "RLY301" else {}
        sentence = f"{word}{finding.sentence}"
        _log(_METHODS[finding.level], event, finding, sentence=sentence, since=finding.since, **words, **example)

    def _remember(self, finding: Finding, facts: Facts) -> None:
        level, window = LEVELS.index(finding.level), facts.open_start
        # What the open window adds before the first line is in that line.
        known = self._told.get(_key(finding))
        counted = window if known else window + facts.seconds
        self._told[_key(finding)] = _Told(level=level, window=window, counted=counted)


def _key(finding: Finding) -> tuple[str, str]:
    return finding.code, finding.subject


def _log(method: str, event: str, finding: Finding, **fields: object) -> None:
    shown = {name: value for name, value in fields.items() if value != ""}
    if finding.subject:
        shown["subject"] = finding.subject
    getattr(structlog.get_logger("relay"), method)(event, code=finding.code, severity=finding.level, **shown)


def _bad_line(facts: Facts, finding: Finding) -> dict[str, object]:
    """Return an example of a rejected line that the finding is about, with the column of the faulty byte."""
    example = next((one for one in facts.intake.bad_lines if f"most {one.reason}" in finding.sentence), None)
    if example is None:
        return {}
    column = {} if example.at is None else {"column": example.at + 1}
    return {"reason": example.reason, "line": example.line, "sender": example.sender, **column}
