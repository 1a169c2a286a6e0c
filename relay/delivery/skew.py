"""How far this machine's clock is from the cloud's, by the Date of its answers. Pure."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ALARM: Final = 60.0
"""Seconds: points would fall into other minutes than they belong to; signatures fail at 15 minutes."""


def clock_skew(headers: Mapping[str, str], *, wall: float) -> float | None:
    """Return seconds that this machine is ahead of the cloud; within a second, as a Date has no fractions.

    Args:
        headers: keys in lower case.
        wall: of this machine, when the answer came.
    """
    try:
        return wall - parsedate_to_datetime(headers.get("date", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
