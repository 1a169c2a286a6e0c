"""What naming did with one identity, step by step; and what it has seen of rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from relay import limits
from relay.model import Resolution
from relay.naming.characters import clean_name, clean_pairs
from relay.wording import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.model import NoSeries
    from relay.naming.dimensions import Pair

_KEPT: Final = 100
_SHOWN: Final = 120
"""Characters of a user's text in the log."""


class Trace(NamedTuple):
    """The way of an identity to its series, or to why there is none."""

    name: str
    """As received, without inline tags: what rules match."""
    inline: Sequence[Pair]
    """Tags that stood in the name, as received."""
    section: Sequence[Pair]
    """Tags after `|#`, as received; they win."""
    rule: int
    """Number of the rule that was followed, from 1; 0 for none."""
    captures: Sequence[str]
    metric: str
    """What the rule calls it, before illegal characters go and prefixes come."""
    removed: Sequence[str]
    """Keys of tags that the rule removed."""
    unsent: Sequence[str]
    """Keys of tags beyond what the API takes."""
    is_rewritten: bool
    """The metric or a tag held characters that the API does not take."""
    outcome: Resolution | NoSeries
    unread: int = 0
    """How many more tags stood behind those of the section that are read."""


@dataclass(frozen=True, slots=True)
class Unmatched:
    """Identities that no rule matched."""

    count: int
    names: Sequence[str]
    """The newest distinct ones, newest first."""


def rewritten_example(trace: Trace) -> dict[str, str]:
    """Return what the log says of an identity that was rewritten: its metric, what came, and what that became."""
    metric = _metric(trace)
    if clean_name(trace.metric) != trace.metric:
        return {"metric": metric, "received": _shown(trace.name), "became": metric}
    tags = [*trace.inline, *trace.section]
    for tag, clean in zip(tags, clean_pairs(tags), strict=True):
        if clean != tag:
            return {"metric": metric, "received": _shown(":".join(tag)), "became": _shown(":".join(clean))}
    return {"metric": metric}


def unsent_example(trace: Trace) -> dict[str, str]:
    """Return what the log says of an identity with too many tags: its metric, and the keys that were not sent."""
    more = f"{trace.unread} behind those that are read" if trace.unread else ""
    return {"metric": _metric(trace), "tags": " and ".join(filter(None, (_shown(" ".join(trace.unsent)), more)))}


def _metric(trace: Trace) -> str:
    return trace.outcome.series.metric if isinstance(trace.outcome, Resolution) else ""


def _shown(text: str) -> str:
    """Return a user's text for the log: cut, and what cannot be printed escaped."""
    cut = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return printable(cut)


class Hits:
    """State: how many identities followed each rule, and the newest names that followed none."""

    def __init__(self, rules: int) -> None:
        self.by_rule = [0] * rules
        self._count = 0
        self._names: dict[str, None] = {}

    def __repr__(self) -> str:
        """Report the totals."""
        return f"<Hits {sum(self.by_rule)} matched, {self._count} not>"

    def add(self, rule: int, name: str) -> None:
        """Count an identity, if there are rules."""
        if rule:
            self.by_rule[rule - 1] += 1
        elif self.by_rule:
            self._count += 1
            shown = name[: limits.NAME_BYTES]
            self._names.pop(shown, None)
            self._names[shown] = None
            if len(self._names) > _KEPT:
                del self._names[next(iter(self._names))]

    @property
    def unmatched(self) -> Unmatched:
        """What followed no rule."""
        return Unmatched(self._count, tuple(reversed(self._names)))
