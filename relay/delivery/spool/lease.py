"""A batch that a sender holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relay.delivery.spool.order import WaitingBatch
    from relay.model import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A batch reserved for one sender, until `Spool.done` or `Spool.put_back`."""

    batch: Batch
    entry: WaitingBatch
    live: bool
    """Whether the batch belonged to the newest waiting window."""
    packed: bytes
    """The body as stored: zlib level 1."""
    generation: int
    """Number of the database that it came from; see `Writer.generation`."""
