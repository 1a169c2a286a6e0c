"""Finds the points of a request that an answer lists as bad. Pure.

The service reports bad points in four known shapes. So keys are compared without regard to case, and the bad point may
be a JSON object or a text that contains one.

Invariant: an entry refuses a point only if it names a metric and agrees with exactly one point, in every key that both
have. An entry that agrees with no point, with several, or with one that is refused already, refuses none: its point is
unknown, and a wrong guess would count a stored point as refused.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from relay import limits
from relay.jdcloud.codec import decode, lower_keys, read_object, words_of
from relay.model import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

_LISTS: Final = ("errmetricdatalist", "metricdatalist")
_DETAIL_BYTES: Final = 500
_NAMED_BYTES: Final = 100
_ENTRIES: Final = 2 * limits.POINTS_PER_REQUEST
"""Most entries read of a list; further ones can only repeat points or name foreign ones."""


def listed_entries(answer: dict[str, Any]) -> Sequence[Any]:
    """Return the entries of the list of bad points; an empty sequence without such a list."""
    result = lower_keys(answer.get("result"))
    lists = (result.get(name) for name in _LISTS)
    return next((entries for entries in lists if isinstance(entries, list) and entries), ())


def blame(entries: Sequence[Any], body: bytes) -> tuple[tuple[Refusal, ...], tuple[str, ...]]:
    """Match the entries with the points of a request.

    Args:
        entries: entries of the list of bad points.
        body: body of the request.

    Returns:
        The refused points, and a description of each entry that refuses none.
    """
    points = [lower_keys(point) for point in decode(body)["metricDataList"]]
    refusals: dict[int, str] = {}
    unmatched: list[str] = []
    for entry in islice(entries, _ENTRIES):
        named = lower_keys(entry)
        described = _described(named)
        detail = words_of(named.get("errdetail"))[:_DETAIL_BYTES] or "no detail"
        found = [index for index, point in enumerate(points) if _agrees(described, point)]
        if len(found) == 1 and found[0] not in refusals:
            refusals[found[0]] = detail
        else:
            unmatched.append(f"{words_of(described.get('metric'))[:_NAMED_BYTES] or 'no metric'}: {detail}")
    unmatched += ["not read"] * (len(entries) - _ENTRIES)
    found_bad = tuple(Refusal(index=index, detail=detail) for index, detail in sorted(refusals.items()))
    return found_bad, tuple(unmatched)


def _described(entry: dict[str, Any]) -> dict[str, Any]:
    bad = entry.get("errmetricdata", entry.get("data"))
    return (read_object(bad.encode()) or {}) if isinstance(bad, str) else lower_keys(bad)


def _agrees(described: dict[str, Any], point: dict[str, Any]) -> bool:
    """Say whether an entry may mean a point: it names a metric, and every key and statistic that both have is equal."""
    if "metric" not in described:
        return False
    return all(
        _agrees_in_values(described[key], value) if key == "values" else described[key] == value
        for key, value in point.items()
        if key in described
    )


def _agrees_in_values(described: object, values: dict[str, Any]) -> bool:
    known = lower_keys(described)
    return all(known[name] == value for name, value in values.items() if name in known)
