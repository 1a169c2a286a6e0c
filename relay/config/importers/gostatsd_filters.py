"""Filters of gostatsd as rules.

Each of its filters may apply to a name; of our rules the first that matches does. So those that drop go first, and
those that strip tags follow; where two of these may meet, the report says so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from relay.config.importers.report import Option, by_hand, changed, dropped, ok, plain
from relay.config.importers.tags import words

if TYPE_CHECKING:
    from relay.config.importers.draft import Draft
    from relay.config.importers.reading import Reading
    from relay.config.importers.tree import Node

_KEYS: Final = ("match-metrics", "exclude-metrics", "match-tags", "drop-tags", "drop-metric", "drop-host")


def convert(reading: Reading) -> None:
    """Read the filters that `filters` names, in its order."""
    names, blocks = reading.take("filters"), _blocks(reading)
    named = words(names)
    found = [(name, blocks[name]) for name in named if name in blocks]
    for name in named:
        if name not in blocks:
            reading.draft.say("dropped", names, f"filters {name}", "there is no such filter")
    for name, node in blocks.items():
        if name not in named:
            reading.draft.say("dropped", node, f"filter.{name}", "filters does not name it")
    strips = [(name, node) for name, node in found if not plain(node.get("drop-metric"))]
    for name, node in sorted(found, key=lambda pair: not plain(pair[1].get("drop-metric"))):
        _filter(reading, f"filter.{name}", node, is_alone=len(strips) < 2 or bool(plain(node.get("drop-metric"))))


def _blocks(reading: Reading) -> dict[str, Node]:
    table = reading.take("filter")
    return dict(table.members) if table else {}


def _filter(reading: Reading, name: str, node: Node, *, is_alone: bool) -> None:
    draft = reading.draft
    for key in node.members.keys() - {*_KEYS}:
        draft.say("by hand", node.members[key], f"{name}.{key}", "not a key of a filter")
    if words(tags := node.get("match-tags")):
        draft.say("by hand", tags, f"{name}.match-tags", "no rule: rules look at names and types, not at tags")
        return
    matches = [_pattern(word) for word in words(node.get("match-metrics")) or ["*"]]
    excludes = [_pattern(word) for word in words(node.get("exclude-metrics"))]
    effect = _effect(reading, name, node)
    if None in matches or None in excludes:
        draft.say("by hand", node, name, "no rule: a pattern with ! means every other name, which no rule says")
    elif effect:
        for pattern in filter(None, excludes):
            draft.append("rule", dict([pattern]), node)
        numbers = [draft.append("rule", dict([pattern]) | effect, node) for pattern in filter(None, matches)]
        _say(draft, name, node, numbers, is_alone=is_alone, excludes=bool(excludes))


def _say(draft: Draft, name: str, node: Node, numbers: list[int], *, is_alone: bool, excludes: bool) -> None:
    rules = " and ".join(f"rule {number}" for number in numbers)
    if excludes:
        rules += ", behind one for each of exclude-metrics that changes nothing"
    if is_alone and not excludes:
        draft.say("ok", node, name, rules)
    else:
        draft.say("changed", node, name, f"{rules}; of rules that match a name the first alone applies")


def _pattern(text: str) -> tuple[str, str] | None:
    """Return `match` or `regex` with its text; None for all names but some."""
    if text.startswith("!"):
        return None
    if text.startswith("regex:"):
        return "regex", text.removeprefix("regex:")
    if text == "*":
        return "match", "**"
    if text.endswith(".*"):
        return ("match", f"{text}*") if "*" not in text[:-1] else ("regex", f"^{re.escape(text[:-1])}")
    if text.endswith("*"):
        return "regex", f"^{re.escape(text[:-1])}"
    return ("match", text) if "*" not in text else ("regex", f"^{re.escape(text)}$")


def _effect(reading: Reading, name: str, node: Node) -> dict[str, Any]:
    if host := node.get("drop-host"):
        reading.draft.say(
            "dropped",
            host,
            f"{name}.drop-host",
            "host is the relay's machine, and always sent",
        )
    if plain(node.get("drop-metric")):
        return {"action": "drop"}
    keys: list[str] = []
    tags = node.get("drop-tags")
    for word in words(tags):
        key, colon, rest = word.partition(":")
        if re.fullmatch(r"[\w.\-/]+", key) and (rest == "*" if colon else "*" not in word):
            keys.append(key)
        else:
            reading.draft.say(
                "by hand", tags, f"{name}.drop-tags {word}", "drop_tags takes whole keys, whatever their value"
            )
    return {"drop_tags": keys} if keys else {}


OPTIONS: Final[dict[str, Option]] = {
    "match-metrics": ok("`match` or `regex` of a rule for each; `!`: by hand"),
    "exclude-metrics": changed("a rule before it that changes nothing; no later one applies to those names"),
    "match-tags": by_hand("rules look at names and types, not at tags"),
    "drop-tags": ok("`drop_tags`; `KEY:*` and bare `KEY` alone, others: by hand"),
    "drop-metric": ok('`action = "drop"`, before all other rules'),
    "drop-host": dropped("`host` is the relay's machine, and always sent: the cloud wants a dimension"),
}
