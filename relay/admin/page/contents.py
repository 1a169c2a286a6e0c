"""The boxes of the page in their order, made one after another from the answers of the API.

Between two boxes other tasks run: each box takes some milliseconds, and the event loop must not be held for their sum.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.admin.http.api.config import read_config
from relay.admin.http.api.explain import explain_line
from relay.admin.http.api.history import columns
from relay.admin.http.api.rules import table as rule_table
from relay.admin.http.api.windows_last import last_windows
from relay.admin.http.endpoint import ApiError
from relay.admin.page.access import access_box
from relay.admin.page.boxes.about import about_box
from relay.admin.page.boxes.charts import charts_box
from relay.admin.page.boxes.config import config_box
from relay.admin.page.boxes.dead_letters import dead_letters_box
from relay.admin.page.boxes.find import find_box
from relay.admin.page.boxes.flow import flow_box
from relay.admin.page.boxes.rules import rules_box
from relay.admin.page.boxes.senders import senders_box
from relay.admin.page.boxes.series import series_box
from relay.admin.page.boxes.tap import tap_box
from relay.admin.page.boxes.windows import windows_box
from relay.admin.page.figures import read_flow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from relay.admin.dead_letters import DeadLetters
    from relay.admin.history import History
    from relay.admin.page.html import Html
    from relay.admin.protocols import Relay
    from relay.admin.senders import SenderTable

_WINDOWS: Final = 15
_METRICS: Final = 10
_SENDERS: Final = 10


class Box(NamedTuple):
    """A box: its anchor, the title in the navigation, and its HTML."""

    name: str
    title: str
    html: Html


class Asked(NamedTuple):
    """What a client asked for, and what it may see and do."""

    metric: str
    line: str
    has_access: bool
    may_change: bool
    senders: int | None
    """Senders that are active, by the status."""


class Contents:
    """State: none; everything is read from the relay."""

    def __init__(self, relay: Relay, *, history: History, letters: DeadLetters | None, senders: SenderTable) -> None:
        self._relay = relay
        self._senders = senders
        self._history = history
        self._letters = letters

    async def boxes(self, asked: Asked) -> list[Box]:
        """Return the boxes after the verdict."""
        makers = self._for_readers() if asked.has_access else self._for_all()
        boxes = []
        for name, title, make in makers:
            boxes.append(Box(name, title, await make(asked)))
            await asyncio.sleep(0)
        return boxes

    def _for_all(self) -> list[tuple[str, str, Callable[[Asked], Awaitable[Html]]]]:
        return [
            ("flow", "Flow", self._flow),
            ("windows", "Windows", self._windows),
            ("hour", "Last hour", self._hour),
            ("access", "Access", self._access),
        ]

    def _for_readers(self) -> list[tuple[str, str, Callable[[Asked], Awaitable[Html]]]]:
        flow, windows, hour, _ = self._for_all()
        return [
            flow,
            ("find", "Find", self._find),
            windows,
            hour,
            ("series", "Series", self._series),
            ("senders", "Senders", self._sender_table),
            ("rules", "Rules", self._rules),
            ("dead-letters", "Dead letters", self._dead_letters),
            ("tap", "Tap", self._tap),
            ("config", "Configuration", self._config),
            ("about", "About", self._about),
        ]

    async def _flow(self, asked: Asked) -> Html:
        return flow_box(read_flow(self._relay, self._history, senders=asked.senders), has_access=asked.has_access)

    async def _windows(self, _: Asked) -> Html:
        return windows_box(last_windows(self._relay.context.ledger, _WINDOWS))

    async def _hour(self, _: Asked) -> Html:
        return charts_box(columns(self._relay, self._history.rows()))

    async def _access(self, _: Asked) -> Html:
        return access_box()

    async def _find(self, asked: Asked) -> Html:
        known = await self._relay.cardinality.describe(asked.metric) if asked.metric else None
        traced, trouble = None, ""
        try:
            traced = await explain_line(self._relay, asked.line) if asked.line else None
        except ApiError as error:
            trouble = str(error)
        return find_box(metric=asked.metric, line=asked.line, known=known, traced=traced, trouble=trouble)

    async def _series(self, _: Asked) -> Html:
        return series_box(await self._relay.cardinality.table(glob="", by="series", top=_METRICS))

    async def _sender_table(self, _: Asked) -> Html:
        return senders_box(self._senders.answer(top=_SENDERS, by="lines"))

    async def _rules(self, _: Asked) -> Html:
        relay = self._relay
        return rules_box(rule_table(relay.config.rule, relay.namer, relay.cardinality.rules()))

    async def _dead_letters(self, asked: Asked) -> Html:
        try:
            found = await self._letters.summary() if self._letters else None
        except OSError:
            found = None
        return dead_letters_box(found, may_change=asked.may_change)

    async def _tap(self, _: Asked) -> Html:
        return tap_box()

    async def _config(self, _: Asked) -> Html:
        is_in_force = self._relay.status.is_last_reload_successful
        return config_box(await read_config(self._relay), is_file_in_force=is_in_force)

    async def _about(self, _: Asked) -> Html:
        return about_box(self._relay)
