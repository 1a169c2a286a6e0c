"""Percentiles of timers, which every daemon has in its own way, as `[window] percentiles`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.config.types import to_toml

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relay.config.importers.draft import Draft
    from relay.config.importers.tree import Node


def set_percentiles(draft: Draft, values: Iterable[float], origin: Node | None) -> str:
    """Write them, whole ones without a point; return what they became, for the report."""
    written = [int(value) if value.is_integer() else value for value in values]
    draft.set("window.percentiles", written, origin)
    return f"window.percentiles = {to_toml(written)}"
