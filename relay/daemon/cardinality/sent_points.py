"""The newest points of a metric as they were sent, out of the history of requests."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from relay.admin.answers.series import SentPoint
from relay.clock import paced
from relay.delivery.request_history import read_points
from relay.wording import as_time

if TYPE_CHECKING:
    from collections.abc import Collection

    from relay.clock import Clock
    from relay.delivery.request_history import RequestHistory, SentRequest

POINTS_MOST: Final = 15
"""Points of a series."""
_SERIES_MOST: Final = 1000
"""Series of which points are kept while the history is read."""


class PointKey(NamedTuple):
    """What the cloud knows a series by."""

    metric: str
    namespace: str
    dimensions: tuple[tuple[str, str], ...]


async def find_points(
    history: RequestHistory, metrics: Collection[str], clock: Clock
) -> dict[PointKey, list[SentPoint]]:
    """Return the newest points of metrics by series, newest first; paced.

    A request that does not contain the name of a metric is only inflated and searched: 900 take about 10 ms.
    """
    needles = [b'"metric":%b' % msgspec.json.encode(metric) for metric in metrics]
    found: dict[PointKey, list[SentPoint]] = {}
    async for request in paced(clock, history):
        body = zlib.decompress(request.body)
        if any(needle in body for needle in needles):
            _add_points(found, request, body, metrics)
    for points in found.values():
        points.sort(key=lambda point: point.window, reverse=True)
        del points[POINTS_MOST:]
    return found


def _add_points(
    found: dict[PointKey, list[SentPoint]], request: SentRequest, body: bytes, metrics: Collection[str]
) -> None:
    for index, point in enumerate(read_points(body)):
        if point.metric not in metrics:
            continue
        key = PointKey(point.metric, point.namespace, tuple(sorted(point.dimensions.items())))
        if key in found or len(found) < _SERIES_MOST:
            points = found.setdefault(key, [])
            if len(points) < 2 * POINTS_MOST:
                points.append(_sent(request, index, point.values))


def _sent(request: SentRequest, index: int, values: dict[str, float]) -> SentPoint:
    refused = request.refused.get(index)
    return SentPoint(
        window=as_time(request.window),
        values=values,
        outcome=request.outcome if refused is None else "refused",
        at=as_time(request.at),
        request_id=request.request_id,
        detail=request.detail if refused is None else refused,
    )
