"""When to try again. Pure: randomness is an argument."""

from __future__ import annotations

from typing import Final

BASE: Final = 0.5
"""Seconds."""
CAP: Final = 60.0
"""Seconds; there is no limit on elapsed time, only on age and bytes of what waits."""
PERSON_MIN: Final = 30.0
PERSON_SPAN: Final = 30.0


def backoff(failures: int, dice: float) -> float:
    """Return seconds to wait after the n-th failure in a row: full jitter over an exponential.

    Args:
        failures: 1 after the first one.
        dice: uniform, 0..1.
    """
    return dice * min(CAP, BASE * 2.0 ** min(failures, 16))


def wait_for_person(dice: float) -> float:
    """Return seconds to wait when only a person can help: 30 to 60, so that nothing spins."""
    return PERSON_MIN + PERSON_SPAN * dice
