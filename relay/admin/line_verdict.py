"""What became of a received line, worked out again for a person: outside of the hot path, for the few lines shown.

Parser and naming are those of the data path. Owned by the hot path, and asked there: whether a series is in overflow.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from relay import limits
from relay.admin.answers.tap import TapLine
from relay.hotpath.explain import explain
from relay.hotpath.line import is_event, parse
from relay.model import Identity, Kind, NoSeries
from relay.wording import as_utc, escape

if TYPE_CHECKING:
    from relay.admin.protocols import Relay
    from relay.hotpath.line import Group, Line
    from relay.hotpath.tap import TappedLine
    from relay.naming.trace import Trace

_LINE_BYTES: Final = 4_096
_QUOTED: Final = 40
"""Characters of the part of a line that an explanation quotes."""
_FIELD: Final = re.compile(rb"[^:|]*")
_QUOTES: Final = {"bad_value": "no number", "bad_type": "no type: c g ms h d s", "bad_rate": "no sample rate"}
"""Reason -> what the part of the line in error is."""
_DROPPED: Final = {
    "no_legal_name": 'illegal characters, and [listen] names = "strict"',
    "too_old": "its time is older than [cloud] max_age",
    "too_far_ahead": "its time is more than a minute ahead",
    "late_gauge": "older than the known value of this gauge",
    "series_limit": "no memory for its series",
}
_GROUPS: Final = 8
"""Groups of a line that are traced: a packed line of 64 KiB has 16,000, and a person reads one verdict."""


class LineVerdict:
    """State: the relay, and the labels of its listeners."""

    def __init__(self, relay: Relay, labels: list[str]) -> None:
        self._relay = relay
        self._labels = labels

    def explain(self, tapped: TappedLine) -> TapLine:
        """Return what became of a line; about 50 us."""
        return TapLine(
            at=as_utc(tapped.time),
            sender=tapped.host or self._label(tapped.listener),
            line=tapped.line[:_LINE_BYTES].decode("utf-8", "backslashreplace"),
            **self._verdict(tapped),
        )

    def is_dropped(self, tapped: TappedLine) -> bool:
        """Return whether naming drops a line that waited for its name when it came."""
        parsed = parse(tapped.line)
        if isinstance(parsed, str):
            return False
        outcomes = [self._trace(parsed, group).outcome for group in parsed.groups[:_GROUPS]]
        return any(isinstance(one, NoSeries) and not one.rejects for one in outcomes)

    def _label(self, listener: int) -> str:
        return self._labels[listener] if listener < len(self._labels) else ""

    def _trace(self, line: Line, group: Group) -> Trace:
        return self._relay.namer.trace(Identity(line.name, group.kind, group.tags))

    def _verdict(self, tapped: TappedLine) -> dict[str, Any]:
        line = tapped.line
        if tapped.reason and tapped.of != "dropped":
            return _rejected(line, tapped.reason)
        if is_event(line):
            return {"verdict": "event"}
        parsed = parse(line)
        if isinstance(parsed, str):
            return _rejected(line, parsed)
        traces = [self._trace(parsed, group) for group in parsed.groups[:_GROUPS]]
        lost = [place for place, trace in enumerate(traces) if isinstance(trace.outcome, NoSeries)]
        place = lost[0] if lost else 0
        return self._named(tapped, parsed, parsed.groups[place], traces[place])

    def _named(self, tapped: TappedLine, line: Line, group: Group, trace: Trace) -> dict[str, Any]:
        outcome, known = trace.outcome, {"type": group.kind, **self._rule(trace)}
        if isinstance(outcome, NoSeries) and outcome.rejects:
            return known | _rejected(tapped.line, outcome.reason)
        if isinstance(outcome, NoSeries):
            return known | self._dropped(outcome.reason, trace)
        reason = tapped.reason or self._untimely(tapped, group)
        if reason:
            return known | self._dropped(reason, trace)
        overflows = self._relay.hotpath.overflows(Identity(line.name, group.kind, group.tags))
        if overflows and self._is_delta(group):
            return known | _rejected(tapped.line, "series_limit")
        series = outcome.overflow if overflows else outcome.series
        return known | {
            "verdict": "accepted",
            "metric": series.metric,
            "namespace": series.namespace or self._relay.config.cloud.namespace,
            "dimensions": dict(series.dimensions),
            "code": "RLY310" if overflows else "",
        }

    def _rule(self, trace: Trace) -> dict[str, Any]:
        if not trace.rule:
            return {}
        rule = self._relay.config.rule[trace.rule - 1]
        return {"rule": trace.rule, "pattern": rule.match or rule.regex}

    def _dropped(self, reason: str, trace: Trace) -> dict[str, Any]:
        words = f"by rule {trace.rule}" if reason == "rule" else _DROPPED.get(reason, reason)
        return {"verdict": "dropped", "reason": reason, "explanation": words}

    def _untimely(self, tapped: TappedLine, group: Group) -> str:
        """Return why the time of a line drops its samples; "" if it does not."""
        start, seconds = self._relay.closer.open_id, self._relay.config.window.seconds
        if group.timestamp is None or start <= group.timestamp < start + seconds:
            return ""
        if group.timestamp < tapped.time - self._relay.config.cloud.max_age:
            return "too_old"
        return "too_far_ahead" if group.timestamp > tapped.time + limits.TIMESTAMP_AHEAD else ""

    def _is_delta(self, group: Group) -> bool:
        is_signed = any(value.startswith((b"+", b"-")) for value in group.values)
        return group.kind is Kind.GAUGE and self._relay.config.listen.gauge_deltas and is_signed


def _rejected(line: bytes, reason: str) -> dict[str, Any]:
    at, words = explain(line, reason)
    if at is not None and reason in _QUOTES:
        found = _FIELD.match(line, max(line.rfind(b":", 0, at), line.rfind(b"|", 0, at)) + 1)
        words = f'"{escape(found[0] if found else b"")[:_QUOTED]}" is {_QUOTES[reason]}'
    return {"verdict": "rejected", "reason": reason, "explanation": words, "column": at}
