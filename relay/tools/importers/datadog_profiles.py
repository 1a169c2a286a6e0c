"""Converts the mapper profiles of the Datadog agent, and the names that it blocks, to rules.

The agent maps a name, then prefixes the namespace (not for names of its own integrations), then looks the result up in
the list of blocked names. Rules match the received name, so the list is inverted: an entry becomes a pattern of the
unmapped names that result in it, and a mapping with a blocked result becomes a rule that drops.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from relay.tools.importers.option_reader import is_true, texts
from relay.tools.importers.patterns import (
    NoRule,
    Pattern,
    from_glob,
    from_regex,
    has_alternatives,
    literal_start,
    report_tags,
    rule_effect,
)
from relay.tools.importers.readers import yamltree
from relay.tools.importers.readers.tree import Node, NotReadable
from relay.tools.importers.report import Option, Verdict, by_hand, ok, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relay.tools.importers.config_builder import ConfigBuilder
    from relay.tools.importers.option_reader import OptionReader

EXEMPT: Final = (
    "datadog.agent", "datadog.dogstatsd", "datadog.process", "datadog.trace_agent", "datadog.tracer", "activemq",
    "activemq_58", "airflow", "cassandra", "confluent", "hazelcast", "hive", "ignite", "jboss", "jvm", "kafka",
    "presto", "sidekiq", "solr", "tomcat", "runtime",
)  # fmt: skip
"""Prefixes of names that get no namespace by default."""
_CAPTURE: Final = re.compile(r"\$\{\d+\}")
PROFILES: Final = "dogstatsd_mapper_profiles"
_BLOCKED: Final = ("metric_filterlist", "statsd_metric_blocklist")
_EXEMPT: Final = ("statsd_metric_namespace_blocklist", "statsd_metric_namespace_blacklist")
_WILDCARD: Final = re.compile(r"(?!.*\*\*)[a-zA-Z0-9\-_*.]+")


class Namespace(NamedTuple):
    """The prefix of names, and the names that do not get it."""

    prefix: str = ""
    """With its dot; empty: no prefix."""
    exempt: tuple[str, ...] = EXEMPT

    def is_exempt(self, name: str) -> bool:
        """Return whether a name is sent without the prefix."""
        return not self.prefix or name.startswith(self.exempt)

    def sent(self, name: str) -> str:
        """Return the name as it is looked up in the list of blocked names."""
        return name if self.is_exempt(name) else f"{self.prefix}{name}"


class Blocklist(NamedTuple):
    """The list of blocked names."""

    entries: tuple[str, ...]
    by_prefix: bool
    namespace: Namespace

    def blocks(self, template: str) -> bool | None:
        """Return whether the name of a mapping, with captures as `${1}`, is blocked; None if the captures decide."""
        start, *captures = _CAPTURE.split(template)
        if not captures:
            return self._has(self.namespace.sent(template))
        starts = [start] if self.namespace.is_exempt(start) else [f"{self.namespace.prefix}{start}"]
        if any(exempt.startswith(start) for exempt in self.namespace.exempt):
            starts.append(start)
        if self.by_prefix and any(all(one.startswith(entry) for one in starts) for entry in self.entries):
            return True
        return None if any(self._may_meet(one) for one in starts) else False

    def _has(self, name: str) -> bool:
        return any(name.startswith(entry) if self.by_prefix else name == entry for entry in self.entries)

    def _may_meet(self, start: str) -> bool:
        """Return whether a name with this beginning may be blocked."""
        return any(entry.startswith(start) or (self.by_prefix and start.startswith(entry)) for entry in self.entries)

    def patterns(self, entry: str) -> Iterator[tuple[str, str] | None]:
        """Yield (`match` or `regex`, pattern) of the names that result in an entry; None: no pattern expresses them."""
        prefix, exempt = self.namespace.prefix, self.namespace.exempt
        if not self.by_prefix:
            yield from (("match", name) for name in _origins(entry, prefix) if self.namespace.sent(name) == entry)
        elif not prefix:
            yield _beginning(entry)
        elif prefix.startswith(entry) or _overlap(entry, exempt) or _overlap(entry.removeprefix(prefix), exempt):
            yield None
        elif entry.startswith(prefix):
            yield _beginning(entry.removeprefix(prefix))


def _origins(entry: str, prefix: str) -> list[str]:
    return [entry.removeprefix(prefix), entry] if prefix and entry.startswith(prefix) else [entry]


def _overlap(entry: str, exempt: Sequence[str]) -> bool:
    return any(one.startswith(entry) or entry.startswith(one) for one in exempt)


def _beginning(text: str) -> tuple[str, str]:
    if not text or (text.endswith(".") and "*" not in text):
        return "match", f"{text}**"
    return "regex", f"^{re.escape(text)}".replace(r"\-", "-")


class _Profile(NamedTuple):
    label: str
    prefix: str
    """Beginning of the names to which the profile applies; `*`: every name."""
    mappings: list[Node]


def convert(reader: OptionReader) -> None:
    """Convert profiles and blocked names; mappings match received names, the list of blocked names mapped ones."""
    name, blocked = _blocked(reader)
    _Rules(reader.builder, blocked).write(list(_profiles(reader)))
    _write_blocked(reader, name, blocked)


def _namespace(reader: OptionReader) -> Namespace:
    node = reader.peek("statsd_metric_namespace")
    text = str(node.value) if node and node.is_scalar else ""
    given = next((node for name in _EXEMPT if (node := reader.peek(name))), None)
    exempt = tuple(texts(given)) if given else EXEMPT
    return Namespace(f"{text.removesuffix('.')}." if text else "", exempt)


def _blocked(reader: OptionReader) -> tuple[str, Blocklist]:
    """Return the effective list of blocked names: the older option applies if the newer one has no entry."""
    new, old = _BLOCKED
    node = reader.peek(new)
    name = new if node and texts(node) else old
    ignored = old if name == new else new
    if node := reader.read(ignored):
        became = f"the agent does not use it beside {new}" if ignored == old else "it has no entry"
        reader.report("dropped", ignored, node, became)
        if by_prefix := reader.read(f"{ignored}_match_prefix"):
            reader.report("dropped", f"{ignored}_match_prefix", by_prefix, became)
    by_prefix = reader.peek(f"{name}_match_prefix")
    entries = texts(reader.peek(name))
    return name, Blocklist(tuple(entries), is_true(by_prefix), _namespace(reader))


def _write_blocked(reader: OptionReader, name: str, blocked: Blocklist) -> None:
    node, by_prefix = reader.read(name), reader.read(f"{name}_match_prefix")
    for item, entry in zip(node.items if node else (), blocked.entries, strict=False):
        patterns = list(blocked.patterns(entry))
        numbers = [
            reader.builder.append("rule", {**dict([pattern]), "action": "drop"}, item)
            for pattern in patterns
            if pattern
        ]
        what = f"{name} {shown('', entry)}"
        if None in patterns:
            became = "no rule: it covers names with the agent's namespace and names without it"
            reader.builder.report("by hand", item, what, became)
        elif numbers:
            rules = " and ".join(f"rule {number}" for number in numbers)
            reader.builder.report("ok", item, what, f"{rules}, for names without a mapping")
        else:
            reader.builder.report("dropped", item, what, "no name has this form behind the agent's namespace")
    if by_prefix:
        reader.report("ok", f"{name}_match_prefix", by_prefix, "regex or match of those rules")


def _profiles(reader: OptionReader) -> Iterator[_Profile]:
    node = reader.read(PROFILES)
    if node and isinstance(node.value, str):
        try:
            node = _move_to_line(yamltree.read(node.value), node.line)
        except NotReadable as error:
            reader.report("by hand", PROFILES, node, f"no JSON: {error}")
            return
    for number, profile in enumerate(node.items if node else (), 1):
        name, prefix, mappings = profile.get("name"), profile.get("prefix"), profile.get("mappings")
        label = shown("", name.value) if name else f"profile {number}"
        for key in profile.members.keys() - {*PROFILE}:
            reader.builder.report("by hand", profile.members[key], f"{label}: {key}", "not an option of a profile")
        if name is None or prefix is None:
            became = "the agent uses no profile at all if one has no name or prefix"
            reader.builder.report("by hand", profile, label, became)
        if mappings is None or not mappings.items:
            reader.builder.report("dropped", profile, label, "it has no mappings")
        yield _Profile(label, prefix.text if prefix else "*", mappings.items if mappings else [])


def _move_to_line(node: Node, line: int) -> Node:
    """Return a tree with every node moved to `line`, the line of the variable or text that held it."""
    value = node.value
    if isinstance(value, dict):
        return Node({key: _move_to_line(item, line) for key, item in value.items()}, line)
    return Node([_move_to_line(item, line) for item in value], line) if isinstance(value, list) else Node(value, line)


class _Rules:
    """State: the prefixes of the profiles so far; names with one of them never reach a later profile."""

    def __init__(self, builder: ConfigBuilder, blocked: Blocklist) -> None:
        self._builder = builder
        self._blocked = blocked
        self._earlier: list[_Profile] = []

    def write(self, profiles: list[_Profile]) -> None:
        """Append a rule for each mapping that some name can reach."""
        for profile in profiles:
            for mapping in profile.mappings:
                self._mapping(profile, mapping)
            self._earlier.append(profile)

    def _mapping(self, profile: _Profile, mapping: Node) -> None:
        match = mapping.get("match")
        what = f"{profile.label}: {shown('', match.value if match else '')}"
        for name, node in mapping.members.items():
            if name not in MAPPING:
                self._builder.report("by hand", node, f"{what}: {name}", "not an option of a mapping")
        try:
            pattern, decisions = _pattern(mapping)
            start = literal_start(pattern)
            if reason := self._why_unreachable(profile, start):
                self._builder.report("dropped", mapping, what, f"never reached by the old daemon either: {reason}")
                return
            _check_prefix(profile, start)
            pattern, effect, remarks, unclear = self._effect(mapping, pattern)
        except NoRule as error:
            self._builder.report("by hand", mapping, what, f"no rule: {error}")
            return
        decisions, remarks = decisions + unclear, remarks + self._also(start)
        number = self._builder.append("rule", {pattern.key: pattern.text, **effect}, mapping)
        verdict: Verdict = "by hand" if decisions else "changed" if remarks else "ok"
        self._builder.report(verdict, mapping, what, "; ".join([f"rule {number}", *remarks, *decisions]))
        report_tags(self._builder, what, mapping.get("tags"), "tags")

    def _why_unreachable(self, profile: _Profile, start: str) -> str:
        """Return why no name with this beginning can reach a mapping of the profile; empty if some can."""
        for one in self._earlier:
            if one.prefix == "*" or start.startswith(one.prefix):
                return f"{one.label} is tried for these names, and no other"
        meets = start.startswith(profile.prefix) or profile.prefix.startswith(start) or profile.prefix == "*"
        return "" if meets else f'its profile is for names that begin with "{shown("", profile.prefix)}"'

    def _also(self, start: str) -> list[str]:
        labels = [one.label for one in self._earlier if one.prefix.startswith(start)]
        return [f"also for names of {' and '.join(labels)} that have no mapping there"] if labels else []

    def _effect(self, mapping: Node, pattern: Pattern) -> tuple[Pattern, dict[str, Any], list[str], list[str]]:
        """Return the pattern, the effect of the rule, its differences from the agent, and remarks for a person."""
        name, tags = mapping.get("name"), mapping.get("tags")
        if name is None:
            raise NoRule("the agent uses no profile at all if a mapping has no name")
        pattern, effect, remarks = rule_effect(pattern, name, tags, is_glob=False)
        if not effect["metric"]:
            raise NoRule("its name is empty")
        blocks = self._blocked.blocks(effect["metric"])
        if blocks:
            return pattern, {"action": "drop"}, [], []
        unclear = ["no rule can express which of the mapped names the agent blocks"] if blocks is None else []
        return pattern, effect, remarks, unclear


def _check_prefix(profile: _Profile, start: str) -> None:
    """Refuse a pattern that also matches names without the profile's prefix: a rule cannot test both."""
    if not start.startswith(profile.prefix) and profile.prefix != "*":
        prefix = shown("", profile.prefix)
        raise NoRule(f'its profile is for names that begin with "{prefix}" alone: write that into its pattern')


def _pattern(mapping: Node) -> tuple[Pattern, list[str]]:
    """Return the pattern of a mapping, and remarks for a person."""
    match, kind = mapping.get("match"), mapping.get("match_type")
    text, form = match.text if match else "", kind.text if kind else "wildcard"
    if form == "regex":
        alone = "its ^ applies to the first branch only and its $ to the last: is that intended?"
        return from_regex(text, anchored=True), [alone] if has_alternatives(text) else []
    if form != "wildcard" or not _WILDCARD.fullmatch(text):
        raise NoRule("the agent uses no profile at all if one has such a pattern")
    return from_glob(text), []


PROFILE: Final[dict[str, Option]] = {
    "name": ok("the report's name for its mappings"),
    "prefix": by_hand("by hand for a mapping whose pattern does not begin with it"),
    "mappings": ok("a rule for each"),
}
MAPPING: Final[dict[str, Option]] = {
    "match": ok("`match`; a star beside other text, or `match_type: regex`: `regex`"),
    "match_type": ok("see `match`; `regex` needs google-re2 (RLY133), which reads what Go reads"),
    "name": ok("`metric`; a capture that the pattern lacks is empty, as for the agent; a blocked name: `action`"),
    "tags": ok("`tags`; over four: by hand, as a point has five dimensions, of which `host` is one"),
}
