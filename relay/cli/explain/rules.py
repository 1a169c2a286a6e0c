"""Renders the rules of a running relay, with their hits, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.daemon.explain.text import pattern
from relay.wording import escape, plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay.admin.answers.rules import RulesAnswer

_NAMES_SHOWN: Final = 20


def rule_lines(report: RulesAnswer) -> Iterator[str]:
    """Yield the table: the rules, then the newest names that no rule matched."""
    if not report.rules:
        yield "there are no rules"
        return
    yield "rule    hits  matches"
    for rule in report.rules:
        matches = pattern(match=rule.match, regex=rule.regex, type_=rule.type)
        never = "" if rule.hits else "  never matched"
        yield f"{rule.number:>4}{rule.hits:>8}  {matches}{never}"
    names = report.unmatched.names
    yield f"no rule matched {plural(report.unmatched.count, 'time')}" + (", the newest names first:" if names else "")
    yield from (f"  {escape(name.encode('utf-8', 'replace'))}" for name in names[:_NAMES_SHOWN])
    if len(names) > _NAMES_SHOWN:
        yield f"  and {len(names) - _NAMES_SHOWN} more with --json"
