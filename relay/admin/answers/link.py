"""The answer of `POST /api/v1/links`."""

from __future__ import annotations

import msgspec


class LinkAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A link that opens the page with full access."""

    url: str
    """Good once; its host is that of the request."""
    seconds: int
    """Until it expires."""
