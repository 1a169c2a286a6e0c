"""The rule that removes a tag from a metric, and what it would leave.

The rule is made so that everything else stays: it repeats what the present rule of the metric does. What it leaves is
counted by naming: the identities of the metric's series are named once more, with the rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from relay import limits
from relay.config.schema import RuleConfig, fields_of
from relay.config.types import to_toml
from relay.daemon.build import make_namer, make_rules
from relay.model import Identity, Resolution
from relay.patterns.templates import Template

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from relay.config.schema import Config
    from relay.model import Metric, Series
    from relay.naming import Namer
    from relay.naming.trace import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A rule, where it belongs, and what it would leave."""

    metric: Metric
    tag: str
    """Key of the dimension that the rule removes."""
    rule: RuleConfig
    number: int
    """Number of the rule before which it belongs, or which it replaces; 0: any place."""
    replaces: bool
    before: int
    """Series of the metric in the open window."""
    after: int
    """Series that the rule would leave of them."""
    is_exact: bool
    """False: tags that are not sent now would take the free place; then `after` is the least."""


class Removal(NamedTuple):
    """A tag that a rule is to remove from a metric."""

    metric: Metric
    received: str
    """A name as received that becomes the metric."""
    tag: str
    """Key of the dimension."""


def make_rule(config: Config, namer: Namer, wanted: Removal) -> tuple[RuleConfig, int, bool]:
    """Return the rule, the number of the present rule of the metric (0: none), and whether it replaces that."""
    trace = namer.trace(Identity(wanted.received.encode(), wanted.metric.kind, b""))
    tag = wanted.tag
    if not trace.rule:
        return RuleConfig(match=wanted.received, drop_tags=[tag]), 0, False
    present = config.rule[trace.rule - 1]
    own = {key: text for key, text in present.tags.items() if key != tag}
    received_key = next((old for old, new in present.rename_tags.items() if new == tag), tag)
    dropped = [*present.drop_tags, *([] if received_key in present.drop_tags else [received_key])]
    kept = [key for key in present.keep_tags if key != received_key]
    changed = msgspec.structs.replace(present, tags=own, drop_tags=dropped, keep_tags=kept)
    if present.metric or tag in present.tags:
        return changed, trace.rule, True
    return _for_one_name(changed, trace), trace.rule, False


def _for_one_name(rule: RuleConfig, trace: Trace) -> RuleConfig:
    """Return a rule for one name alone, with the captures filled in."""
    tags = {key: Template(text, len(trace.captures)).render(trace.captures) for key, text in rule.tags.items()}
    texts = {key: _literal(text) for key, text in tags.items()}
    return msgspec.structs.replace(rule, match=trace.name, regex="", tags=texts)


def _literal(text: str) -> str:
    """Return a text as a template; naming makes the same of a dollar sign in a value."""
    return text.replace("$", "_")


async def propose(config: Config, namer: Namer, wanted: Removal, *, series: AsyncIterable[Series]) -> Proposal | None:
    """Return the rule that removes a tag from a metric; None if no glob can be written for its name.

    Args:
        config: in force.
        namer: in force.
        wanted: what to remove.
        series: the series of the metric; the iteration lets other tasks run.
    """
    if "*" in wanted.received or not wanted.received:
        return None
    rule, number, replaces = make_rule(config, namer, wanted)
    changed = msgspec.structs.replace(config, rule=[rule])
    probe = make_namer(changed, make_rules(changed))
    left: set[object] = set()
    before, is_full = 0, False
    async for one in series:
        before += 1
        is_full = is_full or len(one.dimensions) == limits.DIMENSIONS_MAX
        left.add(_without(one, wanted.tag) if replaces else _named(one, probe, rule=rule, received=wanted.received))
    return Proposal(
        metric=wanted.metric,
        tag=wanted.tag,
        rule=rule,
        number=number,
        replaces=replaces,
        before=before,
        after=len(left),
        is_exact=not is_full,
    )


def _without(series: Series, tag: str) -> object:
    return tuple(pair for pair in series.dimensions if pair[0] != tag)


def _named(series: Series, probe: Namer, *, rule: RuleConfig, received: str) -> object:
    """Return what the rule makes of a series: the identity that leads to it is named again."""
    old = {new: old for old, new in rule.rename_tags.items()}
    pairs = [(old.get(key, key), value) for key, value in series.dimensions if key not in rule.tags]
    text = ",".join(f"{key}:{value}" for key, value in pairs)
    outcome = probe.trace(Identity(received.encode(), series.kind, text.encode())).outcome
    return outcome.series if isinstance(outcome, Resolution) else outcome


def rule_as_toml(rule: RuleConfig) -> str:
    """Return a rule as it stands in a file, with the keys that differ from the defaults."""
    given = [(info.name, getattr(rule, info.name)) for info in fields_of(RuleConfig)]
    lines = [f"{name} = {to_toml(value)}" for name, value in given if value]
    return "\n".join(["[[rule]]", *(line for line in lines if line != 'action = "map"')])
