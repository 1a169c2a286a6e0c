"""Converts gostatsd's options for statistics of timers and for idle series."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from relay.tools.importers.option_reader import go_duration, keep_duration, set_percentiles, set_zeros, words
from relay.tools.importers.report import Option, changed, ok

if TYPE_CHECKING:
    from relay.tools.importers.option_reader import OptionReader

_EXPIRY: Final = 300.0
_IDLE: Final = {"expiry-interval-counter": "counters", "expiry-interval-timer": "timers", "expiry-interval-set": "sets"}


def convert(reader: OptionReader) -> None:
    """Convert the percentiles and the expiry of idle series."""
    _percentiles(reader)
    _idle(reader)


def _percentiles(reader: OptionReader) -> None:
    node = reader.read("percent-threshold")
    given = words(node) if node else ["90"]
    values = [float(word) for word in given if re.fullmatch(r"-?\d+(\.\d+)?", word)]
    reader.builder.set("window.percentile_style", "statsd")
    became = f'{set_percentiles(reader.builder, values, node)}, percentile_style = "statsd"'
    if len(values) < len(given):
        reader.report("by hand", "percent-threshold", node, f"{became}: not every one of them is a number")
        return
    reader.report("ok", "percent-threshold", node, became, default="90")


def _idle(reader: OptionReader) -> None:
    every = reader.read("expiry-interval")
    default = go_duration(every.value) if every else _EXPIRY
    if every:
        became = "window.idle_gauges; of idle counters, timers and sets nothing is sent, or 0 for ever if it is 0"
        reader.report("changed", "expiry-interval", every, became)
    _idle_gauges(reader, default)
    zeros = [kind for name, kind in _IDLE.items() if _keeps(reader, name, kind, default)]
    set_zeros(reader.builder, zeros, every)
    if every is None and len(zeros) < len(_IDLE):
        became = 'nothing is sent of idle counters, timers and sets, not 0 for 5 minutes; window.idle = "zero" sends 0'
        reader.report("changed", "expiry-interval", None, became, default="5m")


def _idle_gauges(reader: OptionReader, default: float | None) -> None:
    node = reader.read("expiry-interval-gauge")
    keep = go_duration(node.value) if node else default
    text = "keep" if keep == 0 else "drop" if keep is None or keep < 0 else keep_duration(keep)
    reader.builder.set("window.idle_gauges", text, node)
    if node or default == _EXPIRY:
        reader.report("ok", "expiry-interval-gauge", node, f'window.idle_gauges = "{text}"', default="5m")


def _keeps(reader: OptionReader, name: str, kind: str, default: float | None) -> bool:
    """Say whether idle series of a class never expire; gostatsd then sends zeros."""
    node = reader.read(name)
    seconds = go_duration(node.value) if node else default
    if node and seconds == 0:
        reader.report("ok", name, node, f'window.idle = "zero:{kind}"')
    elif node:
        became = f"nothing is sent of idle {kind}; zeros are for ever or never here"
        reader.report("ok" if seconds is not None and seconds < 0 else "changed", name, node, became)
    return seconds == 0


OPTIONS: Final[dict[str, Option]] = {
    "percent-threshold": ok('`window.percentiles` and `percentile_style = "statsd"`; 90 if there is none'),
    "expiry-interval": changed(
        "`window.idle_gauges`; idle counters, timers and sets: `window.idle`, zeros for ever (`0`) or none"
    ),
    "expiry-interval-gauge": ok("`window.idle_gauges`: `0` is `keep`, `-1` is `drop`"),
    "expiry-interval-counter": changed('`0`: `window.idle = "zero:counters"`; else nothing is sent of idle ones'),
    "expiry-interval-timer": changed("likewise, `zero:timers`"),
    "expiry-interval-set": changed("likewise, `zero:sets`"),
}
