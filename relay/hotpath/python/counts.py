"""What the hot path counts.

A line whose identity waits for its name is in no figure until it is resolved. A line of several identities is accepted
at once; the samples of those that wait are in no figure until then.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relay.model import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class Counts:
    """Counters since the start, and two stocks (`open`, `closing`)."""

    datagrams: int = 0
    truncated: int = 0
    received: int = 0
    accepted: int = 0
    events: int = 0
    samples: int = 0
    """Accepted."""
    open: int = 0
    """Of them in the open window."""
    closing: int = 0
    """Of them in the window that is being closed, until it is handed out."""
    late: int = 0
    overflow: int = 0
    unnamed: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    sections_ignored: int = 0
    tags_unread: int = 0

    def tally(self, *, rejected: Mapping[str, int], series: int, aliases: int, last_at: float) -> Tally:
        """Return every count at this moment."""
        return Tally(
            datagrams=self.datagrams,
            truncated_datagrams=self.truncated,
            received=self.received,
            accepted=self.accepted,
            events=self.events,
            rejected=dict(rejected),
            samples_accepted=self.samples,
            samples_open=self.open + self.closing,
            samples_dropped={reason: samples for reason, samples in self.dropped.items() if samples},
            samples_late=self.late,
            samples_overflow=self.overflow,
            samples_unnamed=self.unnamed,
            sections_ignored=self.sections_ignored,
            tags_unread=self.tags_unread,
            series=series,
            aliases=aliases,
            last_at=last_at,
        )
