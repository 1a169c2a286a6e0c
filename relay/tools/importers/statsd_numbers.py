"""Converts the options of statsd/statsd for the flush interval, for statistics of timers and for idle series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay import limits
from relay.tools.importers.option_reader import keep_duration, set_percentiles, set_zeros
from relay.tools.importers.readers.javascript import find_env_reference
from relay.tools.importers.readers.literals import is_truthy
from relay.tools.importers.readers.tree import Node, Opaque
from relay.tools.importers.report import Option, changed, ok, plain

if TYPE_CHECKING:
    from relay.tools.importers.option_reader import OptionReader
    from relay.tools.importers.report import Verdict

_FLUSH_MS: Final = 10_000.0
_PERCENT: Final = 90.0
_MINUTE: Final = limits.WINDOW_SECONDS
_TYPES: Final = {"deleteCounters": "counters", "deleteTimers": "timers", "deleteSets": "sets"}


def convert(reader: OptionReader) -> None:
    """Convert the flush interval, the statistics of timers, and the treatment of idle series."""
    interval = _interval(reader)
    reader.builder.set("window.percentile_style", "statsd")
    _percentiles(reader)
    _as_it_is(reader, "calculatedTimerMetrics", "window.timer_metrics")
    _as_it_is(reader, "histogram", "window.histogram")
    _idle(reader, interval)


def _interval(reader: OptionReader) -> float:
    """Return the flush interval in seconds."""
    node = reader.read("flushInterval")
    value = _number(node, _FLUSH_MS)
    became = f"window.seconds = {_MINUTE}: the cloud charts minutes"
    verdict: Verdict = "ok" if value == _MINUTE * 1000 else "changed"
    reader.report(verdict, "flushInterval", node, became, default=f"{_FLUSH_MS:g}")
    return value / 1000


def _number(node: Node | None, default: float) -> float:
    """Return a number as JavaScript's `value || default` gives it; for an expression, its fallback."""
    value: object = node.value if node else None
    if isinstance(value, Opaque):
        variable = find_env_reference(value.text)
        value = variable.default if variable else None
    try:
        number = float(value) if isinstance(value, (int, float, str)) else 0.0
    except ValueError:
        number = 0.0
    return number if 0 < abs(number) < float("inf") else default


def _percentiles(reader: OptionReader) -> None:
    node = reader.read("percentThreshold")
    values = [_number(item, 0) for item in node.items] if node else []
    values = [value for value in values if value] or [_PERCENT]
    became = f'{set_percentiles(reader.builder, values, node)}, percentile_style = "statsd"'
    if node and any(
        isinstance(item.value, Opaque) or (not _number(item, 0) and item.value != 0) for item in node.items
    ):
        fix = "or set STATSD_RELAY_WINDOW_PERCENTILES where the relay runs"
        reader.report("by hand", "percentThreshold", node, f"{became}; {fix}")
    else:
        reader.report("ok", "percentThreshold", node, became, default="90")


def _as_it_is(reader: OptionReader, name: str, key: str) -> None:
    node = reader.read(name)
    if node is None or not reader.require_constant(name, node, f"{key}: only Node evaluates this expression"):
        return
    value = plain(node)
    if isinstance(value, list) and value:
        reader.builder.set(key, value, node)
    reader.report("ok", name, node, key if value else "none, which is the default")


def _idle(reader: OptionReader, interval: float) -> None:
    every = reader.read("deleteIdleStats")
    is_known = every is None or reader.require_constant(
        "deleteIdleStats", every, "read as true: idle series send nothing"
    )
    default = None if every is None else is_truthy(every.value)
    if every and is_known:
        reader.report("ok", "deleteIdleStats", every, "window.idle and window.idle_gauges")
    given = [name for name in _TYPES if reader.has(name)]
    zeros = [kind for name, kind in _TYPES.items() if _sends_zeros(reader, name, kind, default=default)]
    set_zeros(reader.builder, zeros, every)
    if default is None and len(given) < len(_TYPES):
        others = "counters, timers and sets" if not given else "the others"
        became = f'idle {others} send nothing instead of 0 for ever; window.idle = "zero" brings the zeros back'
        reader.report("changed", "deleteIdleStats", None, became)
        if not zeros:
            reader.builder.comment("window", 'idle = "zero"   # idle series send 0 for ever, as with statsd')
    _idle_gauges(reader, interval, default=default)


def _sends_zeros(reader: OptionReader, name: str, kind: str, *, default: bool | None) -> bool:
    """Return whether the file asks for zeros of an idle class; the default of statsd alone does not count."""
    node = reader.read(name)
    if node is None:
        return default is False
    if not reader.require_constant(name, node, f"idle {kind} send nothing"):
        return False
    keeps = not is_truthy(node.value)
    became = f'window.idle = "zero:{kind}"' if keeps else f"idle {kind} send nothing, which is the default"
    reader.report("ok", name, node, became)
    return keeps


def _idle_gauges(reader: OptionReader, interval: float, *, default: bool | None) -> None:
    node, ttl = reader.read("deleteGauges"), reader.read("gaugesMaxTTL")
    deletes = default if node is None else is_truthy(node.value)
    if deletes is None:
        became = 'idle gauges repeat for 1 h; window.idle_gauges = "keep" repeats them for ever'
        reader.report("changed", "deleteGauges", None, became)
        reader.builder.comment("window", 'idle_gauges = "keep"   # for ever, as statsd does')
    else:
        text = _gauge_ttl(int(_number(ttl, 1)), interval) if deletes else "keep"
        reader.builder.set("window.idle_gauges", text, node or ttl)
        if node:
            reader.report("ok", "deleteGauges", node, f'window.idle_gauges = "{text}"')
    if ttl and deletes:
        reader.report("ok", "gaugesMaxTTL", ttl, "window.idle_gauges, in flush intervals; under a minute: drop")
    elif ttl:
        reader.report("dropped", "gaugesMaxTTL", ttl, "statsd does not use it without deleteGauges")


def _gauge_ttl(cycles: int, interval: float) -> str:
    """Return the value of `idle_gauges` for gauges kept for some flushes.

    A gauge kept for one flush is not repeated at all, nor is one that expires within its minute.
    """
    seconds = cycles * interval
    return keep_duration(seconds) if cycles > 1 and seconds >= _MINUTE else "drop"


OPTIONS: Final[dict[str, Option]] = {
    "flushInterval": changed(f"`window.seconds = {_MINUTE}`, on the wall clock: the cloud charts minutes"),
    "percentThreshold": ok('`window.percentiles` and `percentile_style = "statsd"`; default: 90'),
    "calculatedTimerMetrics": ok("`window.timer_metrics`"),
    "histogram": ok("`window.histogram`"),
    "deleteIdleStats": ok('`true`: idle series send nothing; `false`: `window.idle = "zero"`, `idle_gauges = "keep"`'),
    "deleteCounters": changed('`false`: `window.idle = "zero:counters"`; default: nothing (before: 0 for ever)'),
    "deleteTimers": changed('`false`: `window.idle = "zero:timers"`; default: as for `deleteCounters`'),
    "deleteSets": changed('`false`: `window.idle = "zero:sets"`; default: as for `deleteCounters`'),
    "deleteGauges": changed("`window.idle_gauges`: `true`: `drop` or `keep:TTL`; `false`: `keep`; default: 1 h"),
    "gaugesMaxTTL": ok('`window.idle_gauges = "keep:DURATION"`, times `flushInterval`; less than a minute is `drop`'),
}
