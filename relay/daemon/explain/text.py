"""Renders the trace of a line as text: rows of a label and a text, printed one below the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from relay import limits
from relay.admin.answers.explain import ExplainAnswer, ExplainStep
from relay.config.types import to_toml
from relay.daemon.explain.trace import trace_line
from relay.hotpath.explain import show
from relay.model import Kind, Resolution
from relay.names import fit
from relay.naming.characters import clean_name, clean_pairs, has_illegal, has_others
from relay.naming.dimensions import PLACEHOLDER, legal_pairs
from relay.wording import as_time, escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from relay.config.schema import Config, RuleConfig
    from relay.daemon.explain.trace import LineTrace, TracePart
    from relay.model import Series
    from relay.naming.dimensions import Pair
    from relay.naming.trace import Trace

_VALUES_MAX: Final = 8
"""Values shown of a packed line."""
_LABEL: Final = 12
"""Width of the label column."""
_SIGNED: Final = {
    True: ", a change of its last value, which is 0 here ([listen] gauge_deltas = true)",
    False: ", its value: a sign is part of it ([listen] gauge_deltas = false)",
}
"""Meaning of a sign before a gauge's number, by `[listen] gauge_deltas`."""
_PUNYCODE: Final = "parts beyond ASCII become xn__ and their Punycode"
_DROPPED: Final = {
    "rule": "the rule drops it",
    "no_legal_name": 'its name or a tag has characters that the API refuses, and [listen] names = "strict"',
    "too_old": "its time is older than [cloud] max_age",
    "too_far_ahead": "its time is more than a minute ahead",
    "late_gauge": "it is older than the known value of this gauge",
    "name_collision": "another type of this line sends the same name",
}
"""Words for each reason of dropped samples that a single line can cause."""


class TraceRow(NamedTuple):
    """One line of the answer; a row with an empty label continues the row before."""

    label: str
    text: str

    def __str__(self) -> str:
        """Return the row in two columns."""
        return f"{self.label:<{_LABEL}}{self.text}".rstrip()


def rows(line: LineTrace, config: Config) -> Iterator[TraceRow]:
    """Yield the rows of a line: one or more for each step."""
    for part in line.parts:
        yield from _received(part)
        yield from _naming(part.trace, config)
        if isinstance(part.trace.outcome, Resolution):
            yield _class(part.kind, part.trace.outcome.series)
    yield from _verdict(line)
    if line.at is not None:
        shown, column = show(line.line, line.at)
        yield TraceRow("", shown)
        yield TraceRow("", f"{' ' * column}^")
    yield from _points([("sent as", line)], values=True)
    if line.clamped:
        yield TraceRow("clamped", f"{line.clamped} of these: the API allows at most {limits.VALUE_MAX} in magnitude")


def name_rows(lines: Mapping[Kind, LineTrace], config: Config) -> Iterator[TraceRow]:
    """Yield the rows of a name; types with the same steps share their rows."""
    groups: dict[tuple[TraceRow, ...], list[tuple[str, LineTrace]]] = {}
    for kind, line in lines.items():
        naming = (row for part in line.parts for row in _naming(part.trace, config))
        groups.setdefault((*naming, *_verdict(line)), []).append((str(kind), line))
    for steps, together in groups.items():
        yield TraceRow("as a", ", ".join(kind for kind, _ in together))
        yield from steps
        yield from _points(together, values=False)


def _received(part: TracePart) -> Iterator[TraceRow]:
    yield TraceRow(str(part.kind), _values(part))
    yield TraceRow("dialect", part.dialect)
    if part.off:
        yield TraceRow("", f"tags of {part.off} are not read: [listen] dialects does not name it")
    if part.time is not None:
        yield TraceRow("time", as_time(part.time))
    if part.unused:
        yield TraceRow("unused", " ".join(part.unused))
    tags = [*part.trace.inline, *part.trace.section]
    if tags:
        yield TraceRow("tags", _pairs(tags))


def _values(part: TracePart) -> str:
    more = len(part.values) - _VALUES_MAX
    text = " ".join(part.values[:_VALUES_MAX]) + (f" and {more} more" if more > 0 else "")
    if part.delta is not None:
        text += _SIGNED[part.delta]
    if part.rate and part.kind in (Kind.GAUGE, Kind.SET):
        return f"{text}; its rate has no effect"
    return f"{text}, rate {part.rate}: weight {part.weight:g}" if part.rate else text


def _naming(trace: Trace, config: Config) -> Iterator[TraceRow]:
    """Yield the rows of naming: what rules and limits change in a name and its tags."""
    yield from _rule(trace, config.rule)
    if isinstance(trace.outcome, Resolution):
        yield from _name(trace, trace.outcome.series)
        yield from _cleaned([*trace.inline, *trace.section])
        yield from _removed(trace, trace.outcome.series, config.tags)
        yield _dimensions(trace.outcome.series.dimensions)


def _rule(trace: Trace, rules: Sequence[RuleConfig]) -> Iterator[TraceRow]:
    if not trace.rule:
        yield TraceRow("rule", "no rule matches" if rules else "no rule is configured")
        return
    rule = rules[trace.rule - 1]
    captures = " ".join(f"${number}={escape(text.encode())}" for number, text in enumerate(trace.captures, 1))
    yield TraceRow(f"rule {trace.rule}", f"{pattern(match=rule.match, regex=rule.regex, type_=rule.type)}  {captures}")
    own = {"match", "regex", "type"}
    said = [
        f"{info.name} = {to_toml(value)}"
        for info in msgspec.structs.fields(rule)
        if info.name not in own and (value := getattr(rule, info.name)) and value != info.default
    ]
    if said:
        yield TraceRow("", ", ".join(said))


def pattern(*, match: str, regex: str, type_: str) -> str:
    """Return the pattern of a rule as one line of ASCII."""
    text = f"regex {regex}" if regex else match
    shown = "".join(one if one.isascii() and one.isprintable() else escape(one.encode()) for one in text)
    return f"{shown} ({type_}s)" if type_ else shown


def _name(trace: Trace, series: Series) -> Iterator[TraceRow]:
    sent = series.metric.removesuffix(f".{series.kind}") if series.derived else series.metric
    clean = clean_name(trace.metric)
    reasons = [] if trace.metric == trace.name else [f"rule {trace.rule}"]
    reasons += _rewriting(trace.metric)
    if sent != clean and sent.endswith(clean):
        reasons.append(f"prefix {sent.removesuffix(clean)}")
    elif sent != clean:
        reasons.append(f"cut to {limits.NAME_BYTES} bytes with a hash")
    if reasons:
        yield TraceRow("name", f"{escape(trace.name.encode())} becomes {sent}: {', '.join(reasons)}")


def _rewriting(text: str) -> Iterator[str]:
    if has_illegal(text):
        yield "characters that the API refuses become _ or are removed"
    if has_others(text):
        yield _PUNYCODE


def _cleaned(tags: Sequence[Pair]) -> Iterator[TraceRow]:
    legal = list(clean_pairs(tags)) if tags else []
    last = {pair[0]: number for number, pair in enumerate(legal) if all(pair)}
    for number, (tag, pair) in enumerate(zip(tags, legal, strict=True)):
        if not all(pair):
            yield TraceRow("removed", f"{_pairs([tag])}: no legal character is left in its key or value")
        elif last[pair[0]] != number:
            yield TraceRow("removed", f"{_pairs([tag])}: a later tag has its key")
        elif pair != tag:
            why = f": {_PUNYCODE}" if has_others("".join(tag)) else ""
            yield TraceRow("rewritten", f"{_pairs([tag])} becomes {_pairs([pair])}{why}")


def _removed(trace: Trace, series: Series, defaults: Mapping[str, str]) -> Iterator[TraceRow]:
    if trace.removed:
        yield TraceRow("removed", f"{' '.join(trace.removed)}: by rule {trace.rule}")
    sent = dict(series.dimensions)
    unsent = [*trace.unsent, *(key for key in legal_pairs(defaults.items()) if key not in (*sent, *trace.unsent))]
    if unsent:
        why = f"the API allows {limits.DIMENSIONS_MAX} tags, {limits.DIMENSIONS_BYTES} bytes in all"
        yield TraceRow("removed", f"{' '.join(unsent)}: {why}")


def _dimensions(dimensions: Sequence[Pair]) -> TraceRow:
    if tuple(dimensions) == (PLACEHOLDER,):
        return TraceRow("dimensions", f"{_pairs(dimensions)}: there is no tag, and the API requires one")
    size = sum(len(key) + len(value) + 2 for key, value in dimensions)
    used = f"{len(dimensions)} of {limits.DIMENSIONS_MAX}, {size} of {limits.DIMENSIONS_BYTES} bytes"
    return TraceRow("dimensions", f"{_pairs(dimensions)}  ({used})")


def _class(kind: Kind, series: Series) -> TraceRow:
    if series.derived:
        return TraceRow("class", f"its name belongs to another type, so .{kind} is added")
    a, b, c = (other for other in Kind if other is not kind)
    return TraceRow("class", f"{fit(series.metric, f'.{kind}')} if a {a}, {b} or {c} had the name first")


def _verdict(line: LineTrace) -> Iterator[TraceRow]:
    if line.verdict == "event":
        yield TraceRow("event", "a DogStatsD event or service check is counted and makes no metric")
    elif line.verdict == "rejected":
        yield TraceRow("rejected", f"{line.reason}: {line.why}")
    elif line.reason:
        yield TraceRow("dropped", f"{line.reason}: {_DROPPED[line.reason]}")
    elif line.late:
        yield TraceRow("late", "its time lies in another window; it joins the open one")


def _points(lines: Sequence[tuple[str, LineTrace]], *, values: bool) -> Iterator[TraceRow]:
    """Yield the points of each trace under its label; without `values` only their names."""
    sent = [(label if point is line.points[0] else "", point) for label, line in lines for point in line.points]
    names = [f"{point['namespace']}/{point['metric']}" for _, point in sent]
    width = max(map(len, names), default=0)
    for name, (label, point) in zip(names, sent, strict=True):
        shown = "  ".join(f"{key} {value}" if values else key for key, value in point["values"].items())
        yield TraceRow(label, f"{name:<{width}}  type {point['type']}  {shown}")


def _pairs(pairs: Sequence[Pair]) -> str:
    return " ".join(escape(f"{key}={value}".encode()) for key, value in pairs)


def answer(config: Config, line: bytes, now: float) -> ExplainAnswer:
    """Return the trace of a line as the admin port answers it. Blocks for the regexes of the rules.

    Raises:
        RelayError: RLY900, the native hot path was asked for and is not installed.
    """
    found = trace_line(config, line, now)
    return ExplainAnswer(
        line=found.line.decode("utf-8", "replace"),
        verdict=found.verdict,
        reason=found.reason,
        why=found.why,
        at=found.at,
        steps=[ExplainStep(label=row.label, text=row.text) for row in rows(found, config)],
        points=found.points,
    )
