"""The rules of a configuration: finds the rule of a name (`Ruleset`), and applies it (`Effect`).

The first matching rule applies, in the order of the file. The globs of a class form one tree, which returns the first
matching glob; only regexes before that rule are tried, one by one. Rules match names as received, without inline tags,
and tags by their legal keys.

Does not know: dimensions, classes of names, what is counted.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from relay.config.schema import RuleConfig
from relay.model import Kind
from relay.naming.characters import clean_key, clean_value, is_legal
from relay.patterns.globs import NEVER, Glob, GlobTree
from relay.patterns.regexes import Regex
from relay.patterns.templates import Template

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from relay.naming.dimensions import Pair

_ALL: Final = "*"


class Effect:
    """State: none; the changes that a rule makes to a name and to tags."""

    def __init__(self, rule: RuleConfig, groups: int) -> None:
        self.drops = rule.action == "drop"
        self.namespace = rule.namespace
        self._metric = Template(rule.metric, groups) if rule.metric else None
        self._tags = [(key, Template(text, groups)) for key, text in rule.tags.items()]
        self._keep = [clean_key(key) for key in rule.keep_tags]
        self._drop = {clean_key(key) for key in rule.drop_tags} - set(self._keep)
        self._drops_others = _ALL in rule.drop_tags
        self._rename = {clean_key(old): new for old, new in rule.rename_tags.items()}
        self._removes = bool(rule.drop_tags)
        self._changes_tags = bool(self._tags or self._removes or self._rename)
        self.first = tuple(dict.fromkeys([*rule.tags, *(self._rename.get(key, key) for key in self._keep)]))
        """Keys that are chosen before the line's other tags, most important first."""

    def rename(self, name: str, captures: Sequence[str]) -> str:
        """Return the metric's name by the rule."""
        return self._metric.render(captures) if self._metric else name

    def removed(self, pairs: Mapping[str, str]) -> tuple[str, ...]:
        """Return the keys of the tags that the rule removes."""
        return tuple(key for key in pairs if self._is_removed(key)) if self._removes else ()

    def apply(self, pairs: Mapping[str, str], captures: Sequence[str]) -> Mapping[str, str]:
        """Return the tags of a line after the rule: some removed, some renamed, the rule's own tags added last."""
        if not self._changes_tags:
            return pairs
        left = {key: pairs[key] for key in pairs if not self._is_removed(key)} if self._removes else dict(pairs)
        for old, new in self._rename.items():
            if old in left:
                left[new] = left.pop(old)
        for key, template in self._tags:
            value = clean_value(template.render(captures))
            if value:
                left[key] = value
        return left

    def are_legal(self, tags: Iterable[Pair], captures: Sequence[str]) -> bool:
        """Say whether the tags are legal after the rule; illegal tags that the rule removes do not count.

        Args:
            tags: tags as received; the last of a repeated key wins.
            captures: captures of the rule's pattern.
        """
        received = {clean_key(key): (key, value) for key, value in tags}
        left = {
            self._rename.get(clean, clean): (self._rename.get(clean, key), value)
            for clean, (key, value) in received.items()
            if not self._is_removed(clean)
        }
        left |= {key: (key, template.render(captures)) for key, template in self._tags}
        return is_legal("".join(chain.from_iterable(left.values())))

    def _is_removed(self, key: str) -> bool:
        return key in self._drop or (self._drops_others and key not in self._keep)


_UNCHANGED: Final = Effect(RuleConfig(), 0)


class RuleMatch(NamedTuple):
    """The rule that matches a name."""

    number: int
    """Number of the rule, from 1; 0: no rule matches."""
    captures: tuple[str, ...]


_NONE: Final = RuleMatch(0, ())


class Ruleset:
    """State: none; the compiled rules.

    Args:
        rules: validated rules, in the order of the file.
        re2: the module google-re2; None if it is not installed.
    """

    def __init__(self, rules: Sequence[RuleConfig], *, re2: Any | None) -> None:  # noqa: ANN401 - a module without types
        self._globs: dict[int, Glob] = {}
        self._trees = {kind: GlobTree() for kind in Kind}
        self._regexes: dict[Kind, list[tuple[int, Regex]]] = {kind: [] for kind in Kind}
        self._effects: list[Effect] = []
        for number, rule in enumerate(rules, 1):
            kinds = [Kind(rule.type)] if rule.type else list(Kind)
            add = self._add_regex if rule.regex else self._add_glob
            self._effects.append(Effect(rule, add(number, rule, kinds, re2)))

    def __len__(self) -> int:
        """Return the number of rules."""
        return len(self._effects)

    def _add_glob(self, number: int, rule: RuleConfig, kinds: Sequence[Kind], _: Any) -> int:  # noqa: ANN401 - see above
        glob = self._globs[number] = Glob.parse(rule.match)
        for kind in kinds:
            self._trees[kind].add(glob, number)
        return glob.groups

    def _add_regex(self, number: int, rule: RuleConfig, kinds: Sequence[Kind], re2: Any) -> int:  # noqa: ANN401 - see above
        regex = Regex(rule.regex, re2)
        for kind in kinds:
            self._regexes[kind].append((number, regex))
        return regex.groups

    def effect(self, number: int) -> Effect:
        """Return the effect of a rule; number 0 changes nothing."""
        return self._effects[number - 1] if number else _UNCHANGED

    def find(self, name: str, kind: Kind) -> RuleMatch:
        """Return the first rule that matches a name of a class."""
        if not self._effects:
            return _NONE
        first = self._trees[kind].first(name)
        for number, regex in self._regexes[kind]:
            if number > first:
                break
            captures = regex.captures(name)
            if captures is not None:
                return RuleMatch(number, captures)
        return _NONE if first == NEVER else RuleMatch(first, self._globs[first].captures(name))
