"""Fixtures of every test: virtual time, and a log that stays quiet."""

from __future__ import annotations

import pytest

from tests.support.clock import VirtualClock


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()
