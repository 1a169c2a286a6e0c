"""`GET /api/v1/windows/last`: the newest closed windows in numbers, and what became of their points."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from relay.admin.answers.windows import ClosedWindow, WindowsAnswer
from relay.admin.http.endpoint import Access, Endpoint
from relay.ledger import WINDOWS_MAX
from relay.wording import as_time

if TYPE_CHECKING:
    from aiohttp import web

    from relay.ledger import Ledger, WindowRecord


class LastParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query."""

    count: Annotated[int, msgspec.Meta(ge=1, le=WINDOWS_MAX, description="Windows to show.")] = 15


def last_window_endpoints(ledger: Ledger) -> list[Endpoint[Any]]:
    """Return `GET /api/v1/windows/last`."""

    async def show(_: web.Request, parameters: LastParameters) -> WindowsAnswer:
        return last_windows(ledger, parameters.count)

    return [
        Endpoint(
            path="/api/v1/windows/last",
            summary="The newest closed windows in numbers, and what became of their points.",
            handle=show,
            parameters=LastParameters,
            answer=WindowsAnswer,
            access=Access.OPEN,
        )
    ]


def last_windows(ledger: Ledger, count: int) -> WindowsAnswer:
    """Return the answer."""
    newest = islice(reversed(list(ledger.windows)), count)
    return WindowsAnswer(windows=[_closed(window) for window in newest], kept=len(ledger.windows))


def _closed(window: WindowRecord) -> ClosedWindow:
    end = window.start + window.seconds
    return ClosedWindow(
        start=as_time(window.start),
        seconds=window.seconds,
        lines=window.lines,
        rejected=dict(window.rejected),
        kernel_drops=window.kernel_drops,
        samples=window.samples,
        samples_dropped=dict(window.samples_dropped),
        series=window.series,
        points=window.points,
        requests=window.requests,
        delivered=window.delivered,
        waiting=window.waiting,
        refused=window.refused,
        dropped=dict(window.dropped),
        late=round(window.late, 3),
        lag=round(window.first_answer_at - end, 3) if window.first_answer_at else None,
    )
