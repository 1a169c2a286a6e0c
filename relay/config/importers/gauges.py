"""What a sign before a gauge's number means to a daemon: a delta, or nothing beyond the number."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relay.config.importers.draft import Draft


def set_without_deltas(draft: Draft) -> None:
    """Take over from a daemon that has no deltas: with them, its clients' negative gauges would drift."""
    draft.set("listen.gauge_deltas", value=False)
    draft.say("ok", None, "gauges with a sign", "listen.gauge_deltas = false: -5 and +5 are values, as they were")
