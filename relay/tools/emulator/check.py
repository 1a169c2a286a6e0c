"""Enforces every limit of putMetricData on a point.

It is written from the API document and shares no code or number with the relay's encoder, so that it finds its errors.
"""

from __future__ import annotations

import re
from typing import Any, Final

MAX_POINTS: Final = 50
MAX_BYTES: Final = 256_000
_LEGAL: Final = re.compile(r"[0-9A-Za-z._]+")
_STATISTICS: Final = {"avg", "sum", "last", "max", "min", "count"}
_MAX_VALUE: Final = 9_223_372_036_854_775_807
_OLDEST: Final = 30 * 86_400
_REQUIRED: Final = {"dimensions", "metric", "namespace", "timestamp", "type", "values"}


def check_point(point: Any, now: float) -> str:  # noqa: ANN401 - whatever was posted
    """Return the first error in a point; "" if there is none."""
    if not isinstance(point, dict) or set(point) != _REQUIRED:
        return f"fields must be {', '.join(sorted(_REQUIRED))}"
    return (
        _check_name("metric", point["metric"])
        or _check_name("namespace", point["namespace"])
        or _check_dimensions(point["dimensions"])
        or _check_timestamp(point["timestamp"], now)
        or _check_values(point["type"], point["values"])
    )


def _check_name(field: str, value: Any) -> str:  # noqa: ANN401
    if not isinstance(value, str) or not _LEGAL.fullmatch(value):
        return f"{field} illegal characters"
    return f"{field} longer than 255 bytes" if len(value) > 255 else ""


def _check_dimensions(dimensions: Any) -> str:  # noqa: ANN401
    if not isinstance(dimensions, dict) or not 1 <= len(dimensions) <= 5:
        return "dimensions need one to five tags"
    texts = [text for pair in dimensions.items() for text in pair]
    if not all(isinstance(text, str) and _LEGAL.fullmatch(text) for text in texts):
        return "dimensions illegal characters"
    return "dimensions longer than 255 bytes" if sum(len(text) + 1 for text in texts) > 255 else ""


def _check_timestamp(timestamp: Any, now: float) -> str:  # noqa: ANN401
    if not _is_int(timestamp) or len(str(timestamp)) != 10:
        return "timestamp must have 10 digits"
    return "timestamp older than 30 days" if timestamp < now - _OLDEST else ""


def _check_values(type_: Any, values: Any) -> str:  # noqa: ANN401
    allowed = {1: {"value"}, 2: _STATISTICS}.get(type_ if _is_int(type_) else 0)
    if allowed is None:
        return "type must be 1 or 2"
    if not isinstance(values, dict) or not values or not set(values) <= allowed:
        return f"values of type {type_} must be among {', '.join(sorted(allowed))}"
    if not all(_is_number(value) and abs(value) <= _MAX_VALUE for value in values.values()):
        return "values must be numbers up to 9223372036854775807"
    return "count must not be negative" if values.get("count", 0) < 0 else ""


def _is_int(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, (int, float)) and not isinstance(value, bool)
