"""The counters of the hot path.

A line is not counted while its identity waits for its name. A line with several identities is counted as accepted at
once; the samples of its waiting identities are counted when these are resolved.
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
    """Counters since the start, and two gauges: `open` and `closing`."""

    datagrams: int = 0
    truncated: int = 0
    received: int = 0
    accepted: int = 0
    events: int = 0
    samples: int = 0
    """Accepted samples."""
    open: int = 0
    """Samples in the open window."""
    closing: int = 0
    """Samples in the closing window, until `closed_window` hands it out."""
    late: int = 0
    overflow: int = 0
    unnamed: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    by_rule: Counter[int] = field(default_factory=Counter)
    """Samples that each rule has dropped since the rules took effect."""
    sections_ignored: int = 0
    tags_unread: int = 0

    def tally(self, *, rejected: Mapping[str, int], series: int, aliases: int, senders: int, last_at: float) -> Tally:
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
            senders=senders,
            last_at=last_at,
        )
