"""The tests themselves: they hold on a busy machine, and what they wrap exists."""

from __future__ import annotations

from importlib import import_module
from operator import attrgetter

import pytest
from hypothesis import HealthCheck, settings

from tests.support.inject.inject_points import POINTS


def test_a_property_may_take_any_time():
    assert settings().deadline is None
    assert HealthCheck.too_slow in settings().suppress_health_check


@pytest.mark.parametrize("point", [point for point in POINTS.values() if ":" in point.target.replace("sql:", "")])
def test_what_a_fault_is_injected_into_exists(point):
    module, _, function = point.target.partition(":")
    assert callable(attrgetter(function)(import_module(module)))
