"""The figures of box 2, read from the stages in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from relay.admin.history import Row, read_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.admin.history import History
    from relay.admin.protocols import Relay
    from relay.ledger import WindowRecord

_RATE_SECONDS: Final = 10.0
_SPREAD_SECONDS: Final = 15.0
"""Within which the points of a window are sent: a window that still waits is not news until then."""


class Flow(NamedTuple):
    """Where data flows, and where it is lost."""

    senders: int | None
    """That sent lately; None: not counted."""
    packets: float
    """A second."""
    lines: float
    """A second."""
    now: Row
    series_limit: int
    requests_limit: int
    """A minute."""
    hour: Row
    """The first row of the last hour: what was lost since is the difference."""
    window: WindowRecord | None
    """The newest one of which the points had time to arrive."""
    spool_bytes: int
    spool_limit: int
    """0: in memory only."""
    dead_letters: int
    imbalance: int


def read_flow(relay: Relay, history: History, *, senders: int | None) -> Flow:
    """Read the figures; `senders` is that of the status."""
    now = read_row(relay)
    rows = history.rows() or [now]
    before = history.rows(_RATE_SECONDS)[:1] or [now]
    seconds = max(now.wall - before[0].wall, 1.0)
    return Flow(
        senders=senders,
        packets=(now.packets - before[0].packets) / seconds,
        lines=(now.lines - before[0].lines) / seconds,
        now=now,
        series_limit=relay.config.limits.series,
        requests_limit=relay.config.cloud.requests_per_minute,
        hour=rows[0],
        window=settled_window(list(relay.context.ledger.windows), now.wall),
        spool_bytes=relay.spool.bytes,
        spool_limit=relay.spool.limit_bytes,
        dead_letters=relay.context.ledger.dead_letters,
        imbalance=relay.status.books().imbalance(),
    )


def settled_window(windows: Sequence[WindowRecord], wall: float) -> WindowRecord | None:
    """Return the newest window whose points are settled, or that was stored 15 s ago; None without such a window.

    Args:
        windows: oldest first.
        wall: time of now.
    """
    settled = (one for one in reversed(windows) if not one.waiting or wall - one.stored_at > _SPREAD_SECONDS)
    return next(settled, None)
