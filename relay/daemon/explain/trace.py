"""Traces one line step by step: the facts that text.py renders for `explain`.

The line goes through the parser, the naming, a hot path of its own and the encoder that `run` would use with the same
configuration, so the result is what would be sent. The effects of earlier lines are unknown: which class owns a name,
the value to which a gauge's delta is added, and the number of series.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Literal

from relay.daemon.build import ingest_settings, make_encoder, make_namer, make_rules
from relay.hotpath.explain import explain, sections
from relay.hotpath.factory import make_hotpath
from relay.hotpath.line import BLANKS, is_event, parse
from relay.model import Identity, Kind, Resolution
from relay.naming.tags import split_inline
from relay.wording import escape

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from relay.config.schema import Config, ListenConfig
    from relay.hotpath.line import Group
    from relay.model import Tally
    from relay.naming import Namer
    from relay.naming.ruleset import Ruleset
    from relay.naming.trace import Trace

_TYPES: Final = {Kind.COUNTER: b"c", Kind.TIMER: b"ms", Kind.GAUGE: b"g", Kind.SET: b"s"}
_INLINE: Final = ("graphite", "influx", "librato", "signalfx")
_VERSIONS: Final = (
    (b"card:", "1.6"),
    (b"e:", "1.5"),
    (b"c:in-", "1.4"),
    (b"c:ci-", "1.4"),
    (b"T", "1.3"),
    (b"c:", "1.2"),
)
"""First version of the DogStatsD protocol with each section, newest first."""
_READ: Final = (b"@", b"#", b"T")
"""Sections that the relay uses: rate, tags, time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TracePart:
    """Samples that share a type and its sections; a line has one, except in the older form `a:1|c:2|ms`."""

    kind: Kind
    values: list[str]
    """As received."""
    delta: bool | None
    """Whether a signed value is a delta of the gauge; None: not a gauge, or no value has a sign."""
    rate: str
    """As received; "" without a rate."""
    weight: float
    """1 / rate; 1 for gauges and sets."""
    time: int | None
    """Unix time of `|T`, in seconds."""
    unused: list[str]
    """Sections that the relay ignores."""
    dialect: str
    off: str
    """A dialect of tags in names that the name seems to use, and that is not enabled."""
    trace: Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class LineTrace:
    """The trace of one line, from its bytes to its points."""

    line: bytes
    verdict: Literal["sent", "rejected", "dropped", "event"]
    reason: str = ""
    """Why the line is rejected or its samples dropped."""
    why: str = ""
    at: int | None = None
    """Offset of the byte at which parsing stopped; None if the line was parsed whole."""
    late: bool = False
    """The time of the line lies in another window."""
    clamped: int = 0
    """Statistics of the points outside the range of the API."""
    parts: Sequence[TracePart] = field(default_factory=list)
    points: list[dict[str, Any]] = field(default_factory=list)
    """The points that would be sent if this were the only line of the window."""

    def to_json(self) -> dict[str, Any]:
        """Return the trace as plain values."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return found | {"line": self.line.decode("utf-8", "replace"), "parts": list(map(_plain, self.parts))}


def _plain(part: TracePart) -> dict[str, Any]:
    trace = part.trace
    series = trace.outcome.series if isinstance(trace.outcome, Resolution) else None
    return {
        "type": part.kind,
        "values": part.values,
        "delta": part.delta,
        "rate": part.rate,
        "weight": part.weight,
        "time": part.time,
        "unused": part.unused,
        "dialect": part.dialect,
        "dialect_off": part.off,
        "name": trace.name,
        "tags": [*trace.inline, *trace.section],
        "rule": trace.rule,
        "captures": trace.captures,
        "removed": trace.removed,
        "unsent": trace.unsent,
        "metric": series.metric if series else None,
        "dimensions": dict(series.dimensions) if series else None,
    }


def trace_line(config: Config, line: bytes, now: float) -> LineTrace:
    """Trace a line as if it came now by UDP.

    Raises:
        RelayError: RLY900, the native hot path was asked for and is not installed.
    """
    return _trace(config, make_rules(config), line, now)


def trace_name(config: Config, name: bytes, now: float) -> dict[Kind, LineTrace]:
    """Trace a sample with this name, once for each type.

    Raises:
        RelayError: see `trace_line`.
    """
    rules = make_rules(config)
    return {kind: _trace(config, rules, name + b":1|" + type_, now) for kind, type_ in _TYPES.items()}


def _trace(config: Config, rules: Ruleset, line: bytes, now: float) -> LineTrace:
    if is_event(line):
        return LineTrace(line=line, verdict="event")
    namer = make_namer(config, rules)
    tally, points, clamped = _send(config, namer, line, now)
    reason = next(iter((*tally.rejected, *tally.samples_dropped)), "" if points else "name_collision")
    at, why = explain(line, reason) if tally.rejected else (None, "")
    return LineTrace(
        line=line.rstrip(BLANKS),
        verdict="rejected" if tally.rejected else "sent" if points else "dropped",
        reason=reason,
        why=why,
        at=at,
        late=tally.samples_late > 0,
        clamped=clamped,
        parts=_parts(line, namer, config.listen),
        points=points,
    )


def _send(config: Config, namer: Namer, line: bytes, now: float) -> tuple[Tally, list[dict[str, Any]], int]:
    """Process a line in a window of its own; return the tally, its points, and the number of clamped values."""
    hotpath = make_hotpath("python", **ingest_settings(config).hotpath)
    seconds = config.window.seconds
    start = int(now) // seconds * seconds
    hotpath.open_window(start)
    hotpath.feed(line, now)
    while identities := hotpath.unresolved(1000):
        hotpath.resolve([(identity, namer.resolve(identity)) for identity in identities])
    hotpath.close_window(start + seconds)
    encoding = make_encoder(config).encode_window(hotpath.closed_window())
    for _ in encoding.prepare():
        pass
    points = [json.loads(point.body) for point in encoding]
    return hotpath.tally(), points, encoding.values_clamped


def _parts(line: bytes, namer: Namer, listen: ListenConfig) -> list[TracePart]:
    """Parse a line by the grammar into parts; `namer` traces the name of each."""
    parsed = parse(line)
    if isinstance(parsed, str):
        return []
    found = []
    for group, own in zip(parsed.groups, sections(line), strict=True):
        identity = Identity(parsed.name, group.kind, group.tags)
        delta = listen.gauge_deltas if _is_signed(group) else None
        off = _off(identity, listen.dialects)
        found.append(_part(group, own, namer.trace(identity), delta=delta, off=off))
    return found


def _is_signed(group: Group) -> bool:
    return group.kind is Kind.GAUGE and any(value.startswith((b"+", b"-")) for value in group.values)


def _part(group: Group, own: Sequence[bytes], trace: Trace, *, delta: bool | None, off: str) -> TracePart:
    rates = [section[1:] for section in own if section.startswith(b"@")]
    return TracePart(
        kind=group.kind,
        values=[escape(value) for value in group.values],
        delta=delta,
        rate=escape(rates[-1]) if rates else "",
        weight=group.weight,
        time=group.timestamp,
        unused=[escape(section) for section in own if not section.startswith(_READ)],
        dialect=_dialect(group, own),
        off=off,
        trace=trace,
    )


def _dialect(group: Group, own: Sequence[bytes]) -> str:
    """Return the oldest protocol version that has all sections of the part."""
    for start, version in _VERSIONS:
        if any(section.startswith(start) for section in own):
            return f"DogStatsD {version}"
    if len(group.values) > 1:
        return "DogStatsD 1.1"
    return "DogStatsD 1.0" if any(section.startswith(b"#") for section in own) else "StatsD"


def _off(identity: Identity, dialects: Collection[str]) -> str:
    if identity.tags and "dogstatsd" not in dialects:
        return "dogstatsd"
    name = identity.name.decode("utf-8", "replace")
    return next((one for one in _INLINE if one not in dialects and split_inline(name, [one])[1]), "")
