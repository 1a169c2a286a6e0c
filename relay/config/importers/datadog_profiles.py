"""Mapper profiles of the Datadog agent, and names that it blocks, as rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from relay.config.importers import yamltree
from relay.config.importers.patterns import Pattern, Unsayable, from_glob, from_regex, literal_start, template
from relay.config.importers.report import Option, ok, shown
from relay.config.importers.tags import is_true
from relay.config.importers.tree import Node, NotReadable

if TYPE_CHECKING:
    from relay.config.importers.draft import Draft
    from relay.config.importers.reading import Reading

_BLOCKED: Final = ("metric_filterlist", "statsd_metric_blocklist")


def convert(reading: Reading) -> None:
    """Read both: what is blocked goes before the profiles, as rules look at names as they were received."""
    new, old = _BLOCKED
    if reading.has(new) and (ignored := reading.take(old)):
        reading.say("dropped", old, ignored, f"the agent does not use it beside {new}")
    for name in _BLOCKED:
        _blocked(reading, name)
    _profiles(reading)


def _blocked(reading: Reading, name: str) -> None:
    node, by_prefix = reading.take(name), reading.take(f"{name}_match_prefix")
    for item in node.items if node else ():
        text = str(item.value)
        pattern = {"regex": f"^{text.replace('.', '[.]')}"} if is_true(by_prefix) else {"match": text}
        number = reading.draft.append("rule", {**pattern, "action": "drop"}, item)
        reading.draft.say("ok", item, f"{name} {text}", f"rule {number}, on the name as it is received")
    if by_prefix:
        reading.say("ok", f"{name}_match_prefix", by_prefix, "regex or match of those rules")


def _profiles(reading: Reading) -> None:
    node = reading.take("dogstatsd_mapper_profiles")
    if node and isinstance(node.value, str):
        try:
            node = _moved(yamltree.read(node.value), node.line)
        except NotReadable as error:
            reading.say("by hand", "dogstatsd_mapper_profiles", node, f"no JSON: {error}")
            return
    for profile in node.items if node else ():
        prefix, mappings = profile.get("prefix"), profile.get("mappings")
        label = shown("", (profile.get("name") or profile).value) if profile.get("name") else "profile"
        for mapping in mappings.items if mappings else ():
            _mapping(reading.draft, label, "" if prefix is None or prefix.value == "*" else str(prefix.value), mapping)


def _moved(node: Node, line: int) -> Node:
    """Give everything the line of the variable or text that it stood in."""
    value = node.value
    if isinstance(value, dict):
        return Node({key: _moved(item, line) for key, item in value.items()}, line)
    return Node([_moved(item, line) for item in value], line) if isinstance(value, list) else Node(value, line)


def _mapping(draft: Draft, label: str, prefix: str, mapping: Node) -> None:
    match, kind = mapping.get("match"), mapping.get("match_type")
    text = str(match.value) if match else ""
    what = f"{label}: {shown('', text)}"
    try:
        pattern = from_regex(text, anchored=True) if kind and kind.value == "regex" else from_glob(text)
        pattern = _within(pattern, prefix)
        number = draft.append("rule", {pattern.key: pattern.text, **_effect(mapping, pattern)}, mapping)
    except Unsayable as error:
        draft.say("by hand", mapping, what, f"no rule: {error}")
        return
    draft.say("ok", mapping, what, f"rule {number}")
    for name, node in mapping.members.items():
        if name not in MAPPING:
            draft.say("by hand", node, f"{what}: {name}", "not an option of a mapping")


def _within(pattern: Pattern, prefix: str) -> Pattern:
    """Refuse a pattern that would match names without the profile's prefix: a rule has one pattern alone."""
    if not literal_start(pattern).startswith(prefix):
        raise Unsayable(f'its profile is for names that begin with "{prefix}" alone: write that into its pattern')
    return pattern


def _effect(mapping: Node, pattern: Pattern) -> dict[str, Any]:
    name, tags = mapping.get("name"), mapping.get("tags")
    metric = template(str(name.value), pattern) if name else ""
    texts = {key: template(str(node.value), pattern) for key, node in (tags.members if tags else {}).items()}
    return ({"metric": metric} if metric else {}) | ({"tags": texts} if texts else {})


MAPPING: Final[dict[str, Option]] = {
    "match": ok("`match`; a star beside other text, or `match_type: regex`: `regex`"),
    "match_type": ok("see `match`; Go's own syntax, and what may take forever (RLY133): by hand"),
    "name": ok("`metric`"),
    "tags": ok("`tags`; five dimensions at most, of which `host` is one"),
}
