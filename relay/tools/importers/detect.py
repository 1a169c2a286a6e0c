"""Detects from the names in a text which daemon's configuration it is, or which known unsupported format it has."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Collection

_VARIABLES: Final = re.compile(r"^[ \t]*(?:export[ \t]+)?DD_[A-Z0-9_]+=", re.MULTILINE)
_COMMENTS: Final = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/|#![^\n]*|'use strict'|\"use strict\"|;)+", re.DOTALL)
_JAVASCRIPT: Final = re.compile(r"[{(!]|(?:var|let|const|function|if|try)\b|(?:module|exports|config|export)\b(?!\s*:)")
_EXPORTS: Final = re.compile(r"^[^#\n]*\bmodule\.exports[ \t]*=", re.MULTILINE)
_TOP: Final = re.compile(r"^[\"']?([A-Za-z_][\w-]*)[\"']?[ ]*:", re.MULTILINE)
_KEYS: Final = re.compile(r"^[ ]*\[{0,2}([A-Za-z][\w-]*)(?:[ ]*=|(?:\.[\w.-]*)?\]{1,2}[ ]*$)", re.MULTILINE)
"""Keys of TOML that is cut or malformed."""
_PROFILES: Final = re.compile(r"^[ ]*(?:-[ ]+|\[?[ ]*\{.*)?[\"']?mappings[\"']?\s*:", re.MULTILINE)
_OLD_MAPPING: Final = re.compile(r"^[\w*.-]+\n(?:\w+[ ]*=[ ]*\"[^\"\n]*\"\n)*name[ ]*=[ ]*\"", re.MULTILINE)
_DATADOG: Final = ("dogstatsd_", "statsd_metric_", "statsd_forward_")
_GOSTATSD: Final = frozenset({
    "metrics-addr", "flush-interval", "percent-threshold", "default-tags", "expiry-interval", "filters",
    "statser-type", "namespace", "server-mode", "max-readers", "max-workers", "http-servers", "bad-lines-per-minute",
})  # fmt: skip
_IN_TOML: Final = _GOSTATSD | {"backends", "filter", "statsdaemon", "disabled-sub-metrics", "hostname", "max-parsers"}
_STATSD: Final = frozenset({
    "port", "mgmt_port", "mgmt_address", "flushInterval", "percentThreshold", "graphiteHost", "graphite",
    "deleteIdleStats", "deleteGauges", "deleteCounters", "deleteTimers", "deleteSets", "servers", "repeater",
    "prefixStats", "keyFlush", "address", "address_ipv6", "dumpMessages", "debug", "backends", "nodes",
})  # fmt: skip
_OTHERS: Final[dict[str, frozenset[str]]] = {
    "a manifest of Kubernetes": frozenset({"apiVersion", "kind"}),
    "a compose file": frozenset({"services"}),
    "brubeck's configuration": frozenset({"samplers"}),
    "Telegraf's configuration": frozenset({"inputs", "outputs", "global_tags"}),
    "Vector's configuration": frozenset({"sources", "sinks", "transforms"}),
    "veneur's configuration": frozenset({"statsd_listen_addresses", "forward_address"}),
    "the OpenTelemetry Collector's configuration": frozenset({"receivers", "exporters", "service"}),
    "the relay's own configuration": frozenset({"listen", "cloud", "window", "spool", "tee", "rule"}),
    "statsite's configuration": frozenset({"statsite"}),
}
Format = Literal["statsd", "statsd_exporter", "gostatsd", "datadog"]


def detect(text: str) -> Format | None:
    """Return the daemon of a configuration; None if the names do not show it."""
    text = text.removeprefix("\ufeff")
    if _VARIABLES.search(text):
        return "datadog"
    if unsupported(text):
        return None
    blank = _COMMENTS.match(text)
    is_javascript = _JAVASCRIPT.match(text, blank.end() if blank else 0) or _EXPORTS.search(text)
    if is_javascript and _json(text) is None:
        return "statsd"
    if text.lstrip().startswith(("-", "[")) and _PROFILES.search(text):
        return "datadog"
    names, is_toml = _names(text)
    if is_toml:
        return "gostatsd" if names & _IN_TOML else None
    return _by_names(names)


def unsupported(text: str) -> str:
    """Return the name of a known but unsupported daemon, tool or format; empty if the names do not show it."""
    if _OLD_MAPPING.search(text):
        return "a mapping of statsd_exporter before 0.6, which is not YAML"
    if re.search(r"^\[statsite\]", text, re.MULTILINE):
        return "statsite's configuration"
    names, _ = _names(text)
    return next((what for what, marks in _OTHERS.items() if _has(names, marks)), "")


def _has(names: Collection[str], marks: frozenset[str]) -> bool:
    """Return whether the names show a format: they have its only mark, or at least two of its marks."""
    found = marks & set(names)
    return bool(found) and (len(marks) == 1 or len(found) > 1 or marks <= found)


def _json(text: str) -> Any:  # noqa: ANN401 - of any type
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _names(text: str) -> tuple[set[str], bool]:
    """Return the names of the outermost level as far as they can be found, and whether the text is TOML."""
    parsed = _json(text)
    if parsed is not None:
        return (set(parsed) if isinstance(parsed, dict) else set()), False
    try:
        return set(tomllib.loads(text)), True
    except (tomllib.TOMLDecodeError, RecursionError):
        keys = set(_KEYS.findall(text))
        return keys or set(_TOP.findall(text)), bool(keys)


def _by_names(names: set[str]) -> Format | None:
    if "api_key" in names or any(name.startswith(_DATADOG) for name in names):
        return "datadog"
    if names & {"mappings", "defaults"}:
        return "statsd_exporter"
    if names & _GOSTATSD:
        return "gostatsd"
    return "statsd" if names & _STATSD else None
