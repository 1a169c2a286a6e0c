"""The figures of `top`: what the API of the relay answers. The head comes each second, a table when it is due.

The relay keeps the result of a walk over its series for as long as 5 % of a core demand, so asking more often is
harmless; the age of the result is shown.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import msgspec

from relay.admin.answers.history import HistoryAnswer
from relay.admin.answers.rules import RulesAnswer
from relay.admin.answers.senders import SendersAnswer
from relay.admin.answers.series import NameAnswer, SeriesAnswer, TagsAnswer
from relay.admin.answers.windows import WindowsAnswer
from relay.cli.running.admin_client import WALK_TIMEOUT, ask, fetch
from relay.errors import RelayError
from relay.limits import POINTS_PER_REQUEST

if TYPE_CHECKING:
    from relay.cli.running.admin_client import Address
    from relay.cli.top.view import View

_SECONDS: Final = 300
"""Seconds of the line of lines a second."""
_ROWS: Final = 200
_OBJECT_ROWS: Final = 20
"""Metrics of a JSON object."""
_STATUS_BYTES: Final = 262_144
_MINUTE: Final = 60


class _Finding(msgspec.Struct):
    code: str


class _Status(msgspec.Struct):
    """The part of `GET /api/v1/status` that the head shows."""

    level: str
    findings: list[_Finding] = []


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One second."""

    at: float
    lines: float
    rejected: float
    drops: float
    waiting: float


class Figures:
    """State: the newest answers, and the moments of the last five minutes.

    Args:
        address: of the admin port.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self.moments: deque[Moment] = deque(maxlen=_SECONDS)
        self.level, self.code = "", ""
        self.points_limit = 0
        """Points of a minute that the quota lets through."""
        self.quota = 0.0
        """Share of the requests of a minute that the last window needed."""
        self.windows: WindowsAnswer | None = None
        self.series: SeriesAnswer | None = None
        self.tags: TagsAnswer | None = None
        self.senders: SendersAnswer | None = None
        self.rules: RulesAnswer | None = None
        self.name: NameAnswer | None = None
        self.answered_at = 0.0
        """Monotonic time of the last answer; 0: none so far."""
        self.trouble = ""
        """Why the relay does not answer; empty while it does."""

    def refresh(self, view: View) -> None:
        """Ask for the head, and for the table of the view.

        Raises:
            RelayError: no relay has ever answered.
        """
        try:
            self._refresh_head()
            self._refresh_table(view)
        except RelayError as error:
            self.trouble = error.problems[0].message
            if not self.answered_at:
                raise
            return
        self.answered_at, self.trouble = time.monotonic(), ""

    def _refresh_head(self) -> None:
        seconds = 5 if self.moments else _SECONDS
        history = fetch(self._address, f"/api/v1/history?seconds={seconds}", HistoryAnswer)
        self._add_moments(history)
        known = [value for value in history.requests_per_minute if value is not None]
        self.quota = known[-1] / history.requests_per_minute_limit if known else 0.0
        self.points_limit = history.requests_per_minute_limit * POINTS_PER_REQUEST
        self.windows = fetch(self._address, "/api/v1/windows/last", WindowsAnswer)
        status, body = ask(self._address, "/api/v1/status", most=_STATUS_BYTES)
        if status == 200:
            with suppress(msgspec.MsgspecError):
                found = msgspec.json.decode(body, type=_Status)
                self.level, self.code = found.level, found.findings[0].code if found.findings else ""

    def _add_moments(self, history: HistoryAnswer) -> None:
        begin = _seconds(history.start)
        last = self.moments[-1].at if self.moments else 0.0
        for number, offset in enumerate(history.at):
            if begin + offset > last + 0.5:
                self.moments.append(
                    Moment(
                        at=begin + offset,
                        lines=history.lines[number] or 0.0,
                        rejected=history.rejected[number] or 0.0,
                        drops=history.kernel_drops[number] or 0.0,
                        waiting=history.waiting[number] or 0.0,
                    )
                )

    def _refresh_table(self, view: View) -> None:
        address = self._address
        if view.opened:
            self.name = fetch(
                address, f"/api/v1/series/{quote(view.opened, safe='')}", NameAnswer, timeout=WALK_TIMEOUT
            )
        elif view.table == "tags":
            self.tags = fetch(address, f"/api/v1/tags?top={_ROWS}", TagsAnswer, timeout=WALK_TIMEOUT)
        elif view.table == "senders":
            self.senders = fetch(address, f"/api/v1/senders?top={_ROWS}", SendersAnswer)
        elif view.table == "rules":
            self.rules = fetch(address, "/api/v1/rules", RulesAnswer)
        elif view.table == "metrics":
            glob = f"*{view.filter}*" if view.filter else ""
            query = urlencode({"glob": glob, "by": view.server_order, "top": _ROWS})
            self.series = fetch(address, f"/api/v1/series?{query}", SeriesAnswer, timeout=WALK_TIMEOUT)

    @property
    def newest(self) -> Moment:
        """The newest second; zeros before the first."""
        return self.moments[-1] if self.moments else Moment(at=0.0, lines=0.0, rejected=0.0, drops=0.0, waiting=0.0)

    @property
    def last_minute(self) -> list[Moment]:
        """The moments of the last minute."""
        return [moment for moment in self.moments if moment.at > self.newest.at - _MINUTE]

    @property
    def rejected(self) -> int:
        """Lines rejected in the last minute."""
        return round(sum(moment.rejected for moment in self.last_minute))

    @property
    def drops(self) -> int:
        """Packets that the kernel dropped in the last minute."""
        return round(sum(moment.drops for moment in self.last_minute))

    def as_json(self) -> dict[str, Any]:
        """Return the head, and the metrics with the most samples."""
        newest = self.newest
        return {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "level": self.level,
            "code": self.code,
            "lines_per_second": newest.lines,
            "kernel_drops": self.drops,
            "rejected": self.rejected,
            "waiting": newest.waiting,
            "quota": round(self.quota, 3),
            "trouble": self.trouble,
            "metrics": msgspec.to_builtins(self.series.rows[:_OBJECT_ROWS]) if self.series else [],
        }


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
