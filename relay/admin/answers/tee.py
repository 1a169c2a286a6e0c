"""The body and the answer of `POST /api/v1/tee`."""

from __future__ import annotations

from typing import Annotated

import msgspec


class TeeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The target, and the seconds until the tee ends."""

    to: str
    """HOST:PORT of this machine."""
    seconds: Annotated[float, msgspec.Meta(ge=1, le=60)]


class TeeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What was copied since the tee began."""

    datagrams: int
    dropped: int
    """Datagrams not copied, since the target did not read fast enough."""
