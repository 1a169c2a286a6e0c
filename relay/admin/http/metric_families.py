"""Metric families of one value, or of one value per label value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Mapping


def counter(name: str, help_: str, value: float | Mapping[str, float], label: str = "") -> CounterMetricFamily:
    """Return a counter, of one value or one per label value."""
    family = CounterMetricFamily(name, help_, labels=[label] if label else [])
    for key, figure in value.items() if not isinstance(value, (int, float)) else [("", value)]:
        family.add_metric([key] if label else [], figure)
    return family


def gauge(name: str, help_: str, value: float) -> GaugeMetricFamily:
    """Return a gauge of one value."""
    return GaugeMetricFamily(name, help_, value=value)


def gauges(name: str, help_: str, values: Mapping[str, float], label: str) -> GaugeMetricFamily:
    """Return a gauge of one value per label value."""
    family = GaugeMetricFamily(name, help_, labels=[label])
    for key, figure in values.items():
        family.add_metric([key], figure)
    return family
