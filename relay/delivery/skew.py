"""How far this machine's clock is from the cloud's, by the Date of its answers. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.clock import read_http_date

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
    date = read_http_date(headers.get("date", ""))
    return None if date is None else wall - date
