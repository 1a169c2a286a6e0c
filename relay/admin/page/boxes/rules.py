"""Box 8: what each rule does, those that never matched, and the newest names that none matched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.admin.page.html import Html, box, code, element, join, name, table
from relay.wording import number, plural

if TYPE_CHECKING:
    from relay.admin.answers.rules import RuleHits, RulesAnswer

_RULES_SHOWN: Final = 100
"""A thousand would hold the event loop for 50 ms."""
_NAMES_SHOWN: Final = 20
_TITLES: Final = ("rule", "matches", "does", "samples", "series", "identities")


def rules_box(answer: RulesAnswer) -> Html:
    """Return the table of the rules, and the unmatched names."""
    if not answer.rules:
        return box("rules", "Rules", element("p", "There are no rules."))
    rows = [_cells(rule) for rule in answer.rules[:_RULES_SHOWN]]
    left_out = len(answer.rules) - len(rows)
    more = element("p", f"{plural(left_out, 'more rule')}: ", code("statsd-relay explain")) if left_out else ""
    shown = table("The rules in their order", _TITLES, rows, left=3, class_="compact")
    return box("rules", "Rules", shown, more, _unmatched(answer), note="The first rule that matches a name applies.")


def _cells(rule: RuleHits) -> list[object]:
    pattern = join([name(rule.match or rule.regex), f" {rule.type}" if rule.type else ""])
    hits = number(rule.hits) if rule.hits else element("strong", "never matched")
    return [str(rule.number), pattern, name(rule.does), number(rule.samples), number(rule.series), hits]


def _unmatched(answer: RulesAnswer) -> Html:
    names = answer.unmatched.names[:_NAMES_SHOWN]
    more = len(answer.unmatched.names) - len(names)
    listed = join(map(code, names), ", ")
    said = f"No rule matched {plural(answer.unmatched.count, 'time')}"
    if not answer.unmatched.count:
        return Html("")
    if not names:
        return element("p", said, ".")
    return element("p", said, ", the newest first: ", listed, f" and {number(more)} more" if more else "", ".")
