"""The hot path in Python: reference for the native one and its fallback; one contract, one test suite.

A line seen before in this window costs two partitions, one dict lookup and one append. Its key (the bytes before the
colon, the bytes after the first bar) determines everything but its value. Only a line with a new key, or with a value
that is not a plain number, is parsed by line.py and handled by store.py. Keys are a cache (line_cache.py): they live
for one window at most and may be cleared at any time.

Invariants: I1 (one outcome per line), I2 (a sample is in one window), I6 (bounded memory), I7 (no clock, no log).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Unpack

from relay import limits
from relay.hotpath import partial
from relay.hotpath.line import BLANKS, Group, is_event, parse
from relay.hotpath.python.counts import Counts
from relay.hotpath.python.filter import Admission, Taps
from relay.hotpath.python.gauges import Base
from relay.hotpath.python.identities import PendingIdentity, TopSenders
from relay.hotpath.python.line_cache import Key, LineCache
from relay.hotpath.python.receive import Peername, receive
from relay.hotpath.python.senders import Rejects, SenderCounts, plain_host, rejected_line
from relay.hotpath.python.store import Store
from relay.hotpath.python.tee import Tee
from relay.hotpath.tap import TappedLine
from relay.model import (
    ClosedWindow,
    Identity,
    NoSeries,
    RejectedLine,
    Resolution,
    Row,
    Senders,
    Series,
    Tally,
    TopSender,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from relay.hotpath.contract import HotPathSettings
    from relay.hotpath.records import GaugeRecord, RollupRecord
    from relay.hotpath.tap import Of, TapCounts, TapFilter

_FOLD_SAMPLES: Final = 100_000
"""Pending values after which the longest lists are folded: 10 to 20 ms of work."""


class PythonHotPath:
    """State: the store, the cache of lines seen in this window, the counts."""

    name = "python"

    def __init__(self, **settings: Unpack[HotPathSettings]) -> None:
        self._counts = Counts()
        self._rejects = Rejects()
        self._store = Store(settings, counts=self._counts, rejects=self._rejects)
        self._line_cache = LineCache(self._store, limit=2 * settings["series_limit"])
        self._unfolded = 0
        self._now = 0.0
        self._listener = 0
        self._senders = SenderCounts()
        self._admission = Admission(self._deny)
        self._taps = Taps(settings["separators"])
        self._tee = Tee()
        self._top_senders = TopSenders()

    # --- receiving ----------------------------------------------------------------------------------------------------

    def feed(self, datagram: bytes, now: float, peer: Peername = None, listener: int = 0) -> None:
        """Process one datagram, or complete lines of a stream; tees get copies that consist of whole lines.

        Args:
            datagram: lines separated by line feeds; not kept.
            now: receive time, in seconds of the wall clock.
            peer: address of the sender, for `allow`, `rejects` and `senders`.
            listener: number of the socket, for `senders`.
        """
        self._tee.send_lines(self._feed(((datagram, peer),), now, listener))

    def reject(self, line: bytes, reason: str, now: float, peer: Peername = None, listener: int = 0) -> None:
        """Count a rejected line; listeners call it for one that is too long (with its beginning), or truncated."""
        self._now, self._listener = now, listener
        self._senders.touch(peer, listener, now).lines += 1
        self._reject_unparsed(line, reason, peer)

    def drain(self, fd: int, now: float, listener: int = 0) -> int:
        """Process datagrams from a socket's queue, at most `limits.DRAIN_DATAGRAMS`; the caller keeps the descriptor.

        Returns:
            Number of datagrams; 0: the queue is empty; fewer than the limit: it is empty, or the datagrams were long.
        """
        batch = receive(fd)
        self._tee.send(self._feed(batch, now, listener))
        return len(batch)

    def reader(self, fd: int, stop_fd: int, delay: float, listener: int = 0) -> None:
        """Return None: Python has no reader that works without the GIL, so the loop calls `drain`."""

    def tee(self, fds: Sequence[int]) -> None:
        """Replace the sockets to which received data is copied: see tee/tees.py."""
        self._tee.set(fds)

    def tee_counts(self) -> list[tuple[int, int]]:
        """Return datagrams (sent, dropped) by place, since the start, over all targets of the place."""
        return self._tee.counts()

    def _feed(
        self, batch: Sequence[tuple[bytes, Peername]], now: float, listener: int
    ) -> Sequence[tuple[bytes, Peername]]:
        """Process a batch of datagrams; return the admitted ones. This loop determines the cost of a line."""
        self._counts.datagrams += len(batch)
        self._now = self._line_cache.now = now
        self._listener, this, known, touch = listener, object(), self._senders.by_key, self._senders.touch
        append, numbers, add = self._line_cache.append, self._line_cache.numbers, self._line_cache.add
        plain, takes_all = 0, self._taps.takes_all
        batch = self._admission.admit(batch)
        for datagram, peer in batch:
            sender = known.get(peer[0] if peer else listener)
            if sender is None or sender.batch is not this:
                sender = touch(peer, listener, now, this)
            if len(datagram) > limits.DATAGRAM_BYTES:
                datagram = self._without_last_line(datagram, peer)  # noqa: PLW2901 - it was truncated
                sender.lines += 1
            lines = datagram.split(b"\n")
            if takes_all:
                self._offer_all(lines, peer)
            sender.packets += 1
            sender.lines += len(lines)
            plain += len(lines)
            for line in lines:
                head, _, rest = line.partition(b":")
                value, _, tail = rest.partition(b"|")
                try:
                    append[head, tail](numbers[value])
                except KeyError:
                    if not add((head, tail), value, now):
                        plain -= 1
                        sender.lines -= not self._feed_other(line, (head, tail), peer)
        self._count_plain(plain)
        return batch

    def _without_last_line(self, datagram: bytes, peer: Peername) -> bytes:
        """Return a truncated datagram without its last line, which is rejected; the other lines are whole."""
        rest, _, last = datagram.rpartition(b"\n")
        self._counts.truncated += 1
        self._reject_unparsed(last, "truncated", peer)
        return rest

    def _deny(self, lines: Sequence[bytes], peer: Peername) -> None:
        """Reject the lines of a datagram of a denied sender."""
        sender = self._senders.touch(peer, self._listener, self._now)
        sender.packets += 1
        sender.lines += len(lines)
        for line in lines:
            self._reject_unparsed(line, "source_denied", peer)

    def _reject(self, line: bytes, reason: str, peer: Peername) -> None:
        self._counts.received += 1
        found = rejected_line(line, reason, peer, self._now)
        self._rejects.add(found)
        self._senders.reject(found, self._listener)
        if self._taps.is_open:
            self._offer(line, "rejected", reason, peer)

    def _reject_unparsed(self, line: bytes, reason: str, peer: Peername) -> None:
        """Reject a line that is not parsed; the taps of all lines have not seen it."""
        if self._taps.is_open:
            self._offer(line, "all", reason, peer)
        self._reject(line, reason, peer)

    def _offer_all(self, lines: Iterable[bytes], peer: Peername) -> None:
        """Offer lines to the taps of all lines."""
        for line in (raw.rstrip(BLANKS) for raw in lines):
            if line:
                self._offer(line, "all", "", peer)

    def _offer(self, line: bytes, of: Of, reason: str, peer: Peername) -> None:
        host = plain_host(peer[0]) if peer else None
        self._taps.offer(TappedLine(line, self._now, host, self._listener, of, reason))

    def _count_plain(self, lines: int) -> None:
        """Count lines of one sample each that went to the open window."""
        counts = self._counts
        counts.received += lines
        counts.accepted += lines
        counts.samples += lines
        counts.open += lines
        self._unfolded += lines
        if self._unfolded >= _FOLD_SAMPLES:
            self._unfolded = 0
            self._store.open.fold_long(self._now)

    def _feed_other(self, line: bytes, key: Key, peer: Peername) -> bool:
        """Process a line with a new key, or with a value that is not a plain number; return False if it is blank."""
        if not line.rstrip(BLANKS):
            return False
        try:
            self._feed_new(line, key, peer)
        except Exception:  # noqa: BLE001 - a bug must not lose the other lines; it is counted
            self._reject(line.rstrip(BLANKS), "internal_error", peer)
        return True

    def _feed_new(self, line: bytes, key: Key, peer: Peername) -> None:
        """Parse a line and add its samples, or reject it."""
        if is_event(line):
            self._counts.received += 1
            self._counts.events += 1
            return
        parsed = parse(line)
        if isinstance(parsed, str):
            self._reject(line.rstrip(BLANKS), parsed, peer)
            return
        answers = [self._answer(parsed.name, group, peer) for group in parsed.groups]
        if reason := self._reason_to_reject(parsed.groups, answers):
            self._reject(line.rstrip(BLANKS), reason, peer)
            return
        reason, waits = self._add_groups(parsed.groups, answers)
        if self._taps.is_open and (reason or waits):
            self._offer(line.rstrip(BLANKS), "dropped" if reason else "undecided", reason, peer)
        if len(parsed.groups) == 1:
            self._line_cache.store(key, parsed.groups[0], answers[0], self._now)

    def _answer(self, name: bytes, group: Group, peer: Peername) -> Resolution | NoSeries | PendingIdentity:
        """Return the answer for a group's identity; its unread tags are counted once, when the identity is new."""
        identity, pending = Identity(name, group.kind, group.tags), len(self._store.pending)
        answer = self._store.answer(identity)
        is_new = len(self._store.pending) > pending
        self._counts.tags_unread += group.unread * is_new
        if is_new or not self._store.knows(identity):
            self._top_senders.add(peer, name, group.tags)
        return answer

    def _add_groups(
        self, groups: Sequence[Group], answers: Sequence[Resolution | NoSeries | PendingIdentity]
    ) -> tuple[str, bool]:
        """Add the groups of a line; return why samples were dropped (the last reason), and whether any group waits.

        A line with a single unresolved identity waits as a whole. A line with several identities is accepted at once,
        and only the samples of its unresolved identities wait.
        """
        self._counts.sections_ignored += sum(group.ignored for group in groups)
        first = answers[0]
        if isinstance(first, PendingIdentity) and all(answer is first for answer in answers):
            self._store.hold_line(groups, first, self._now)
            return "", True
        self._counts.received += 1
        self._counts.accepted += 1
        added = [self._store.add(group, answer, self._now) for group, answer in zip(groups, answers, strict=True)]
        reason = next((reason for reason in reversed(added) if reason), "")
        return reason, any(isinstance(answer, PendingIdentity) for answer in answers)

    def _reason_to_reject(self, groups: Iterable[Group], answers: Iterable[object]) -> str:
        """Return why a line must be rejected, or ""; checks every group before any sample is added (I1)."""
        for group, answer in zip(groups, answers, strict=True):
            if isinstance(answer, NoSeries) and answer.rejects:
                return answer.reason
            if isinstance(answer, Resolution) and self._store.has_deltas(group) and self._store.place(answer)[2]:
                return "series_limit"
        return ""

    # --- naming and windows: see store.py -----------------------------------------------------------------------------

    def open_window(self, start: int) -> None:
        """Set the id of the open window."""
        self._store.open.start = start

    def unresolved(self, limit: int) -> list[Identity]:
        """Return up to `limit` unnamed identities, those of the closing window first."""
        return self._store.unresolved(limit)

    def top_senders(self) -> list[TopSender]:
        """Return the senders of new identities since the last call, most work for naming first."""
        return self._top_senders.pop_all()

    def dropped_by_rule(self) -> dict[int, int]:
        """Return the samples that each rule below `limits.RULES_COUNTED` has dropped since the rules took effect."""
        return {rule: count for rule, count in self._counts.by_rule.items() if 0 < rule < limits.RULES_COUNTED}

    def resolve(self, answers: Sequence[tuple[Identity, Resolution | NoSeries]]) -> None:
        """Apply naming's answers."""
        self._store.resolve(answers)

    def close_window(self, next_start: int, *, folds: bool = False, renames: bool = False) -> None:
        """Replace the table of the open window with an empty one.

        Call `closed_window` for the old one before the next window is closed.

        Args:
            next_start: id of the window that opens.
            folds: the new window has only catch-all series, because too many windows wait to be stored.
            renames: clear the cache of identities, so that naming is asked again for every identity.
        """
        self._line_cache.clear()
        self._unfolded = 0
        self._store.close_window(next_start, self._now, folds=folds)
        if renames:
            self._store.identities.clear()
            self._counts.by_rule.clear()

    def abandon_names(self) -> bool:
        """Put some unnamed identities of the closing window into the catch-all series of their class.

        Returns:
            Whether the closing window is settled. Repeat the call until it returns True.
        """
        return self._store.abandon_names()

    def settled(self) -> bool:
        """Return whether the closing window has no unnamed identity."""
        return self._store.settled()

    def closed_window(self) -> ClosedWindow:
        """Return the closing window. Call it once, when the window is settled."""
        return self._store.closed_window()

    # --- partials: see partial.py -------------------------------------------------------------------------------------

    def export(self, *, changed: bool = False) -> Iterator[tuple[int, bytes]]:
        """Yield the open window as (window id, frame), without the identities that wait for their names.

        Lines may arrive and the window may close during iteration; an empty frame is only a point to pause at.

        Args:
            changed: yield only series that changed since their last export.
        """
        table = self._store.open
        return partial.export_cells(table.start, table.cells, changed=changed, now=self._now)

    def export_gauges(self) -> Iterator[bytes]:
        """Yield the gauges' bases as frames."""
        return partial.export_gauges(self._store.gauges.bases)

    def merge(self, exported: bytes) -> int:
        """Add the frames of `export` or `export_gauges`, also of an earlier process.

        Args:
            exported: frames, possibly damaged; every record is added.

        Returns:
            Number of damaged places, including records that no hot path can have written.
        """
        return partial.merge(exported, self._restore, self._restore_gauge)

    def recover(self, checkpoint: bytes) -> partial.PartialContents:
        """Add the newest record of each series of a checkpoint to the open window.

        Args:
            checkpoint: frames of `export`, written while one window was open; possibly damaged.
        """
        return partial.recover(checkpoint, self._restore)

    def _restore(self, record: RollupRecord) -> bool:
        self._store.restore(*partial.from_record(record))
        return True

    def _restore_gauge(self, record: GaugeRecord) -> bool:
        self._store.restore_gauge(record.series(), Base(record.value, record.updated, record.known_at()))
        return True

    # --- inspection and settings --------------------------------------------------------------------------------------

    def snapshot(self) -> Iterator[list[Row]]:
        """Yield the open window's rows in parts, oldest series first; a part shows its state when it is yielded."""
        return self._store.snapshot(self._now)

    def gauges(self) -> Iterator[list[tuple[Series, float]]]:
        """Yield every gauge with the base of its next delta, in parts."""
        return self._store.list_gauges()

    def list_series(self, first: int, count: int) -> list[Series]:
        """Return `count` series of the open window from index `first`, oldest first."""
        return self._store.list_series(first, count)

    def delete(self, series: Iterable[Series]) -> list[Series]:
        """Delete series with their samples (dropped as `forgotten`) and gauge bases; return those that existed."""
        self._store.fold(self._now)
        self._line_cache.clear()
        return self._store.delete(series)

    def configure(self, **settings: Unpack[HotPathSettings]) -> None:
        """Change the settings; entries beyond a lower limit stay until they expire."""
        self._store.fold(self._now)
        self._store.configure(settings)
        self._line_cache = LineCache(self._store, limit=2 * settings["series_limit"])

    def rejects(self) -> list[RejectedLine]:
        """Return the last 64 rejected lines, oldest first."""
        return self._rejects.latest()

    def senders(self) -> Senders:
        """Return packets, lines and rejected lines by sender, since the start."""
        return self._senders.all()

    def open_tap(self, wanted: TapFilter) -> int | None:
        """Begin to copy matching lines for `tapped`; return the number of the tap, None if there are too many.

        Raises:
            ValueError: a text is too long, or the sender is no network.
        """
        return self._taps.open(wanted, before=self._senders.lines, now=self._now)

    def close_tap(self, number: int) -> None:
        """End a tap; one that has ended already is ignored."""
        self._taps.close(number)

    def tapped(self, number: int) -> tuple[list[TappedLine], TapCounts]:
        """Return the lines of a tap since the last call, oldest first, and its counts since it began."""
        return self._taps.read(number, self._senders.lines)

    def overflows(self, identity: Identity) -> bool:
        """Return whether the newest line of an identity went to an overflow series; an unknown one had no room."""
        return self._store.overflows(identity)

    def allow(self, cidrs: Iterable[str]) -> None:
        """Accept lines from these networks only; from all senders if `cidrs` is empty."""
        self._admission.allow(cidrs)

    def admits(self, peer: Peername) -> bool:
        """Return whether a sender is allowed; None, a sender on a Unix socket, always is."""
        return self._admission.admits(peer)

    def tally(self) -> Tally:
        """Return every count at this moment."""
        return self._counts.tally(
            rejected=self._rejects.counts,
            series=len(self._store.open),
            aliases=len(self._store.identities),
            senders=len(self._senders),
            last_at=self._now,
        )
