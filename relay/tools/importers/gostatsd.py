"""Imports the configuration of gostatsd: TOML, or YAML and JSON with the same keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from relay import limits
from relay.config.addresses import is_address
from relay.tools.importers import gostatsd_filters
from relay.tools.importers.option_reader import (
    OptionReader,
    go_duration,
    is_true,
    keep_duration,
    set_dialects,
    set_log_level,
    set_prefix,
    set_tags,
    set_valid_percentiles,
    set_without_deltas,
    set_zeros,
    words,
)
from relay.tools.importers.readers.tree import Node
from relay.tools.importers.report import Option, by_hand, changed, dropped, ok

if TYPE_CHECKING:
    from relay.tools.importers.config_builder import ConfigBuilder
    from relay.tools.importers.report import Verdict

DAEMON: Final = "gostatsd"
_AT_ONCE: Final = "one reader receives 12 million lines a second: nothing to tune"
_CLOUD: Final = "points go to [cloud] instead"
_SUB_METRICS: Final = {
    "count": "count", "count-per-second": "count_ps", "mean": "mean", "median": "median", "lower": "lower",
    "upper": "upper", "stddev": "std", "sum": "sum", "sum-squares": "sum_squares", "count-pct": "count_percent",
    "mean-pct": "mean_percent", "sum-pct": "sum_percent", "sum-squares-pct": "sum_squares_percent",
    "lower-pct": "lower_percent", "upper-pct": "upper_percent",
}  # fmt: skip
_EXPIRY: Final = 300.0
_IDLE: Final = {"expiry-interval-counter": "counters", "expiry-interval-timer": "timers", "expiry-interval-set": "sets"}


def convert(config: Node, builder: ConfigBuilder) -> None:
    """Write all options of a gostatsd configuration into a builder."""
    lower = Node({name.lower(): node for name, node in config.members.items()}, config.line)
    reader = OptionReader(lower, builder)
    _listen(reader)
    set_without_deltas(builder)
    set_dialects(builder)
    _percentiles(reader)
    _idle(reader)
    gostatsd_filters.convert(reader)
    _backends(reader)
    reader.finish(OPTIONS)


def _listen(reader: OptionReader) -> None:
    node = reader.read("metrics-addr")
    text = node.text if node else ":8125"
    if text.startswith("/"):
        reader.builder.set("listen.udp", [])
        reader.builder.set("listen.unix", [f"dgram:{text}"], node)
        reader.report("ok", "metrics-addr", node, f'listen.unix = ["dgram:{text}"]')
        return
    host, _, port = text.rpartition(":")
    host = {"localhost": "127.0.0.1"}.get(host, host)
    has_address = is_address(host.removeprefix("[").removesuffix("]"))
    hosts = [host] if has_address else ["0.0.0.0", "[::]"]  # noqa: S104 - as it does without a host
    reader.builder.set("listen.udp", [f"{one}:{port}" for one in hosts], node)
    written = " and ".join(f"{one}:{port}" for one in hosts)
    if has_address or not host:
        reader.report("ok", "metrics-addr", node, f"listen.udp = {written}", default=text)
    else:
        reader.report("by hand", "metrics-addr", node, f"listen.udp = {written}: listen accepts an address, not a name")


def _percentiles(reader: OptionReader) -> None:
    node = reader.read("percent-threshold")
    given = words(node) if node else ["90"]
    values = [float(word) if re.fullmatch(r"-?\d+(\.\d+)?", word) else None for word in given]
    reader.builder.set("window.percentile_style", "statsd")
    note = ', percentile_style = "statsd"'
    set_valid_percentiles(reader, "percent-threshold", node, values, default="90", note=note)


def _idle(reader: OptionReader) -> None:
    every = reader.read("expiry-interval")
    default = go_duration(every.value) if every else _EXPIRY
    if every:
        became = "window.idle_gauges; idle counters, timers and sets send nothing, or always 0 if it is 0"
        reader.report("changed", "expiry-interval", every, became)
    _idle_gauges(reader, default)
    zeros = [kind for name, kind in _IDLE.items() if _sends_zeros(reader, name, kind, default)]
    set_zeros(reader.builder, zeros, every)
    if every is None and len(zeros) < len(_IDLE):
        became = 'idle counters, timers and sets send nothing instead of 0 for 5 minutes; window.idle = "zero" sends 0'
        reader.report("changed", "expiry-interval", None, became, default="5m")


def _idle_gauges(reader: OptionReader, default: float | None) -> None:
    node = reader.read("expiry-interval-gauge")
    keep = go_duration(node.value) if node else default
    text = "keep" if keep == 0 else "drop" if keep is None or keep < 0 else keep_duration(keep)
    reader.builder.set("window.idle_gauges", text, node)
    if node or default == _EXPIRY:
        reader.report("ok", "expiry-interval-gauge", node, f'window.idle_gauges = "{text}"', default="5m")


def _sends_zeros(reader: OptionReader, name: str, kind: str, default: float | None) -> bool:
    """Return whether idle series of a class never expire; gostatsd then sends zeros."""
    node = reader.read(name)
    seconds = go_duration(node.value) if node else default
    if node and seconds == 0:
        reader.report("ok", name, node, f'window.idle = "zero:{kind}"')
    elif node:
        became = f"idle {kind} send nothing: zeros are sent always or never"
        reader.report("ok" if seconds is not None and seconds < 0 else "changed", name, node, became)
    return seconds == 0


def _backends(reader: OptionReader) -> None:
    node = reader.read("backends")
    if node:
        for name in words(node):
            became = (
                "see [statsdaemon]" if name == "statsdaemon" else f"{_CLOUD}; keep the old daemon for it behind [[tee]]"
            )
            reader.builder.report("dropped", node, f"backends {name}", became)
    table = reader.read("statsdaemon")
    address = table.get("address") if table else None
    if table and address and "statsdaemon" in words(node):
        number = reader.builder.append("tee", {"to": address.text}, address)
        reader.report("changed", "statsdaemon.address", address, f"tee {number}: the lines as received")
    elif table:
        reader.report("dropped", "statsdaemon", table, "backends does not name it")


def _tags(reader: OptionReader, name: str, node: Node) -> None:
    set_tags(reader, name, node, words(node))


def _namespace(reader: OptionReader, name: str, node: Node) -> None:
    set_prefix(reader, name, "names.prefix", node, node.text)


def _flush_interval(reader: OptionReader, name: str, node: Node) -> None:
    verdict: Verdict = "ok" if go_duration(node.value) == limits.WINDOW_SECONDS else "changed"
    reader.report(verdict, name, node, f"window.seconds = {limits.WINDOW_SECONDS}: the cloud charts minutes")


def _hostname(reader: OptionReader, name: str, node: Node) -> None:
    known = reader.builder.get("tags.host")
    if known not in (None, node.text):
        reader.report("dropped", name, node, f'for its own metrics only; default-tags set tags.host = "{known}"')
        return
    reader.builder.set("tags.host", node.text, node)
    reader.report("changed", name, node, "tags.host, on every series and not only on the daemon's own")


def _verbose(reader: OptionReader, name: str, node: Node) -> None:
    set_log_level(reader, name, node, "debug" if is_true(node) else "info")


def _json(reader: OptionReader, name: str, node: Node) -> None:
    if is_true(node):
        reader.builder.set("log.format", "json", node)
    reader.report("ok", name, node, "log.format")


def _server_mode(reader: OptionReader, name: str, node: Node) -> None:
    if node.value == "standalone":
        reader.report("ok", name, node, "every relay is standalone")
    else:
        reader.report("changed", name, node, "each relay aggregates and sends by itself, without [http-transport]")


def _sub_metrics(reader: OptionReader, name: str, node: Node) -> None:
    off = {key.lower() for key, value in node.members.items() if is_true(value)}
    left = [name for theirs, name in _SUB_METRICS.items() if theirs not in off]
    if off:
        reader.builder.set("window.timer_metrics", left, node)
    reader.report("ok", name, node, "window.timer_metrics: the others" if off else "none is disabled")


_TABLES: Final = {
    "http": "health and metrics are on [admin] listen",
    "http-servers": "health and metrics are on [admin] listen; lines over HTTP are not accepted",
    "graphite": _CLOUD, "datadog": _CLOUD, "influxdb": _CLOUD, "newrelic": _CLOUD, "cloudwatch": _CLOUD,
    "stdout": _CLOUD, "otlp": _CLOUD, "null": _CLOUD,
    "aws": "senders are not looked up", "k8s": "senders are not looked up",
    "http-transport": "relays do not forward to one another", "transport": "relays do not forward to one another",
}  # fmt: skip
OPTIONS: Final[dict[str, Option]] = {
    "metrics-addr": ok('`listen.udp`; a path: `listen.unix = ["dgram:PATH"]`; without a host: every address'),
    "namespace": ok("`names.prefix`", _namespace),
    "default-tags": ok("`[tags]`; a tag without a value is `true`", _tags),
    "hostname": changed("`tags.host`", _hostname),
    "ignore-host": changed("`tags.host` is always the relay's machine: senders are not looked up"),
    "percent-threshold": ok('`window.percentiles` and `percentile_style = "statsd"`; default: 90'),
    "expiry-interval": changed("`window.idle_gauges`; other classes: `window.idle`, zeros for ever (`0`) or none"),
    "expiry-interval-gauge": ok("`window.idle_gauges`: `0` is `keep`, `-1` is `drop`"),
    "expiry-interval-counter": changed('`0`: `window.idle = "zero:counters"`; else idle counters send nothing'),
    "expiry-interval-timer": changed('`0`: `window.idle = "zero:timers"`; else idle timers send nothing'),
    "expiry-interval-set": changed('`0`: `window.idle = "zero:sets"`; else idle sets send nothing'),
    "disabled-sub-metrics": ok("`window.timer_metrics`: the others", _sub_metrics),
    "flush-interval": changed(f"`window.seconds = {limits.WINDOW_SECONDS}`: the cloud charts minutes", _flush_interval),
    "flush-aligned": ok("windows are always minutes of the wall clock"),
    "flush-offset": dropped("windows are minutes of the wall clock; `cloud.spread` keeps relays apart"),
    "filters": ok("`[[rule]]`, see the keys of a filter"),
    "backends": dropped("points go to `[cloud]`; `statsdaemon`: `[[tee]]`"),
    "statsdaemon": changed("`[[tee]]`, if `backends` names it: the lines as received"),
    "verbose": ok('`log.level = "debug"`', _verbose),
    "json": ok('`log.format = "json"`', _json),
    "server-mode": changed("each relay sends by itself; there is no forwarding", _server_mode),
    "timer-histogram-limit": by_hand("`gsd_histogram` tags make no buckets here; `window.histogram` does, for names"),
    "bad-lines-per-minute": dropped("RLY301 says which lines are bad, at most once in 10 s"),
    "log-raw-metric": dropped("nothing is logged per line"),
    "statser-type": dropped("the relay's own counters are on `/metrics`"),
    "internal-namespace": dropped("the relay's own counters are on `/metrics`"),
    "internal-tags": dropped("the relay's own counters are on `/metrics`"),
    "heartbeat-enabled": dropped("`/-/healthy`, and `relay_build_info` on `/metrics`"),
    "disable-internal-events": dropped("the relay has no internal events"),
    "profile": dropped("no profiler is served"),
    "max-readers": dropped("`listen.readers`; one is enough up to 4 cores"),
    "max-parsers": dropped(_AT_ONCE),
    "max-workers": dropped(_AT_ONCE),
    "max-queue-size": dropped(_AT_ONCE),
    "max-concurrent-events": dropped("events are counted and not sent"),
    "estimated-tags": dropped(_AT_ONCE),
    "receive-batch-size": dropped(_AT_ONCE),
    "receive-buffer-size": dropped("any datagram fits; `listen.receive_buffer` is the kernel's queue"),
    "conn-per-reader": dropped("`listen.readers`"),
    "cloud-provider": dropped("senders are not looked up: let applications send the tags"),
    "max-cloud-requests": dropped("see cloud-provider"),
    "burst-cloud-requests": dropped("see cloud-provider"),
    "cloud-cache-refresh-period": dropped("see cloud-provider"),
    "cloud-cache-evict-after-idle-period": dropped("see cloud-provider"),
    "cloud-cache-ttl": dropped("see cloud-provider"),
    "cloud-cache-negative-ttl": dropped("see cloud-provider"),
    "lambda-extension-manual-flush": dropped("the relay is not a Lambda extension"),
    "lambda-extension-telemetry-address": dropped("the relay is not a Lambda extension"),
    "fast-fail-on-non-retryable-errors": dropped("refused points become dead letters, other requests are retried"),
    **{name: dropped(text) for name, text in _TABLES.items()},
}
