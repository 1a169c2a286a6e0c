"""Imports datadog.yaml, or its variables DD_...: mapper profiles become rules, other DogStatsD options become keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.config.addresses import join_address
from relay.config.types import to_toml
from relay.tools.importers import datadog_profiles
from relay.tools.importers.option_reader import (
    OptionReader,
    is_true,
    set_dialects,
    set_log_level,
    set_tags,
    set_valid_percentiles,
    set_without_deltas,
    texts,
)
from relay.tools.importers.readers.tree import Node
from relay.tools.importers.report import Option, changed, dropped, ok

if TYPE_CHECKING:
    from relay.tools.importers.config_builder import ConfigBuilder
    from relay.tools.importers.report import Verdict

DAEMON: Final = "Datadog agent"
PREFIX: Final = "DD_"
_AGENT_ONLY: Final = "not of DogStatsD: the agent keeps it"
_WILDCARD_ADDRESSES: Final = ("0.0.0.0", "::")  # noqa: S104 - as the agent does when it is asked to
_LOOPBACK: Final = "127.0.0.1"
_LOOPBACK_ALIASES: Final = {"localhost": (_LOOPBACK, "::1"), _LOOPBACK: (_LOOPBACK, "::1")}
_SOCKETS: Final = {"dogstatsd_socket": "dgram", "dogstatsd_stream_socket": "datadog"}
_DIGITS_MAX: Final = 12
_HOST: Final = "host:"
_LEVELS: Final = {
    "trace": "debug", "debug": "debug", "info": "info", "warn": "warning", "warning": "warning", "error": "error",
    "critical": "error",
}  # fmt: skip
AGENT_OPTIONS: Final = frozenset({
    "api_key", "app_key", "site", "dd_url", "env", "proxy", "logs_enabled", "logs_config", "apm_config",
    "process_config", "confd_path", "skip_ssl_validation", "extra_tags", "cluster_name", "cluster_agent",
})  # fmt: skip
"""Options that identify a file as the agent's. None of them concerns DogStatsD."""
DOGSTATSD_PREFIXES: Final = ("dogstatsd_", "statsd_", "histogram_", "use_dogstatsd", "bind_host")
"""Prefixes of options that concern DogStatsD. An unknown option with such a prefix is reported by itself."""


def convert(config: Node, builder: ConfigBuilder) -> None:
    """Write the DogStatsD options of a datadog.yaml into a builder."""
    if isinstance(config.value, list):
        config = Node({"dogstatsd_mapper_profiles": config}, config.line)
    reader = OptionReader(config, builder)
    _convert_hostname(reader)
    _convert_listen(reader)
    set_without_deltas(builder)
    set_dialects(builder)
    datadog_profiles.convert(reader)
    _convert_percentiles(reader)
    _convert_forward(reader)
    _report_agent_only(reader, config)
    reader.finish(OPTIONS)


def _report_agent_only(reader: OptionReader, config: Node) -> None:
    """Report all options that do not concern DogStatsD in one line."""
    unread = [name for name in config.members if reader.has(name) and name not in OPTIONS]
    others = [name for name in unread if not name.startswith(DOGSTATSD_PREFIXES)]
    nodes = [node for name in others if (node := reader.read(name))]
    if nodes:
        names = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
        reader.builder.report("dropped", nodes[0], names, _AGENT_ONLY)


def _convert_listen(reader: OptionReader) -> None:
    names = ("dogstatsd_port", "bind_host", "dogstatsd_non_local_traffic")
    port, host, everywhere = map(reader.read, names)
    number = port.text if port else "8125"
    address = host.text if host else _LOOPBACK
    hosts = _WILDCARD_ADDRESSES if is_true(everywhere) else _LOOPBACK_ALIASES.get(address, (address,))
    addresses = [join_address(each, number) for each in hosts]
    reader.builder.set("listen.udp", [] if number == "0" else addresses, port or host or everywhere)
    became = f"listen.udp = {to_toml(reader.builder.get('listen.udp'))}"
    for name, node in zip(names, (port, host, everywhere), strict=True):
        if node:
            reader.report("ok", name, node, became)
    if not (host or everywhere):
        became += ": loopback only, the agent's default; in containers set this option to true before the import"
        reader.report("ok", "dogstatsd_non_local_traffic", None, became)
    for name, form in _SOCKETS.items():
        if (node := reader.read(name)) and node.value:
            path = node.text.removeprefix("unixgram://").removeprefix("unix://")
            reader.builder.add("listen.unix", f"{form}:{path}", node)
            reader.report("ok", name, node, f'listen.unix = ["{form}:{path}"]')


def _convert_percentiles(reader: OptionReader) -> None:
    node = reader.read("histogram_percentiles")
    given = texts(node) if node else ["0.95"]
    values = [round(float(text) * 100, 6) if text.replace(".", "", 1).isdecimal() else None for text in given]
    set_valid_percentiles(reader, "histogram_percentiles", node, values, default="0.95")


def _convert_forward(reader: OptionReader) -> None:
    host, port = reader.read("statsd_forward_host"), reader.read("statsd_forward_port")
    if host and port and host.value and port.value:
        number = reader.builder.append("tee", {"to": f"{host.value}:{port.value}"}, host)
        reader.report("ok", "statsd_forward_host", host, f"tee {number}")
        reader.report("ok", "statsd_forward_port", port, f"tee {number}")
    else:
        for name, node in (("statsd_forward_host", host), ("statsd_forward_port", port)):
            if node:
                reader.report("dropped", name, node, "the agent forwards only if both are set")


def _convert_namespace(reader: OptionReader, name: str, node: Node) -> None:
    text = node.text.strip(".")
    if text:
        reader.builder.set("names.prefix", text, node)
        became = f'names.prefix = "{text}", also on names of the agent\'s integrations'
        reader.report("changed", name, node, became)


def _convert_tags(reader: OptionReader, name: str, node: Node) -> None:
    """Set the tags. A configured tag `host`, which the agent sends beside its host, becomes the dimension `host`."""
    hosts = [entry for entry in texts(node) if entry.startswith(_HOST)]
    set_tags(reader, name, node, [entry for entry in texts(node) if entry not in hosts])
    for entry in hosts:
        known, value = reader.builder.get("tags.host"), entry.removeprefix(_HOST)
        if not value:
            reader.builder.report("dropped", node, f"{name} {entry}", "it has no value")
            continue
        if known is None:
            reader.builder.set("tags.host", value, node)
            became = f'tags.host = "{value}". The agent sent the tag and its hostname; the relay sends one host'
        else:
            became = f'tags.host is already "{known}", and the relay sends one host'
        verdict: Verdict = "changed" if reader.builder.get("tags.host") == value else "by hand"
        reader.builder.report(verdict, node, f"{name} {entry}", became)


def _convert_hostname(reader: OptionReader) -> None:
    """Set the host; call it before the tags, since a tag `host` must not override the hostname."""
    if (node := reader.read("hostname")) and node.value:
        reader.builder.set("tags.host", node.text, node)
        reader.report("ok", "hostname", node, "tags.host")


def _convert_buffer(reader: OptionReader, name: str, node: Node) -> None:
    text = node.text
    size = int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX else None
    if size:
        reader.builder.set("listen.receive_buffer", size, node)
    became = f"listen.receive_buffer = {size}" if size else "listen.receive_buffer stays as it is"
    reader.report("by hand" if size is None else "ok", name, node, became)


def _convert_level(reader: OptionReader, name: str, node: Node) -> None:
    set_log_level(reader, name, node, _LEVELS.get(node.text.lower()))


def _convert_use_dogstatsd(reader: OptionReader, name: str, node: Node) -> None:
    if is_true(node):
        reader.report("ok", name, node, "the relay always listens")
    else:
        reader.report("by hand", name, node, "DogStatsD was off in the agent. Check which daemon received the metrics")


OPTIONS: Final[dict[str, Option]] = {
    "dogstatsd_mapper_profiles": ok("`[[rule]]`, one for each mapping; a `prefix` that its pattern lacks: by hand"),
    "dogstatsd_port": ok("`listen.udp`; `0`: no UDP"),
    "bind_host": ok("`listen.udp`; default: loopback only"),
    "dogstatsd_non_local_traffic": ok("`true`: `listen.udp` on `0.0.0.0` and `[::]`"),
    "dogstatsd_socket": ok('`listen.unix = ["dgram:PATH"]`'),
    "dogstatsd_stream_socket": ok('`listen.unix = ["datadog:PATH"]`'),
    "statsd_metric_namespace": changed("`names.prefix`, also on names of the agent's integrations", _convert_namespace),
    "statsd_metric_namespace_blacklist": dropped("`names.prefix` is on every name"),
    "statsd_metric_namespace_blocklist": dropped("`names.prefix` is on every name"),
    "statsd_metric_blocklist": ok('`[[rule]]` with `action = "drop"` for the received names that the agent blocks'),
    "statsd_metric_blocklist_match_prefix": ok("`regex` of those rules"),
    "metric_filterlist": ok("the new name of `statsd_metric_blocklist`"),
    "metric_filterlist_match_prefix": ok("`regex` of those rules"),
    "dogstatsd_tags": ok("`[tags]`; a tag without a value is `true`", _convert_tags),
    "tags": ok("`[tags]`", _convert_tags),
    "hostname": ok("`tags.host`; a tag `host:...` of the configuration beside it: by hand, the agent sends both"),
    "histogram_percentiles": ok("`window.percentiles`; default: 95"),
    "histogram_aggregates": changed("sum, count, average, minimum and maximum; a median: 50 in `window.percentiles`"),
    "histogram_copy_to_distribution": dropped("`|h`, `|d` and `|ms` are the same type"),
    "histogram_copy_to_distribution_prefix": dropped("`|h`, `|d` and `|ms` are the same type"),
    "statsd_forward_host": ok("`[[tee]]`"),
    "statsd_forward_port": ok("`[[tee]]`"),
    "dogstatsd_so_rcvbuf": ok("`listen.receive_buffer`; `0` is the default", _convert_buffer),
    "use_dogstatsd": ok("`false`: by hand", _convert_use_dogstatsd),
    "log_level": ok("`log.level`", _convert_level),
    "dogstatsd_buffer_size": dropped("any datagram fits"),
    "dogstatsd_queue_size": dropped("nothing to tune"),
    "dogstatsd_packet_buffer_size": dropped("nothing to tune"),
    "dogstatsd_packet_buffer_flush_timeout": dropped("nothing to tune"),
    "dogstatsd_mapper_cache_size": dropped("rules are applied once for each new name"),
    "dogstatsd_string_interner_size": dropped("nothing to tune"),
    "dogstatsd_workers_count": dropped("`listen.readers`; one is enough up to 4 cores"),
    "dogstatsd_pipeline_autoadjust": dropped("nothing to tune"),
    "dogstatsd_pipeline_count": dropped("nothing to tune"),
    "dogstatsd_expiry_seconds": changed("idle counters send nothing; `window.idle` sends zeros for ever"),
    "dogstatsd_context_expiry_seconds": dropped("a series that is idle for a minute is freed"),
    "dogstatsd_origin_detection": dropped("senders are not looked up: let applications send the tags"),
    "dogstatsd_origin_detection_client": dropped("senders are not looked up: let applications send the tags"),
    "dogstatsd_origin_optout_enabled": dropped("senders are not looked up"),
    "dogstatsd_tag_cardinality": dropped("senders are not looked up"),
    "dogstatsd_entity_id_precedence": dropped("senders are not looked up"),
    "dogstatsd_no_aggregation_pipeline": changed(
        "`|T` samples join the open window; samples that are too old or too far ahead are dropped"
    ),
    "dogstatsd_eol_required": dropped("the last line needs no line feed"),
    "dogstatsd_disable_verbose_logs": dropped("nothing is logged per line"),
    "dogstatsd_logging_enabled": dropped("nothing is logged per line"),
    "dogstatsd_log_file": dropped("nothing is logged per line"),
    "dogstatsd_metrics_stats_enable": dropped("`/metrics` on the admin port"),
    "dogstatsd_stats_enable": dropped("`/metrics` on the admin port"),
    "dogstatsd_stats_port": dropped("`/metrics` on the admin port"),
    "dogstatsd_capture_path": dropped("`statsd-relay capture FILE`"),
    "dogstatsd_capture_depth": dropped("`statsd-relay capture FILE`"),
    "dogstatsd_pipe_name": dropped("Windows only"),
}
