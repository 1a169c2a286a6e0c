"""The namespace and the list of blocked names of the Datadog agent, in terms of received names.

The agent maps a name, then prefixes the namespace (not for names of its own integrations), then looks the result up in
the list of blocked names. Our rules match the received name, so the list is inverted: an entry becomes a pattern of the
unmapped names that result in it, and a mapping with a blocked result becomes a rule that drops.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SPARED: Final = (
    "datadog.agent", "datadog.dogstatsd", "datadog.process", "datadog.trace_agent", "datadog.tracer", "activemq",
    "activemq_58", "airflow", "cassandra", "confluent", "hazelcast", "hive", "ignite", "jboss", "jvm", "kafka",
    "presto", "sidekiq", "solr", "tomcat", "runtime",
)  # fmt: skip
"""Beginnings of names without the namespace, by default."""
_CAPTURE: Final = re.compile(r"\$\{\d+\}")


class Namespace(NamedTuple):
    """The prefix of names, and the names that do not get it."""

    prefix: str = ""
    """With its dot; empty: no prefix."""
    spared: tuple[str, ...] = SPARED

    def spares(self, name: str) -> bool:
        """Say whether a name is sent without the prefix."""
        return not self.prefix or name.startswith(self.spared)

    def sent(self, name: str) -> str:
        """Return the name as it is looked up in the list of blocked names."""
        return name if self.spares(name) else f"{self.prefix}{name}"


class Blocklist(NamedTuple):
    """The list of blocked names."""

    entries: tuple[str, ...]
    by_prefix: bool
    namespace: Namespace

    def blocks(self, template: str) -> bool | None:
        """Say whether the name of a mapping, with captures as `${1}`, is blocked; None: it depends on the captures."""
        start, *captures = _CAPTURE.split(template)
        if not captures:
            return self._has(self.namespace.sent(template))
        starts = [start] if self.namespace.spares(start) else [f"{self.namespace.prefix}{start}"]
        if any(spared.startswith(start) for spared in self.namespace.spared):
            starts.append(start)
        if self.by_prefix and any(all(one.startswith(entry) for one in starts) for entry in self.entries):
            return True
        return None if any(self._may_meet(one) for one in starts) else False

    def _has(self, name: str) -> bool:
        return any(name.startswith(entry) if self.by_prefix else name == entry for entry in self.entries)

    def _may_meet(self, start: str) -> bool:
        """Say whether a name with this beginning may be blocked."""
        return any(entry.startswith(start) or (self.by_prefix and start.startswith(entry)) for entry in self.entries)

    def patterns(self, entry: str) -> Iterator[tuple[str, str] | None]:
        """Yield (`match` or `regex`, pattern) of the names that result in an entry; None: no pattern expresses them."""
        prefix, spared = self.namespace.prefix, self.namespace.spared
        if not self.by_prefix:
            yield from (("match", name) for name in _origins(entry, prefix) if self.namespace.sent(name) == entry)
        elif not prefix:
            yield _beginning(entry)
        elif prefix.startswith(entry) or _overlap(entry, spared) or _overlap(entry.removeprefix(prefix), spared):
            yield None
        elif entry.startswith(prefix):
            yield _beginning(entry.removeprefix(prefix))


def _origins(entry: str, prefix: str) -> list[str]:
    return [entry.removeprefix(prefix), entry] if prefix and entry.startswith(prefix) else [entry]


def _overlap(entry: str, spared: Sequence[str]) -> bool:
    return any(one.startswith(entry) or entry.startswith(one) for one in spared)


def _beginning(text: str) -> tuple[str, str]:
    if not text or (text.endswith(".") and "*" not in text):
        return "match", f"{text}**"
    return "regex", f"^{re.escape(text)}".replace(r"\-", "-")
