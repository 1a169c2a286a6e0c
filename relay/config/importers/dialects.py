"""Which tags in names a daemon reads: of others it takes the signs for a part of the name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.config.types import to_toml

if TYPE_CHECKING:
    from relay.config.importers.draft import Draft


def set_dialects(draft: Draft, *inline: str) -> None:
    """Let the relay read tags as a daemon does: those behind `|#`, and these in names."""
    dialects = ["statsd", "dogstatsd", *inline]
    draft.set("listen.dialects", dialects)
    draft.say("ok", None, "tags in names", f"listen.dialects = {to_toml(dialects)}: those that {draft.daemon} reads")
