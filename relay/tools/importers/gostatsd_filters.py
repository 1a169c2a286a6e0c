"""Converts the filters of gostatsd to rules.

gostatsd applies every matching filter to a name; the relay applies the first matching rule only. So the patterns of all
filters divide the names into regions, and each region becomes a rule with the combined effect of all filters; narrow
regions come first. A regex defines no region; a filter with a regex is converted only as a rule of its own.

gostatsd's filters match a name with `namespace` and a dot before it; rules match the received name. So the namespace is
removed from each pattern, and a pattern outside of the namespace matches nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from relay.tools.importers.option_reader import is_true, words
from relay.tools.importers.report import Option, by_hand, changed, dropped, ok

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relay.tools.importers.config_builder import ConfigBuilder
    from relay.tools.importers.option_reader import OptionReader
    from relay.tools.importers.readers.tree import Node

_LEGAL: Final = re.compile(r"[A-Za-z0-9._-]*")
"""Characters of a name after gostatsd's rewriting, which precedes its filters."""
_KEYS: Final = ("match-metrics", "exclude-metrics", "match-tags", "drop-tags", "drop-metric", "drop-host")
_NO_REGEX: Final = (
    "no rule: gostatsd applies every filter, the relay the first rule; which names a regex matches is unknown"
)


class Region(NamedTuple):
    """One name, or all names with a prefix; two regions are disjoint, or one contains the other."""

    text: str
    is_open: bool
    """Whether the region is all names that begin with `text`."""

    def holds(self, other: Region) -> bool:
        """Return whether every name of another region is in this one."""
        return other.text.startswith(self.text) if self.is_open else self == other

    def pattern(self) -> dict[str, str]:
        """Return `match` or `regex` of a rule."""
        if not self.is_open:
            return {"match": self.text}
        if not self.text or self.text.endswith("."):
            return {"match": f"{self.text}**"}
        return {"regex": f"^{self.text.replace('.', '[.]')}"}


EVERY_NAME: Final = Region("", is_open=True)


class Match(NamedTuple):
    """One entry of `match-metrics` or `exclude-metrics`: a name, a prefix of names or a regex, possibly inverted."""

    region: Region | None = None
    """None: the entry matches nothing, or is a regex."""
    regex: str = ""
    is_inverted: bool = False

    @classmethod
    def parse(cls, text: str, namespace: str) -> Match:
        """Parse an entry; `namespace` ends in its dot."""
        is_inverted = text.startswith("!")
        text = text.removeprefix("!")
        if text.startswith("regex:"):
            return cls(regex=text.removeprefix("regex:"), is_inverted=is_inverted)
        return cls(_region(text, namespace), is_inverted=is_inverted)

    def fits(self, region: Region) -> bool:
        """Return whether the entry matches the names of a region that are in no narrower region."""
        return (self.region is not None and self.region.holds(region)) != self.is_inverted


def _region(text: str, namespace: str) -> Region | None:
    is_open = text.endswith("*")
    text = text.removesuffix("*")
    if not _LEGAL.fullmatch(text.removeprefix(namespace)):
        return None
    if text.startswith(namespace) and (is_open or text != namespace):
        return Region(text.removeprefix(namespace), is_open)
    return EVERY_NAME if is_open and namespace.startswith(text) else None


class _Filter(NamedTuple):
    name: str
    node: Node
    matches: tuple[Match, ...]
    excludes: tuple[Match, ...]
    drops: bool
    keys: tuple[str, ...]
    """Keys of the tags to drop."""

    def applies(self, region: Region) -> bool:
        fits = any(match.fits(region) for match in self.matches)
        return fits and not any(match.fits(region) for match in self.excludes)

    @property
    def regexes(self) -> list[str]:
        return [match.regex for match in self.matches if match.regex]


class _Effect(NamedTuple):
    drops: bool
    keys: tuple[str, ...]

    def rule(self) -> dict[str, Any]:
        if self.drops:
            return {"action": "drop"}
        return {"drop_tags": list(self.keys)} if self.keys else {}


_NOTHING: Final = _Effect(drops=False, keys=())
_DROP: Final = _Effect(drops=True, keys=())


def convert(reader: OptionReader) -> None:
    """Convert the filters named by `filters`, in its order."""
    namespace = reader.peek("namespace")
    prefix = f"{namespace.value}." if namespace and namespace.value else ""
    found = [one for name, node in _named(reader) if (one := _read(reader.builder, name, node, prefix))]
    if found:
        became = 'rules see names as they are received; filters there, once "/" is "-" and a blank is "_"'
        reader.builder.report("changed", None, "characters of names", became)
        _Rules(reader.builder, found).write()


def _named(reader: OptionReader) -> Iterator[tuple[str, Node]]:
    names, table = reader.read("filters"), reader.read("filter")
    blocks = {name.lower(): node for name, node in table.members.items()} if table else {}
    named = list(dict.fromkeys(name.lower() for name in words(names)))
    for name in named:
        if name in blocks:
            yield f"filter.{name}", blocks[name]
        else:
            reader.builder.report("dropped", names, f"filters {name}", "there is no such filter")
    for name, node in blocks.items():
        if name not in named:
            reader.builder.report("dropped", node, f"filter.{name}", "filters does not name it")


def _read(builder: ConfigBuilder, name: str, node: Node, prefix: str) -> _Filter | None:
    options = {key.lower(): value for key, value in node.members.items()}
    for key in options.keys() - {*_KEYS}:
        builder.report("by hand", options[key], f"{name}.{key}", "not a key of a filter")
    if words(tags := options.get("match-tags")):
        builder.report("by hand", tags, f"{name}.match-tags", "no rule: rules match names and types, not tags")
        return None
    matches = [Match.parse(word, prefix) for word in words(options.get("match-metrics"))]
    excludes = [Match.parse(word, prefix) for word in words(options.get("exclude-metrics"))]
    drops = is_true(options.get("drop-metric"))
    keys = tuple(_keys(builder, name, options.get("drop-tags"), is_needless=drops))
    if host := options.get("drop-host"):
        builder.report("dropped", host, f"{name}.drop-host", "host is the relay's machine, and always sent")
    known = [match for match in matches if not match.regex or not (match.is_inverted or prefix)]
    if len(known) < len(matches):
        regex = f'its regex, which matches names behind "{prefix}"' if prefix else "a regex behind !"
        builder.report("by hand", options["match-metrics"], f"{name}.match-metrics", f"no rule for {regex}")
    if any(match.regex for match in excludes):
        builder.report("by hand", options["exclude-metrics"], f"{name}.exclude-metrics", _NO_REGEX)
        return None
    return _Filter(name, node, tuple(known if matches else [Match(EVERY_NAME)]), tuple(excludes), drops, keys)


def _keys(builder: ConfigBuilder, name: str, tags: Node | None, *, is_needless: bool) -> Iterator[str]:
    """Yield the keys of `drop-tags`: `key:*` becomes `key`, which also drops tags without a value here."""
    for word in words(tags):
        key, colon, rest = word.partition(":")
        what = f"{name}.drop-tags {word}"
        if is_needless:
            builder.report("dropped", tags, what, "drop-metric drops all of it")
        elif word == "*":
            builder.report("ok", tags, what, 'drop_tags = ["*"]')
            yield word
        elif colon and rest == "*" and re.fullmatch(r"[\w.\-/]+", key):
            builder.report("changed", tags, what, f'drop_tags: a tag "{key}" without a value goes too')
            yield key
        else:
            builder.report("by hand", tags, what, "drop_tags drops keys with any value")


class _Rules:
    """State: the filters, and the rules written for each region so far.

    A filter with a regex that drops metrics comes before all regions; one with exclude-metrics comes after the regions
    of these, which is possible for a single list of exclude-metrics. A filter with a regex that drops tags can be
    converted only if all regions drop metrics.
    """

    def __init__(self, builder: ConfigBuilder, filters: Sequence[_Filter]) -> None:
        self._builder = builder
        self._filters = filters
        every = [match.region for one in filters for match in (*one.matches, *one.excludes) if match.region]
        regions = dict.fromkeys([*every, EVERY_NAME])
        self._regions = sorted(regions, key=lambda region: (-len(region.text), region.is_open))
        """Each region before every region that contains it."""
        self._written: dict[Region, int] = {}
        """Region -> number of its rule; a narrower region comes before one that contains it."""
        self._numbers: dict[str, list[int]] = {one.name: [] for one in filters}
        """Filter -> numbers of the rules of its regexes."""

    def write(self) -> None:
        """Append the rules, and report for each filter its rules."""
        drops = [one for one in self._filters if one.drops and one.regexes]
        first = next((one.excludes for one in drops if one.excludes), ())
        excluded = [region for region in self._regions if any(match.fits(region) for match in first)]
        for one in (one for one in drops if not one.excludes):
            self._write_regexes(one)
        for region in excluded:
            self._write_region(region)
        refused = [one for one in drops if one.excludes and one.excludes != first]
        for one in (one for one in drops if one.excludes and one not in refused):
            self._write_regexes(one)
        for region in self._needed(excluded):
            self._write_region(region)
        self._write_strips(refused)
        for one in self._filters:
            self._say(one)

    def _effect(self, region: Region) -> _Effect:
        applied = [one for one in self._filters if one.applies(region)]
        if any(one.drops for one in applied):
            return _Effect(drops=True, keys=())
        return _Effect(drops=False, keys=tuple(dict.fromkeys(key for one in applied for key in one.keys)))

    def _needed(self, excluded: Sequence[Region]) -> list[Region]:
        """Return the regions with an effect other than that of the next larger region around them."""
        found = []
        for place, region in enumerate(self._regions):
            if region in excluded:
                continue
            around = next((other for other in self._regions[place + 1 :] if other.holds(region)), None)
            if self._effect(region) != (self._effect(around) if around else _NOTHING):
                found.append(region)
        return found

    def _write_region(self, region: Region) -> None:
        owner = next((one.node for one in self._filters if one.applies(region)), None)
        rule = region.pattern() | self._effect(region).rule()
        self._written[region] = self._builder.append("rule", rule, owner)

    def _rules_of(self, one: _Filter) -> list[int]:
        """Return the rules with the effect of a filter; a region without a rule has that of the region around it."""
        concerned = [region for region in self._regions if one.applies(region)]
        concerned += [match.region for match in one.excludes if match.region]
        found = [next((held for held in self._written if held.holds(region)), None) for region in concerned]
        return sorted({*self._numbers[one.name], *(self._written[region] for region in found if region)})

    def _write_regexes(self, one: _Filter) -> None:
        effect = _Effect(one.drops, one.keys).rule()
        for regex in dict.fromkeys(one.regexes):
            self._numbers[one.name].append(self._builder.append("rule", {"regex": regex} | effect, one.node))

    def _write_strips(self, refused: list[_Filter]) -> None:
        strips = [one for one in self._filters if one.regexes and one.keys and not one.drops]
        is_alone = len(strips) == 1 and not strips[0].excludes
        if is_alone and all(self._effect(region) in (_NOTHING, _DROP) for region in self._regions) and (
            not any(one.excludes for one in self._filters)
        ):  # fmt: skip
            self._write_regexes(strips.pop())
        for one in (*refused, *strips):
            self._builder.report("by hand", one.node, f"{one.name} regex", _NO_REGEX)

    def _say(self, one: _Filter) -> None:
        rules = " and ".join(f"rule {number}" for number in self._rules_of(one))
        if not one.drops and not one.keys:
            self._builder.report("dropped", one.node, one.name, "no effect of it is left")
        elif any(map(one.applies, self._regions)) or self._numbers[one.name]:
            self._builder.report("ok", one.node, one.name, rules)
        elif not one.regexes:
            self._builder.report("dropped", one.node, one.name, "no name can match it")


OPTIONS: Final[dict[str, Option]] = {
    "match-metrics": ok(
        "`match` or `regex` of a rule for each, without the `namespace`. By hand: a `regex:` if a `namespace` is set, "
        "and a `regex:` of a filter that does more than drop metrics"
    ),
    "exclude-metrics": ok("a rule of its own before those of the filter, with the effect of the other filters"),
    "match-tags": by_hand("rules match names and types, not tags"),
    "drop-tags": changed("`drop_tags` for `KEY:*`, and for `KEY` without a value; others: by hand"),
    "drop-metric": ok('`action = "drop"`'),
    "drop-host": dropped("`host` is the relay's machine, and always sent: the cloud wants a dimension"),
}
