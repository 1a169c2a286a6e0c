"""What the keys of `[window]` must be beyond their types."""

from __future__ import annotations

from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING

from relay.config.types import given, to_toml

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.config.schema import Config


def percentiles(config: Config) -> str:
    """Only statsd knows what a percentile from the top is."""
    if config.window.percentile_style == "statsd":
        wrong = [value for value in config.window.percentiles if not 0 < abs(value) <= 100]
        return f"must lie between -100 and 100 and not be 0, not {wrong[0]:g}" if wrong else ""
    wrong = [value for value in config.window.percentiles if not 0 < value < 100]
    more = ', unless percentile_style is "statsd"' if wrong and -100 <= wrong[0] < 0 else ""
    return f"must lie between 0 and 100{more}, not {wrong[0]:g}" if wrong else ""


def histogram(config: Config) -> str:
    """Bins whose limits do not ascend would always be empty; a list without bins exempts the timers that it fits."""
    for number, one in enumerate(config.window.histogram, 1):
        try:
            limits = one.limits()
        except ValueError as error:
            return f"entry {number} {error}"
        if not all(low < high for low, high in pairwise([-inf, *limits])):
            return f"entry {number} must have bins whose limits ascend, not {given(one.bins)}"
    return _with_statsd(bool(config.window.histogram), config)


def timer_metrics(config: Config) -> str:
    """What is ignored is refused."""
    return _with_statsd(bool(config.window.timer_metrics), config)


def _with_statsd(is_set: bool, config: Config) -> str:  # noqa: FBT001 - private
    style = config.window.percentile_style
    return f'needs percentile_style = "statsd", not {to_toml(style)}' if is_set and style != "statsd" else ""


def parsed(parse: Callable[[Config], object]) -> Callable[[Config], str]:
    """Return the rule that something can be read."""

    def rule(config: Config) -> str:
        try:
            parse(config)
        except ValueError as error:
            return str(error)
        return ""

    return rule
