"""Renders the rules of a running relay, with what each took and does, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.cli.series.columns import Column, output_width, table
from relay.daemon.explain.text import pattern
from relay.wording import escape, number, plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay.admin.answers.rules import RuleHits, RulesAnswer

_NAMES_SHOWN: Final = 20
_DOES: Final = 20
"""Least characters of what a rule does."""


def rule_lines(report: RulesAnswer) -> Iterator[str]:
    """Yield the table: the rules, then the newest names that no rule matched."""
    if not report.rules:
        yield "there are no rules"
        return
    rules = report.rules
    columns = [
        Column(title="RULE  MATCHES", cells=[f"{rule.number:>4}  {_pattern(rule)}" for rule in rules]),
        Column(title="SAMPLES", cells=[number(rule.samples) for rule in rules], is_number=True),
        Column(title="SERIES", cells=[number(rule.series) for rule in rules], is_number=True),
        Column(title="NAMES", cells=[number(rule.hits) for rule in rules], is_number=True),
        Column(
            title="DOES",
            cells=[_does(rule) for rule in rules],
            least=_DOES,
        ),
    ]
    yield from table(columns, output_width())
    names = report.unmatched.names
    yield f"no rule matched {plural(report.unmatched.count, 'time')}" + (", the newest names first:" if names else "")
    yield from (f"  {escape(name.encode('utf-8', 'replace'))}" for name in names[:_NAMES_SHOWN])
    if len(names) > _NAMES_SHOWN:
        yield f"  and {len(names) - _NAMES_SHOWN} more with --json"


def _pattern(rule: RuleHits) -> str:
    return pattern(match=rule.match, regex=rule.regex, type_=rule.type)


def _does(rule: RuleHits) -> str:
    return rule.does if rule.hits else f"never matched: {rule.does}"
