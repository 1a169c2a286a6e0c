"""Imports mapping.yml of statsd_exporter: each mapping becomes a rule."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from relay.tools.importers.option_reader import OptionReader, go_duration, keep_duration, set_dialects, set_percentiles
from relay.tools.importers.patterns import NoRule, Pattern, from_glob, from_regex, report_tags, rule_effect
from relay.tools.importers.report import Option, by_hand, changed, dropped, ok, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from relay.tools.importers.config_builder import ConfigBuilder
    from relay.tools.importers.readers.tree import Node

_CLASSES: Final = ("counter", "gauge", "timer")
DAEMON: Final = "statsd_exporter"
_TYPES: Final = {"counter": "counter", "gauge": "gauge", "observer": "timer", "timer": "timer"}
_QUANTILES: Final = (0.5, 0.9, 0.99)
_GLOB: Final = re.compile(r"(?:\*|[a-zA-Z_][\w-]*)(?:\.(?:\*|\w[\w-]*))*", re.ASCII)
_NEVER: Final = "statsd_exporter never reaches it: an earlier mapping has the same parts"


class _Glob(NamedTuple):
    """The pattern of a mapping."""

    text: str
    type: str
    """Empty: every class."""


class _GlobRank(NamedTuple):
    """The position of a glob in the order."""

    rank: int
    """Lower ranks are tried first; -1: never."""
    is_exact: bool
    """The rank is the same for every class of the glob."""


def _rank_globs(globs: Sequence[_Glob]) -> list[_GlobRank]:
    """Return the rank of each glob: the order in which statsd_exporter tries it, if it ever does.

    It keeps the globs of each class in a tree of their parts. If the node of a glob exists already, as the end of an
    earlier glob or on the way to a longer one, the glob is never matched. An earlier glob that ends at the node gets
    its rank.
    """
    ranks: list[list[int]] = [[] for _ in globs]
    for class_ in _CLASSES:
        for number, rank in enumerate(_ranks(globs, class_)):
            if globs[number].type in ("", class_):
                ranks[number].append(rank)
    return [_GlobRank(max(found, default=-1), len(set(found)) == 1) for found in ranks]


def _ranks(globs: Sequence[_Glob], class_: str) -> list[int]:
    ranks = [-1] * len(globs)
    passed: set[tuple[str, ...]] = set()
    ends: dict[tuple[str, ...], int] = {}
    for number, glob in enumerate(globs):
        if glob.type not in ("", class_):
            continue
        parts = tuple(glob.text.split("."))
        if parts not in passed:
            ends[parts] = number
        if parts in ends:
            ranks[ends[parts]] = number
        passed.update(parts[:length] for length in range(1, len(parts) + 1))
    return ranks


class _Mapping(NamedTuple):
    node: Node
    number: int
    pattern: Pattern
    is_glob: bool
    type: str
    rank: int = 0
    """Position in the order in which mappings are tried; lower ranks first."""
    remark: str = ""
    """Difference from the exporter's behaviour."""

    @property
    def what(self) -> str:
        return f"mapping {self.number} {shown('', _text(self.node.get('match'), ''))}"


def convert(config: Node, builder: ConfigBuilder) -> None:
    """Write all mappings and options of a mapping.yml into a builder."""
    reader = OptionReader(config, builder, ("defaults",))
    _set_flag_defaults(builder)
    default_type = reader.read("defaults.match_type")
    match_type = _text(default_type, "glob")
    if default_type:
        reader.report("ok", "defaults.match_type", default_type, "match or regex of the rules")
    mappings = reader.read("mappings")
    found = list(_read(builder, mappings, match_type)) if mappings else []
    ranked = _in_order(reader, _ranked(builder, found))
    if [one.number for one in ranked] != sorted(one.number for one in ranked):
        builder.report("changed", mappings, "mappings", "in the order in which statsd_exporter tries them: globs first")
    for one in ranked:
        _rule(builder, one)
    _convert_observers(reader)
    reader.finish(DEFAULTS)


def _in_order(reader: OptionReader, found: Iterable[_Mapping]) -> list[_Mapping]:
    """Return the mappings in the order in which statsd_exporter tries them: globs first, then regexes."""
    name = "defaults.glob_disable_ordering"
    ranked = sorted(found, key=lambda one: (not one.is_glob, one.rank))
    node = reader.read(name)
    if node and node.value is True:
        ranked.sort(
            key=lambda one: [part == "*" for part in one.pattern.text.split(".")] if one.is_glob else [True] * 99
        )
        became = "rules with literal text come first; names that they do not match go on to the rules with a star"
        reader.report("changed", name, node, became)
    elif node and node.value is not False:
        reader.report("by hand", name, node, "not a boolean: statsd_exporter does not start with it")
    elif node:
        reader.report("ok", name, node, "rules are in the order of the file")
    return ranked


def _text(node: Node | None, default: str) -> str:
    return default if node is None else node.text


def _set_flag_defaults(builder: ConfigBuilder) -> None:
    """Set what the exporter reads from its command line to the defaults of its flags."""
    every = ["0.0.0.0:9125", "[::]:9125"]
    builder.set("listen.udp", every)
    builder.set("listen.tcp", every)
    written = f"{' and '.join(every)}; its flags are not in this file"
    builder.report("ok", None, "--statsd.listen-udp :9125", f"listen.udp = {written}")
    builder.report("ok", None, "--statsd.listen-tcp :9125", f"listen.tcp = {written}")
    set_dialects(builder, "influx", "librato", "signalfx")
    builder.report("changed", None, "names", "keep their dots, also in captures; they do not become underscores")
    builder.report("changed", None, "timers", "stay in milliseconds, as they are sent; they do not become seconds")
    builder.report("changed", None, "sets", "are accepted here; statsd_exporter rejects them")


def _read(builder: ConfigBuilder, mappings: Node, default: str) -> Iterator[_Mapping]:
    for number, node in enumerate(mappings.items, 1):
        match, kind = _text(node.get("match"), ""), _text(node.get("match_type"), default)
        type_ = _text(node.get("match_metric_type"), "")
        try:
            pattern, remark = _pattern(match, kind)
            yield _Mapping(node, number, pattern, kind == "glob", _TYPES.get(type_, type_), remark=remark)
        except NoRule as error:
            builder.report("by hand", node, f"mapping {number} {shown('', match)}", f"no rule: {error}")


def _pattern(match: str, kind: str) -> tuple[Pattern, str]:
    """Return a pattern, and its difference from the exporter's behaviour."""
    if kind == "regex":
        return from_regex(match), ""
    if kind != "glob":
        raise NoRule(f'"{shown("", kind)}" is not a match_type')
    if _GLOB.fullmatch(match):
        return from_glob(match), ""
    if "*" in match and _GLOB.fullmatch(match.replace("*", "_")):
        return from_glob(match), "statsd_exporter accepts no star beside other text"
    raise NoRule("statsd_exporter does not accept such a pattern")


def _ranked(builder: ConfigBuilder, found: Sequence[_Mapping]) -> Iterator[_Mapping]:
    """Yield the mappings that can match, each with its rank."""
    globs = [one for one in found if one.is_glob and not one.remark]
    tried = _rank_globs([_Glob(one.pattern.text, one.type) for one in globs])
    known = {one.number: place for one, place in zip(globs, tried, strict=True)}
    for one in found:
        place = known.get(one.number)
        if place is None:
            yield one._replace(rank=one.number)
        elif place.rank < 0:
            builder.report("dropped", one.node, one.what, _NEVER)
        else:
            remark = "" if place.is_exact else "statsd_exporter does not try it for every class, or later for some"
            yield one._replace(rank=globs[place.rank].number, remark=remark)


def _rule(builder: ConfigBuilder, one: _Mapping) -> None:
    drops = _text(one.node.get("action"), "map") == "drop"
    try:
        pattern, effect, remarks = (one.pattern, {"action": "drop"}, []) if drops else _effect(one)
    except NoRule as error:
        builder.report("by hand", one.node, one.what, f"no rule: {error}")
        return
    type_ = {"type": one.type} if one.type else {}
    number = builder.append("rule", {pattern.key: pattern.text, **type_, **effect}, one.node)
    remarks = [one.remark, *remarks] if one.remark else remarks
    builder.report("changed" if remarks else "ok", one.node, one.what, "; ".join([f"rule {number}", *remarks]))
    _report_other_options(builder, one)


def _effect(one: _Mapping) -> tuple[Pattern, dict[str, Any], list[str]]:
    """Return the pattern, the effect of the rule, and remarks on captures that expand to nothing."""
    name, labels = one.node.get("name"), one.node.get("labels")
    if name is None:
        raise NoRule("statsd_exporter does not accept a mapping without a name")
    pattern, effect, remarks = rule_effect(one.pattern, name, labels, is_glob=one.is_glob)
    if not effect["metric"]:
        return pattern, {"action": "drop"}, ["its name is empty, so statsd_exporter sends nothing"]
    return pattern, effect, remarks


def _report_other_options(builder: ConfigBuilder, one: _Mapping) -> None:
    """Report the options of a mapping besides names and labels."""
    known = {"match", "match_type", "match_metric_type", "name", "labels", "action"}
    for name, node in one.node.members.items():
        option = MAPPING.get(name)
        if name in known or node.value is None:
            continue
        if option is None:
            builder.report("by hand", node, f"{one.what}: {name}", "not an option of a mapping")
        elif name == "honor_labels" and not (node.value and one.node.get("labels")):
            builder.report("ok", node, f"{one.what}: honor_labels", "nothing to honor")
        else:
            became = option.becomes.replace("`", "")
            builder.report(option.verdict, node, f"{one.what}: {name} {shown(name, node.value)}", became)
    report_tags(builder, one.what, one.node.get("labels"), "labels")


def _convert_observers(reader: OptionReader) -> None:
    """Convert quantiles to the one list of percentiles for all timers; buckets have no use in this cloud."""
    options = reader.read("defaults.summary_options")
    quantiles = options.get("quantiles") if options else None
    given = [one.get("quantile") for one in quantiles.items] if quantiles else []
    values = [one.value for one in given if one and isinstance(one.value, (int, float)) and 0 < one.value < 1]
    percentiles = sorted({round(value * 100, 6) for value in values or _QUANTILES})
    became = set_percentiles(reader.builder, percentiles, quantiles)
    if len(values) < len(given):
        became += ": one quantile is not a number between 0 and 1"
        reader.report("by hand", "defaults.summary_options", options, became)
    elif options:
        reader.report("ok", "defaults.summary_options", options, f"{became}; exact or within 1 %, over each minute")
    else:
        reader.builder.report("ok", None, "defaults.summary_options.quantiles 0.5, 0.9, 0.99", became)


def _ttl(reader: OptionReader, name: str, node: Node) -> None:
    seconds = go_duration(node.value)
    if seconds is None:
        reader.report("by hand", name, node, "window.idle_gauges: not a duration")
        return
    text = keep_duration(seconds) if seconds else "keep"
    reader.builder.set("window.idle_gauges", text, node)
    reader.report("changed", name, node, f'window.idle_gauges = "{text}"; idle counters and timers send nothing')


def _observer_type(reader: OptionReader, name: str, node: Node) -> None:
    if node.value == "histogram":
        reader.report("changed", name, node, "window.percentiles instead: the cloud does not compute them from buckets")
    else:
        reader.report("ok", name, node, "window.percentiles")


MAPPING: Final[dict[str, Option]] = {
    "match": ok("`match`; a star beside other text, or `match_type: regex`: `regex`"),
    "match_type": ok("see `match`; `regex` needs google-re2 (RLY133), which reads what Go reads"),
    "match_metric_type": ok("`type`; `observer` is `timer`"),
    "name": ok("`metric`; `$1` and named captures become `${1}`; one that the pattern lacks is empty, as before"),
    "labels": ok("`tags`; over four: by hand, as a point has five dimensions, of which `host` is one"),
    "action": ok("`action`"),
    "help": dropped("the cloud has no texts about metrics"),
    "honor_labels": by_hand("a tag of the rule replaces the line's; remove it from `tags` to keep the line's"),
    "scale": by_hand("values are sent as received; scale them in charts or in the application"),
    "ttl": changed("`window.idle_gauges` is one for all gauges; no other class repeats"),
    "observer_type": changed("`window.percentiles` is one list for all timers"),
    "timer_type": changed("the old name of `observer_type`: `window.percentiles` is one list for all timers"),
    "summary_options": changed("`window.percentiles` is one list for all timers"),
    "quantiles": changed("the old place of `summary_options`: `window.percentiles` is one list for all timers"),
    "histogram_options": dropped("percentiles are sent; the cloud computes none from buckets"),
    "buckets": dropped("the old place of `histogram_options`: percentiles are sent instead"),
}
DEFAULTS: Final[dict[str, Option]] = {
    "mappings": ok("`[[rule]]`, one each: globs first, then regexes, as it tries them"),
    "defaults.match_type": ok("see `match`"),
    "defaults.glob_disable_ordering": changed("`true`: rules with literal text come before rules with a star"),
    "defaults.ttl": changed("`window.idle_gauges`: `0` is `keep`; default: 1 h (before: for ever)", _ttl),
    "defaults.observer_type": ok("`window.percentiles`; `histogram`: percentiles, not buckets", _observer_type),
    "defaults.timer_type": ok("the old name of `observer_type`", _observer_type),
    "defaults.summary_options": ok("`window.percentiles` from `quantiles`; default: 0.5, 0.9, 0.99"),
    "defaults.histogram_options": dropped("percentiles are sent; the cloud computes none from buckets"),
    "defaults.buckets": dropped("the old place of `histogram_options`: percentiles are sent instead"),
    "defaults.quantiles": by_hand("the old place of `summary_options`: `window.percentiles`"),
}
