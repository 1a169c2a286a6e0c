"""`GET /api/v1/history`: the last hour as columns, for charts. Numbers only."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from relay.admin.answers.history import HistoryAnswer
from relay.admin.history import COARSE_SECONDS
from relay.admin.http.endpoint import Access, Endpoint
from relay.wording import as_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiohttp import web

    from relay.admin.history import History, Row
    from relay.admin.protocols import Relay


class HistoryParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query."""

    seconds: Annotated[int, msgspec.Meta(ge=1, le=COARSE_SECONDS, description="Length of the time.")] = COARSE_SECONDS


def history_endpoints(relay: Relay, history: History) -> list[Endpoint[Any]]:
    """Return `GET /api/v1/history`."""

    async def show(_: web.Request, parameters: HistoryParameters) -> HistoryAnswer:
        return columns(relay, history.rows(parameters.seconds))

    return [
        Endpoint(
            path="/api/v1/history",
            summary="The last hour in numbers: every tenth second, and every second of the last five minutes.",
            handle=show,
            parameters=HistoryParameters,
            answer=HistoryAnswer,
            access=Access.OPEN,
        )
    ]


def columns(relay: Relay, rows: Sequence[Row]) -> HistoryAnswer:
    """Return rates and gauges of the rows; the first row only begins the first rate."""
    start = rows[0].wall if rows else relay.context.clock.wall()

    def rates(counter: Callable[[Row], int]) -> list[float | None]:
        return [_rate(counter, before, after) for before, after in pairwise(rows)]

    def gauges(gauge: Callable[[Row], float | None]) -> list[float | None]:
        return [gauge(row) for row in rows[1:]]

    return HistoryAnswer(
        start=as_time(start),
        at=[round(row.wall - start, 1) for row in rows[1:]],
        packets=rates(lambda row: row.packets),
        lines=rates(lambda row: row.lines),
        rejected=rates(lambda row: row.rejected),
        kernel_drops=rates(lambda row: row.kernel_drops),
        overflow=rates(lambda row: row.overflow),
        rule=rates(lambda row: row.intended),
        lost_samples=rates(lambda row: row.lost_samples),
        lost_points=rates(lambda row: row.lost_points + row.refused_points),
        series=gauges(lambda row: row.series),
        series_limit=relay.config.limits.series,
        requests_per_minute=gauges(lambda row: row.requests_per_minute),
        requests_per_minute_limit=relay.config.cloud.requests_per_minute,
        lag=gauges(lambda row: round(row.lag, 1)),
        waiting=gauges(lambda row: row.waiting),
    )


def _rate(counter: Callable[[Row], int], before: Row, after: Row) -> float | None:
    """Return the growth a second; None where the wall clock was stepped back."""
    seconds = after.wall - before.wall
    return round((counter(after) - counter(before)) / seconds, 1) if seconds > 0 else None
