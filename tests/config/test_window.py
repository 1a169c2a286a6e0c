"""The keys of [window]: how timers are computed, what idle series send."""

from __future__ import annotations

import math

import pytest

from relay import limits
from relay.config.loading import load
from relay.errors import ConfigError
from relay.model import Kind


def loaded(tmp_path, text: str):
    path = tmp_path / "relay.toml"
    path.write_text(f"[window]\n{text}\n")
    return load(path, {}).config.window


def test_plain_is_the_default():
    window = load(None, {}).config.window
    assert (window.percentile_style, window.idle, window.exact_samples()) == ("plain", "none", limits.QUANTILE_EXACT)
    assert window.idle_kinds() == frozenset()


def test_the_statsd_style(tmp_path):
    text = """
    percentile_style = "statsd"
    percentiles = [90, 99.5, -10, 100]
    timer_metrics = ["std", "upper_percent", "histogram"]
    histogram = [{ metric = "api", bins = [50, 50.5, "inf"] }, { bins = [-1, inf] }]
    """
    window = loaded(tmp_path, text)
    assert window.percentiles == [90, 99.5, -10, 100]
    assert window.exact_samples() == limits.QUANTILE_EXACT_STATSD
    assert [(one.metric, one.limits()) for one in window.histogram] == [
        ("api", [50, 50.5, math.inf]),
        ("", [-1, math.inf]),
    ]


def test_a_histogram_in_a_variable_is_json():
    environ = {
        "STATSD_RELAY_WINDOW_PERCENTILE_STYLE": "statsd",
        "STATSD_RELAY_WINDOW_HISTOGRAM": '[{"metric": "api", "bins": [5, "inf"]}]',
    }
    [one] = load(None, environ).config.window.histogram
    assert (one.metric, one.limits()) == ("api", [5, math.inf])


@pytest.mark.parametrize(
    ("idle", "kinds"),
    [
        ("zero", {Kind.COUNTER, Kind.TIMER, Kind.SET}),
        ("zero:counters", {Kind.COUNTER}),
        ("zero:timers, sets", {Kind.TIMER, Kind.SET}),
    ],
)
def test_idle_series(tmp_path, idle, kinds):
    assert loaded(tmp_path, f'idle = "{idle}"').idle_kinds() == kinds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("percentiles = [-10]", 'unless percentile_style is "statsd", not -10'),
        ("percentiles = [100]", "must lie between 0 and 100, not 100"),
        ('percentile_style = "statsd"\npercentiles = [90, 0]', "not be 0, not 0"),
        ('percentile_style = "statsd"\npercentiles = [-100.5]', "not -100.5"),
        ('timer_metrics = ["std"]', 'window.timer_metrics needs percentile_style = "statsd"'),
        ("histogram = [{ bins = [1] }]", 'window.histogram needs percentile_style = "statsd"'),
        ('percentile_style = "statsd"\nhistogram = [{ bins = [1] }, { bins = [2, 1] }]', "entry 2 must have bins"),
        ('percentile_style = "statsd"\nhistogram = [{ bins = [nan] }]', "entry 1 must have bins"),
        ('percentile_style = "statsd"\nhistogram = [{ bins = [1, "2"] }]', 'must have numbers or "inf"'),
        ('percentile_style = "statsd"\nhistogram = [{ metric = "x" }]', "bins"),
        ('percentile_style = "statsd"\ntimer_metrics = ["p95"]', '"upper_percent"'),
        ('idle = "zero:gauges"', "must be"),
        ('idle = "zero:"', "must be"),
        ('idle = "never"', "must be"),
    ],
)
def test_what_means_nothing_is_refused(tmp_path, text, message):
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, text)
    [problem] = raised.value.problems
    assert message in problem.message
    assert problem.line > 1
