"""What naming did with one identity, step by step; and what it has seen of rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from relay import limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.model import Resolution, Sink
    from relay.naming.dimensions import Pair

_KEPT: Final = 100


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
    outcome: Resolution | Sink
    unread: int = 0
    """How many more tags stood behind those of the section that are read."""


@dataclass(frozen=True, slots=True)
class Unmatched:
    """Identities that no rule matched."""

    count: int
    names: Sequence[str]
    """The newest distinct ones, newest first."""


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
