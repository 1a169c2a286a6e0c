"""A batch in a sender's hands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relay.delivery.spool.order import WaitingBatch
    from relay.model import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A batch that is somebody's to send, until `done` or `put_back`."""

    batch: Batch
    entry: WaitingBatch
    live: bool
    """It belongs to the newest window that waits."""
    packed: bytes
    generation: int
    """Of the database it came from."""
