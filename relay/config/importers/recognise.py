"""Whose configuration a text is, from what is in it."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any, Final, Literal

_VARIABLES: Final = re.compile(r"^\s*(?:export\s+)?DD_[A-Z0-9_]+=", re.MULTILINE)
_COMMENTS: Final = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/|#![^\n]*|'use strict'|\"use strict\"|;)+", re.DOTALL)
_JAVASCRIPT: Final = re.compile(r"[{(]|(?:var|let|const|function|if|try)\b|(?:module|exports|config|export)\b(?!\s*:)")
_TOP: Final = re.compile(r"^[\"']?([A-Za-z_][\w-]*)[\"']?\s*:", re.MULTILINE)
_PROFILES: Final = re.compile(r"^\s*(?:-\s+)?[\"']?mappings[\"']?\s*:", re.MULTILINE)
_GOSTATSD: Final = frozenset({
    "metrics-addr", "flush-interval", "percent-threshold", "default-tags", "expiry-interval", "backends", "filters",
    "statser-type", "namespace", "server-mode", "max-readers", "max-workers", "http-servers", "bad-lines-per-minute",
})  # fmt: skip
Format = Literal["statsd", "statsd_exporter", "gostatsd", "datadog"]


def recognise(text: str) -> Format | None:
    """Say whose configuration it is; None if that is not plain."""
    if _VARIABLES.search(text):
        return "datadog"
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return _in_words(text.removeprefix("\ufeff"))
    if isinstance(parsed, list):
        return "datadog" if any(isinstance(one, dict) and "mappings" in one for one in parsed) else None
    return _by_names(set(parsed)) or "statsd" if isinstance(parsed, dict) else None


def _by_names(names: set[str]) -> Format | None:
    if (
        any(name.startswith(("dogstatsd_", "statsd_metric_", "statsd_forward_")) for name in names)
        or "api_key" in names
    ):
        return "datadog"
    if names & {"mappings", "defaults"}:
        return "statsd_exporter"
    return "gostatsd" if names & _GOSTATSD - {"backends"} else None


def _in_words(text: str) -> Format | None:
    blank = _COMMENTS.match(text)
    if _JAVASCRIPT.match(text, blank.end() if blank else 0):
        return "statsd"
    if found := _by_names(set(_TOP.findall(text))):
        return found
    if text.lstrip().startswith("-") and _PROFILES.search(text):
        return "datadog"
    return "gostatsd" if _is_toml(text) else None


def _is_toml(text: str) -> bool:
    try:
        parsed: dict[str, Any] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return re.search(r"^\s*[\w-]+\s*=", text, re.MULTILINE) is not None
    return bool(parsed)
