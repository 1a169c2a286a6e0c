"""The windows of the hot path: finds the cell of a sample, applies naming's answers, swaps the tables.

At most two tables receive samples: the open one, and the closing one while naming still answers its identities. Gauges
outlive both: a gauge's value is the base of its deltas, and an idle gauge repeats it.

Invariants: a sample is in exactly one window (I2), and every sample is counted once (I5). Does not know: the grammar,
sockets, rules.
"""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from relay import limits
from relay.hotpath import partial
from relay.hotpath.contract import delta_signs, identity_limits, pending_limits, table_limits
from relay.hotpath.python.gauges import Gauges
from relay.hotpath.python.identities import IdentityCache, PendingIdentities, PendingIdentity, gauge_values
from relay.hotpath.python.table import Rows, Table
from relay.model import ClosedWindow, Identity, Kind, NoSeries, Resolution, Row, Series

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from relay.hotpath.contract import HotPathSettings
    from relay.hotpath.line import Group
    from relay.hotpath.python.cell import Cell
    from relay.hotpath.python.counts import Counts
    from relay.hotpath.python.gauges import Base
    from relay.hotpath.python.senders import Rejects


_SWEPT: Final = 1_000
"""Cached answers checked in each sweep; the closer causes ten sweeps a second."""
_ABANDONED: Final = 1_000
"""Names abandoned in one step: 5 ms."""
_NOWHERE: Final = ""
"""Metric of the answer for an identity that found no room in the queue for naming; its overflow is the catch-all."""


class Store:
    """State: the open and the closing table with their pending identities, the gauges' bases, naming's answers."""

    def __init__(self, settings: HotPathSettings, *, counts: Counts, rejects: Rejects) -> None:
        self._settings = settings
        self.signs = delta_signs(settings)
        """Signs that make a gauge's number a delta."""
        self._counts = counts
        self._rejects = rejects
        self.gauges = Gauges()
        self._ended: WeakSet[Table] = WeakSet()
        """Tables of earlier windows that are still in use; they share the memory of the open one."""
        self.identities = IdentityCache(**identity_limits(settings))
        self.open = self._new_table(0)
        self.pending = self._new_pending()
        self.closing_pending = self._new_pending()
        self._closing: Table | None = None
        self._closed_at = 0.0
        self._idle: list[tuple[Series, float]] = []

    def _new_table(self, start: int, known: Collection[Series] = ()) -> Table:
        limits = table_limits(self._settings)
        return Table(start, self.gauges.bases, bytes_of_others=self._bytes_ended, known=known, **limits)

    def _bytes_ended(self) -> int:
        return sum([table.bytes for table in self._ended])

    def configure(self, settings: HotPathSettings) -> None:
        """Change the settings; entries beyond a lower limit stay until they expire."""
        self._settings = settings
        self.signs = delta_signs(settings)
        self.identities.set_limits(**identity_limits(settings))
        self.pending.set_limits(**pending_limits(settings))
        self.open.set_limits(**table_limits(settings))

    def _new_pending(self) -> PendingIdentities:
        return PendingIdentities(**pending_limits(self._settings))

    # --- adding samples -----------------------------------------------------------------------------------------------

    def answer(self, identity: Identity) -> Resolution | NoSeries | PendingIdentity:
        """Return the answer for an identity. A new identity waits for naming, or overflows if the queue is full."""
        answer = self.identities.find(identity, self.open.start) or self.pending.find_or_add(identity)
        return answer or self.identities.overflow(identity) or self._stand_in(identity)

    def knows(self, identity: Identity) -> bool:
        """Return whether an identity has an answer, or waits for one."""
        return identity in self.identities or identity in self.pending

    def overflows(self, identity: Identity) -> bool:
        """Return whether the series of an identity has no place in the open window; an unknown one had no room."""
        if identity in self.pending:
            return False
        answer = self.identities.find(identity, self.open.start)
        if not isinstance(answer, Resolution):
            return answer is None
        others = answer.overflow, self._settings["catch_all"](identity.kind)
        return answer.series not in self.open.cells and any(series in self.open.cells for series in others)

    def _stand_in(self, identity: Identity) -> Resolution | NoSeries | PendingIdentity:
        wanted = self.identities.stand_in(identity)
        answer = self.identities.find(wanted, self.open.start) or (
            self.pending.find_or_add(wanted) if wanted.name else None
        )
        return answer or self._nowhere(identity.kind)

    def place(self, answer: Resolution) -> tuple[Series, Cell, bool]:
        """Return the open window's series for an answer, its cell, and whether it is an overflow series."""
        return self._place(answer, self.open)

    def _place(self, answer: Resolution, table: Table) -> tuple[Series, Cell, bool]:
        if answer.series.metric == _NOWHERE:
            return answer.overflow, table.make(answer.overflow), True
        series, cell, overflows = table.place(answer, self._settings["catch_all"])
        return series, cell, overflows or answer.series is answer.overflow

    def _nowhere(self, kind: Kind) -> Resolution:
        return Resolution(Series(_NOWHERE, (), kind), self._settings["catch_all"](kind))

    def add(self, group: Group, answer: Resolution | NoSeries | PendingIdentity, now: float) -> str:
        """Add the samples of a group to its series, or let them wait for the name; the line is accepted already.

        Returns:
            The reason why the samples were dropped; "" if they were not.
        """
        count = len(group.values)
        if isinstance(answer, PendingIdentity):
            has_deltas = self.has_deltas(group)
            self._hold(group, answer, now, has_deltas=has_deltas)
            answer.shared += count
            if answer.overflow is not None and not has_deltas:
                answer.overflow.shared += count
            return ""
        self._counts.samples += count
        if isinstance(answer, NoSeries):
            self._counts.dropped[answer.reason] += count
            self._counts.by_rule[answer.rule] += count
            return answer.reason
        timing = self._check_timestamp(group, self._known_at(answer, self.open), now)
        if timing and timing != "late":
            self._counts.dropped[timing] += count
            return timing
        self._add_resolved(group, answer, now)
        self._counts.late += count if timing else 0
        return ""

    def _add_resolved(self, group: Group, answer: Resolution, now: float) -> None:
        series, cell, overflows = self.place(answer)
        self._counts.open += len(group.values)
        self._count_overflow(series, len(group.values) if overflows else 0)
        cell.fold(now)
        if group.kind is Kind.GAUGE:
            values = gauge_values(group.values, self.gauges.base(series, cell), self.signs)
            cell.add(values, 1.0, now, _time_of(group, now))
            self.gauges.record(series, cell, self.open.start)
        else:
            _add_values(cell, group, now)

    def _count_overflow(self, series: Series, samples: int) -> None:
        self._counts.overflow += samples
        if samples and series == self._settings["catch_all"](series.kind):
            self._counts.unnamed += samples

    def has_deltas(self, group: Group) -> bool:
        """Return whether a group has gauge deltas, which an overflow series rejects."""
        return group.kind is Kind.GAUGE and any(value[0] in self.signs for value in group.values)

    def hold_line(self, groups: Sequence[Group], pending: PendingIdentity, now: float) -> None:
        """Let a line wait for its name; all its groups have the same identity."""
        has_deltas = any(map(self.has_deltas, groups))
        for group in groups:
            self._hold(group, pending, now, has_deltas=has_deltas)
        pending.lines += 1
        if pending.overflow is not None:
            pending.overflow.lines += not has_deltas

    def _hold(self, group: Group, pending: PendingIdentity, now: float, *, has_deltas: bool) -> None:
        """Let the samples of a group wait; those with deltas are left out of what an overflow series would get."""
        timing = self._check_timestamp(group, pending.at, now)
        if has_deltas or timing == "late_gauge":
            pending.split_overflow()
        self._hold_as(timing, group, pending, now)
        if pending.overflow is not None and not has_deltas:
            self._hold_as(self._check_timestamp(group, -math.inf, now), group, pending.overflow, now)

    def _hold_as(self, timing: str, group: Group, pending: PendingIdentity, now: float) -> None:
        count = len(group.values)
        if timing and timing != "late":
            pending.dropped[timing] += count
            return
        pending.late += count if timing else 0
        if group.kind is Kind.GAUGE:
            pending.untimed |= group.timestamp is None
            pending.add_gauge(group.values, _time_of(group, now), now, self.signs)
        else:
            _add_values(pending.cell, group, now)

    def _check_timestamp(self, group: Group, known_at: float, now: float) -> str:
        """Return "" or "late" (the samples are kept), or the reason why they are dropped.

        Args:
            group: the samples.
            known_at: time of the gauge's newest value.
            now: receive time.
        """
        timestamp, start = group.timestamp, self.open.start
        if timestamp is None:
            return ""
        is_inside = start <= timestamp < start + self._settings["window_seconds"]
        if not is_inside and timestamp < now - self._settings["max_age"]:
            return "too_old"
        if not is_inside and timestamp > now + limits.TIMESTAMP_AHEAD:
            return "too_far_ahead"
        if group.kind is Kind.GAUGE and _is_older(timestamp, known_at):
            return "late_gauge"
        return "" if is_inside else "late"

    # --- answers of naming --------------------------------------------------------------------------------------------

    def unresolved(self, limit: int) -> list[Identity]:
        """Return up to `limit` identities without an answer; those of the closing window first, since it waits."""
        self.identities.sweep(self.open.start - self._settings["window_seconds"], _SWEPT)
        source = self.closing_pending or self.pending
        return [identity for identity, _ in zip(source, range(limit), strict=False)]

    def resolve(self, answers: Sequence[tuple[Identity, Resolution | NoSeries]]) -> None:
        """Apply naming's answers: waiting samples join their series, or are rejected or dropped."""
        for identity, answer in answers:
            self.identities.store(identity, answer, self.open.start)
            if self._closing is not None:
                self._settle(self.closing_pending.pop(identity), answer, self._closing)
            self._settle(self.pending.pop(identity), answer, self.open)

    def _settle(self, pending: PendingIdentity | None, answer: Resolution | NoSeries, table: Table) -> None:
        if pending is None:
            return
        self._counts.received += pending.lines
        if isinstance(answer, NoSeries):
            self._drop_or_reject(pending, answer)
        elif self._is_outdated(pending, answer, table):
            self._accept(pending)
            self._drop("late_gauge", pending.samples)
        elif pending.samples or pending.overflow is not None:
            self._merge_into_series(pending, answer, table)
        else:
            self._accept(pending)

    def _drop_or_reject(self, pending: PendingIdentity, no_series: NoSeries) -> None:
        """Reject the waiting lines or drop their samples; samples of accepted lines are always dropped."""
        if no_series.rejects:
            self._rejects.count(no_series.reason, pending.lines)
            self._drop(no_series.reason, pending.shared)
        else:
            samples = pending.samples + pending.dropped.total()
            self._counts.accepted += pending.lines
            self._counts.by_rule[no_series.rule] += samples
            self._drop(no_series.reason, samples)

    def _accept(self, pending: PendingIdentity) -> None:
        """Accept the waiting lines, and count the samples dropped for their timestamps."""
        self._counts.accepted += pending.lines
        for reason, samples in pending.dropped.items():
            self._drop(reason, samples)

    def _drop(self, reason: str, samples: int) -> None:
        """Count samples as accepted and dropped."""
        self._counts.samples += samples
        self._counts.dropped[reason] += samples

    def _merge_into_series(self, pending: PendingIdentity, answer: Resolution, table: Table) -> None:
        series, cell, overflows = self._place(answer, table)
        if overflows and pending.overflow is not None:
            pending = self._reject_deltas(pending, pending.overflow)
        self._accept(pending)
        if pending.samples:
            self._merge_pending(pending, (series, cell, overflows), table)

    def _reject_deltas(self, pending: PendingIdentity, left: PendingIdentity) -> PendingIdentity:
        """Reject the waiting lines with deltas, because their gauge has no series of its own; return the rest.

        Deltas in lines that have other identities are dropped: these lines are accepted already.
        """
        self._rejects.count("series_limit", pending.lines - left.lines)
        self._drop("series_limit", pending.shared - left.shared)
        return left

    def _merge_pending(self, pending: PendingIdentity, place: tuple[Series, Cell, bool], table: Table) -> None:
        counts, (series, cell, overflows) = self._counts, place
        counts.late += pending.late
        counts.samples += pending.samples
        self._count_overflow(series, pending.samples if overflows else 0)
        if table is self.open:
            counts.open += pending.samples
        else:
            counts.closing += pending.samples
        cell.fold(pending.cell.last_at)
        if series.kind is Kind.GAUGE:
            self._merge_gauge(pending, series, cell, table)
        else:
            cell.merge(pending.cell)

    def _is_outdated(self, pending: PendingIdentity, answer: Resolution, table: Table) -> bool:
        """Return whether all waiting values of a gauge have timestamps, and a newer value is known by now."""
        if answer.series.kind is not Kind.GAUGE or pending.untimed or not pending.samples:
            return False
        return _is_older(pending.at, self._known_at(answer, table))

    def _known_at(self, answer: Resolution, table: Table) -> float:
        """Return the time of a gauge's newest value; -inf for an overflow series, which mixes many gauges."""
        if answer.series is answer.overflow:
            return -math.inf
        return self.gauges.known_at(answer.series, table.cells.get(answer.series))

    def _merge_gauge(self, pending: PendingIdentity, series: Series, cell: Cell, table: Table) -> None:
        cell.merge_gauge(pending.rebase(self.gauges.base(series, cell)))
        if cell.samples:
            if series not in self.gauges.bases and table is not self.open:
                self.open.count_idle(series)
            self.gauges.record_late(series, cell, table.start)

    # --- windows ------------------------------------------------------------------------------------------------------

    def fold(self, now: float) -> None:
        """Fold every cell of the open window."""
        self.open.fold(now)
        self.gauges.update(self.open)

    def close_window(self, next_start: int, now: float, *, folds: bool) -> None:
        """Replace the table of the open window; the old one still receives naming's answers. Its rows fold later."""
        table, ttl = self.open, self._settings["idle_gauge_ttl"]
        self._closed_at = now
        self.gauges.update(table)
        self._closing, self.closing_pending = table, self.pending
        self._ended.add(table)
        self._idle = self.gauges.idle(table, ttl)
        if len(self.gauges.bases) > self._settings["series_limit"] // 2:
            self.gauges.free(table.start, ttl)
        self.identities.begin_sweep()
        self._counts.closing += self._counts.open
        self._counts.open = 0
        self.open, self.pending = self._new_table(next_start, table.cells), self._new_pending()
        self.open.folds = folds

    def abandon_names(self) -> bool:
        """Move some waiting samples of the closing window to catch-all series; return whether it is settled now."""
        for identity in list(islice(self.closing_pending, _ABANDONED)):
            if self._closing is not None:
                self._settle(self.closing_pending.pop(identity), self._nowhere(identity.kind), self._closing)
        return self.settled()

    def settled(self) -> bool:
        """Return whether the closing window has no unnamed identity."""
        return not self.closing_pending

    def closed_window(self) -> ClosedWindow:
        """Return the closing window. Call it once, when the window is settled."""
        if self._closing is None:
            raise RuntimeError("no window is closing")
        table, self._closing = self._closing, None
        samples, self._counts.closing = self._counts.closing, 0
        idle = {series: value for series, value in self._idle if table.has_no_sample(series)}
        self._idle = []
        rows = Rows(table, idle, now=self._closed_at)
        return ClosedWindow(
            start=table.start,
            seconds=self._settings["window_seconds"],
            samples=samples,
            series=rows.series(),
            rows=rows,
        )

    # --- restoring and inspecting -------------------------------------------------------------------------------------

    def restore(self, series: Series, cell: Cell) -> None:
        """Merge a cell of a checkpoint into the open window.

        The series had a slot before the restart, possibly a reserved one. So it counts as its own overflow series,
        which may use a reserved slot again.
        """
        placed, mine, _ = self.open.place(Resolution(series, series), self._settings["catch_all"])
        mine.fold(mine.last_at)
        mine.merge(cell)
        self._counts.samples += cell.samples
        self._counts.open += cell.samples
        self._counts.overflow += cell.samples if placed != series else 0
        if series.kind is Kind.GAUGE:
            self.gauges.record(placed, mine, self.open.start)

    def restore_gauge(self, series: Series, base: Base) -> None:
        """Restore a gauge's base, unless a newer one is known or there is no room."""
        if series not in self.gauges.bases and len(self.gauges.bases) < self._settings["series_limit"]:
            self.open.count_idle(series)
            self.gauges.bases[series] = base

    def snapshot(self, now: float) -> Iterator[list[Row]]:
        """Yield the rows of the open window, in parts; `now` is the receive time of the pending values."""
        for part in partial.chunks(list(self.open.cells.items())):
            for _, cell in part:
                cell.fold(now)
            yield [(series, cell.rollup()) for series, cell in part if cell.samples]

    def list_gauges(self) -> Iterator[list[tuple[Series, float]]]:
        """Yield the gauges' latest values, in parts."""
        self.gauges.update(self.open)
        for part in partial.chunks(list(self.gauges.bases.items())):
            yield [(series, base.value) for series, base in part]

    def list_series(self, first: int, count: int) -> list[Series]:
        """Return `count` series of the open window from index `first`, oldest first."""
        return list(islice(self.open.cells, first, first + count))

    def delete(self, wanted: Iterable[Series]) -> list[Series]:
        """Delete series with their samples and bases; return those that existed."""
        found = [series for series in wanted if self._delete(series)]
        self.open.recount_idle()
        return found

    def _delete(self, series: Series) -> bool:
        has_cell = series in self.open.cells
        if has_cell:
            samples = self.open.remove(series).samples
            self._counts.open -= samples
            self._counts.dropped["forgotten"] += samples
        return self.gauges.bases.pop(series, None) is not None or has_cell


def _add_values(cell: Cell, group: Group, now: float) -> None:
    if group.kind is Kind.SET:
        cell.add_member(group.values[0], now)
    else:
        cell.add([float(value) for value in group.values], group.weight, now)


def _time_of(group: Group, now: float) -> float:
    """Return the time of a gauge's value: its timestamp, or the receive time."""
    return now if group.timestamp is None else float(group.timestamp)


def _is_older(at: float, known_at: float) -> bool:
    """Return whether a gauge's value is older than the known one; `known_at` is -inf if there is none.

    A timestamp has whole seconds: it counts as equal to every time within its second.
    """
    return math.isfinite(known_at) and at < math.floor(known_at)
