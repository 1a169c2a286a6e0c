"""mapping.yml of statsd_exporter: each mapping becomes a rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from relay.config.importers.durations import keep_for, read_duration
from relay.config.importers.patterns import Pattern, Unsayable, from_glob, from_regex, template
from relay.config.importers.percentiles import set_percentiles
from relay.config.importers.reading import Reading
from relay.config.importers.report import Option, by_hand, changed, dropped, ok, shown

if TYPE_CHECKING:
    from relay.config.importers.draft import Draft
    from relay.config.importers.tree import Node

DAEMON: Final = "statsd_exporter"
_TYPES: Final = {"counter": "counter", "gauge": "gauge", "observer": "timer"}
_QUANTILES: Final = (0.5, 0.9, 0.99)
_TAGS_MOST: Final = 4
"""Dimensions beside `host`."""


class _Mapping(NamedTuple):
    node: Node
    number: int
    pattern: Pattern


def convert(config: Node, draft: Draft) -> None:
    """Write everything that a mapping.yml says into a draft."""
    reading = Reading(config, draft, ("defaults",))
    _flags(draft)
    default_type = reading.take("defaults.match_type")
    match_type = _text(default_type, "glob")
    if default_type:
        reading.say("ok", "defaults.match_type", default_type, "match or regex of the rules")
    unordered = reading.take("defaults.glob_disable_ordering")
    mappings = reading.take("mappings")
    found = list(_read(draft, mappings, match_type)) if mappings else []
    globs = [one for one in found if one.pattern.key == "match" and not _is_regex(one.node, match_type)]
    others = [one for one in found if one not in globs]
    if unordered and unordered.value:
        globs.sort(key=lambda one: [part == "*" for part in one.pattern.text.split(".")])
        reading.say("ok", "defaults.glob_disable_ordering", unordered, "rules are in that order: a text before a star")
    elif [*globs, *others] != found:
        draft.say("changed", mappings, "mappings", "globs first, then regexes, as statsd_exporter tries them")
    for one in (*globs, *others):
        _rule(draft, one)
    _observers(reading)
    reading.finish(DEFAULTS)


def _text(node: Node | None, default: str) -> str:
    return default if node is None else str(node.value)


def _is_regex(node: Node, match_type: str) -> bool:
    return _text(node.get("match_type"), match_type) == "regex"


def _flags(draft: Draft) -> None:
    """What stands on its command line; these are the defaults."""
    draft.set("listen.udp", ["0.0.0.0:9125"])
    draft.set("listen.tcp", ["0.0.0.0:9125"])
    draft.set("listen.dialects", ["statsd", "dogstatsd", "graphite", "influx", "librato", "signalfx"])
    fix = 'flags are not in this file; add "[::]:9125" if senders use IPv6'
    draft.say("changed", None, "--statsd.listen-udp :9125", f"listen.udp = 0.0.0.0:9125; {fix}")
    draft.say("changed", None, "--statsd.listen-tcp :9125", "listen.tcp = 0.0.0.0:9125, likewise")
    draft.say("ok", None, "--statsd.parse-*-tags", "listen.dialects: all of them")
    draft.say("changed", None, "unmapped names", "keep their dots; they do not become underscores")
    draft.say("changed", None, "timers", "stay in milliseconds, as they are sent; they do not become seconds")


def _read(draft: Draft, mappings: Node, match_type: str) -> list[_Mapping]:
    found: list[_Mapping] = []
    for number, node in enumerate(mappings.items, 1):
        match = _text(node.get("match"), "")
        try:
            pattern = from_regex(match) if _is_regex(node, match_type) else from_glob(match)
            found.append(_Mapping(node, number, pattern))
        except Unsayable as error:
            draft.say("by hand", node, f"mapping {number} {shown('', match)}", f"no rule: {error}")
    return found


def _rule(draft: Draft, one: _Mapping) -> None:
    what = f"mapping {one.number} {shown('', _text(one.node.get('match'), ''))}"
    rule: dict[str, Any] = {one.pattern.key: one.pattern.text}
    type_ = _text(one.node.get("match_metric_type"), "")
    if type_:
        rule["type"] = _TYPES.get(type_, type_)
    try:
        rule |= {"action": "drop"} if _text(one.node.get("action"), "map") == "drop" else _effect(one)
    except Unsayable as error:
        draft.say("by hand", one.node, what, f"no rule: {error}")
        return
    number = draft.append("rule", rule, one.node)
    draft.say("ok", one.node, what, f"rule {number}")
    _others(draft, one, what)


def _effect(one: _Mapping) -> dict[str, Any]:
    name = _text(one.node.get("name"), "")
    labels = one.node.get("labels")
    tags = {key: template(_text(value, ""), one.pattern) for key, value in (labels.members if labels else {}).items()}
    metric = "" if name in ("$0", "${0}") else template(name, one.pattern)
    return ({"metric": metric} if metric else {}) | ({"tags": tags} if tags else {})


def _others(draft: Draft, one: _Mapping, what: str) -> None:
    """What a mapping says beyond names and labels."""
    known = {"match", "match_type", "match_metric_type", "name", "labels", "action"}
    for name, node in one.node.members.items():
        option = MAPPING.get(name)
        if name in known or node.value is None:
            continue
        if option is None:
            draft.say("by hand", node, f"{what}: {name}", "not an option of a mapping")
        elif name == "honor_labels" and not (node.value and one.node.get("labels")):
            draft.say("ok", node, f"{what}: honor_labels", "nothing to honor")
        else:
            draft.say(
                option.verdict, node, f"{what}: {name} {shown(name, node.value)}", option.becomes.replace("`", "")
            )
    labels = one.node.get("labels")
    if labels and len(labels.members) > _TAGS_MOST:
        draft.say(
            "changed",
            labels,
            f"{what}: {len(labels.members)} labels",
            "the first four are sent beside host, so five in all",
        )


def _observers(reading: Reading) -> None:
    """Percentiles are one list for all timers; buckets serve a query language that the cloud has not."""
    options = reading.take("defaults.summary_options")
    quantiles = options.get("quantiles") if options else None
    given = [one.get("quantile") for one in quantiles.items] if quantiles else []
    values = [one.value for one in given if one and isinstance(one.value, (int, float)) and 0 < one.value < 1]
    percentiles = sorted({round(value * 100, 6) for value in values or _QUANTILES})
    became = set_percentiles(reading.draft, percentiles, quantiles)
    if options:
        reading.say("ok", "defaults.summary_options", options, f"{became}; exact or within 1 %, over each minute")
    else:
        reading.draft.say("ok", None, "defaults.summary_options.quantiles 0.5, 0.9, 0.99", became)


def _ttl(reading: Reading, name: str, node: Node) -> None:
    seconds = read_duration(node.value)
    if seconds is None:
        reading.say("by hand", name, node, "window.idle_gauges: no duration")
        return
    text = keep_for(seconds) if seconds else "keep"
    reading.draft.set("window.idle_gauges", text, node)
    reading.say("changed", name, node, f'window.idle_gauges = "{text}"; idle counters and timers send nothing')


def _observer_type(reading: Reading, name: str, node: Node) -> None:
    if node.value == "histogram":
        reading.say("changed", name, node, "window.percentiles instead: the cloud does not compute them from buckets")
    else:
        reading.say("ok", name, node, "window.percentiles")


def _no_order(reading: Reading, name: str, node: Node) -> None:
    reading.say("ok", name, node, "rules are in the order of the file")


MAPPING: Final[dict[str, Option]] = {
    "match": ok("`match`; a star beside other text, or `match_type: regex`: `regex`"),
    "match_type": ok("see `match`; Go's own syntax, and what may take forever (RLY133): by hand"),
    "match_metric_type": ok("`type`; `observer` is `timer`"),
    "name": ok("`metric`; `$1` and named captures become `${1}`"),
    "labels": ok("`tags`; five dimensions at most, of which `host` is one"),
    "action": ok("`action`"),
    "help": dropped("the cloud has no texts about metrics"),
    "honor_labels": by_hand(
        "the rule's tags win over the line's own of that name; take them out of `tags` if the line's should"
    ),
    "scale": by_hand("values are sent as they came; scale where they are charted, or in the application"),
    "ttl": changed("`window.idle_gauges` is one for all; only gauges repeat at all"),
    "observer_type": changed("`window.percentiles` is one list for all timers"),
    "timer_type": changed("the old name of `observer_type`"),
    "summary_options": changed("`window.percentiles` is one list for all timers"),
    "quantiles": changed("the old place of `summary_options`"),
    "histogram_options": dropped("the cloud does not compute percentiles from buckets; the relay sends them itself"),
    "buckets": dropped("the old place of `histogram_options`"),
}
DEFAULTS: Final[dict[str, Option]] = {
    "mappings": ok("`[[rule]]`, one each: globs first, then regexes, as it tries them"),
    "defaults.match_type": ok("see `match`"),
    "defaults.glob_disable_ordering": ok("the order of the rules", _no_order),
    "defaults.ttl": changed(
        "`window.idle_gauges`: `0` is `keep`; only gauges repeat at all; without it 1 h (there: for ever)", _ttl
    ),
    "defaults.observer_type": ok(
        "`window.percentiles`; `histogram`: changed, percentiles instead of buckets", _observer_type
    ),
    "defaults.timer_type": ok("the old name of `observer_type`", _observer_type),
    "defaults.summary_options": ok("`window.percentiles` from `quantiles`; 0.5, 0.9, 0.99 if there are none"),
    "defaults.histogram_options": dropped(
        "the cloud does not compute percentiles from buckets; the relay sends them itself"
    ),
    "defaults.buckets": dropped("the old place of `histogram_options`"),
    "defaults.quantiles": by_hand("the old place of `summary_options`: `window.percentiles`"),
}
