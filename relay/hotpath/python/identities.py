"""Identities: the cache of naming's answers, the pending identities with their samples, and the senders of new ones.

All are bounded in number and in bytes (I6), since an identity may be as long as a datagram. An evicted answer is asked
for again when it is needed. The samples of an identity that finds no room to wait go to the overflow series of its
name, or to the catch-all series of its class.

Does not know: rules, tables, windows beyond the id of the last use.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from itertools import islice
from typing import TYPE_CHECKING, Final

from relay import limits
from relay.hotpath.python.cell import Cell, clamp_to_finite
from relay.model import Identity, Kind, NoSeries, Peer, Resolution, TopSender

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relay.hotpath.python.receive import Peername


_ASCII: Final = bytes(range(128))
_OVERHEAD: Final = 400
"""Bytes of an entry without the bytes of the identity."""


def gauge_values(values: Sequence[bytes], base: float, signs: bytes) -> list[float]:
    """Return the gauge's value after each of `values`; a number that begins with one of `signs` is a delta."""
    numbers: list[float] = []
    for value in values:
        base = clamp_to_finite(base + float(value)) if value[0] in signs else float(value)
        numbers.append(base)
    return numbers


def footprint(identity: Identity) -> int:
    """Return an estimate of the memory of an entry, in bytes."""
    return len(identity.name) + len(identity.tags) + _OVERHEAD


def naming_work(name: bytes, tags: bytes) -> int:
    """Return the estimated work of naming an identity, in units of one ASCII byte."""
    read = name[: limits.NAME_READ] + tags
    return limits.NAMING_FIXED + len(read) + limits.NAMING_OTHERS * len(read.translate(None, _ASCII))


def bare_name(name: bytes, separators: bytes) -> bytes:
    """Return a name without its inline tags: it ends at the first separator that a `key=value` pair follows."""
    read = name[: limits.NAME_READ]
    first = _first(read, separators, 0)
    equals = read.find(b"=", first + 1)
    return name[:first] if 0 <= equals < _first(read, separators, first + 1) else name


def _first(text: bytes, wanted: bytes, start: int) -> int:
    """Return the offset of the first of the wanted bytes, or the text's length."""
    return min((at for byte in wanted if (at := text.find(byte, start)) >= 0), default=len(text))


class IdentityCache:
    """State: identity -> answer of naming and the last window that used it, oldest answer first.

    For each name with a known identity that has tags, the answer for its stand-in is kept as well. So a known metric
    keeps its total even if its new identities come faster than naming answers.
    """

    def __init__(self, *, limit: int, memory: int, separators: bytes) -> None:
        self.set_limits(limit=limit, memory=memory, separators=separators)
        self._stand_ins: dict[Identity, tuple[int, Resolution]] = {}
        self._answers: OrderedDict[Identity, Resolution | NoSeries] = OrderedDict()
        """An OrderedDict: popping the first item of a dict walks over all slots freed before."""
        self._used: dict[Identity, int] = {}
        self._unswept: Iterator[Identity] = iter(())
        self._bytes = self._stood_in = 0

    def __contains__(self, identity: Identity) -> bool:
        """Return whether an identity has an answer."""
        return identity in self._answers

    def __len__(self) -> int:
        """Return the number of known identities, without stand-ins."""
        return len(self._answers) - self._stood_in

    def set_limits(self, *, limit: int, memory: int, separators: bytes) -> None:
        """Change the bounds; the next answer makes room."""
        self._limit = limit
        self._memory = memory
        self._separators = separators

    def clear(self) -> None:
        """Remove every answer."""
        self._answers, self._used, self._bytes, self._stood_in = OrderedDict(), {}, 0, 0
        self._stand_ins.clear()
        self.begin_sweep()

    def find(self, identity: Identity, window: int) -> Resolution | NoSeries | None:
        """Return the answer for an identity, and record its use by `window`."""
        answer = self._answers.get(identity)
        if answer is not None:
            self._used[identity] = window
        return answer

    def store(self, identity: Identity, answer: Resolution | NoSeries, window: int) -> None:
        """Store an answer; the oldest answers are evicted to make room."""
        self.remove(identity)
        self._answers[identity] = answer
        self._used[identity] = window
        self._bytes += footprint(identity)
        self._stood_in += identity.tags == limits.STAND_IN
        self._count_alias(identity, answer, 1)
        while len(self._answers) > self._limit or self._bytes > self._memory:
            self.remove(next(iter(self._answers)))

    def remove(self, identity: Identity) -> None:
        """Remove an answer, if there is one."""
        answer = self._answers.pop(identity, None)
        if answer is not None:
            del self._used[identity]
            self._bytes -= footprint(identity)
            self._stood_in -= identity.tags == limits.STAND_IN
            self._count_alias(identity, answer, -1)

    def stand_in(self, identity: Identity) -> Identity:
        """Return the stand-in of an identity: its bare name and kind with a reserved tag section.

        The stand-in waits for its name in place of an identity that finds no room.
        """
        return Identity(bare_name(identity.name, self._separators), identity.kind, limits.STAND_IN)

    def overflow(self, identity: Identity) -> Resolution | None:
        """Return the overflow answer for an identity that finds no room to wait; None if its name is unknown."""
        wanted = self.stand_in(identity)
        _, answer = self._stand_ins.get(wanted, (0, None))
        bare = self._answers.get(wanted._replace(tags=b"")) if answer is None else None
        return Resolution(bare.overflow, bare.overflow) if isinstance(bare, Resolution) else answer

    def _count_alias(self, identity: Identity, answer: Resolution | NoSeries, change: int) -> None:
        """Count the resolved identities with tags of a name: the stand-in of the name stays while there are any."""
        wanted = self.stand_in(identity)
        has_tags = identity.name != wanted.name or identity.tags not in (b"", limits.STAND_IN)
        if not has_tags or isinstance(answer, NoSeries):
            return
        refs, known = self._stand_ins.pop(wanted, (0, Resolution(answer.overflow, answer.overflow)))
        if refs + change > 0:
            self._stand_ins[wanted] = (refs + change, known)

    def begin_sweep(self) -> None:
        """Start a sweep over all answers known now; `sweep` does it in steps, since 50,000 at once would take 50 ms."""
        self._unswept = iter(list(self._used))

    def sweep(self, window: int, count: int) -> None:
        """Check the next `count` answers; remove those last used before `window`."""
        for identity in islice(self._unswept, count):
            if self._used.get(identity, window) < window:
                self.remove(identity)


class PendingIdentity:
    """State: the samples of an identity that naming has not answered yet; they are not counted until it does.

    A gauge's deltas before its first absolute value are in `relative`, as offsets from a base that is not known yet.
    Whether the gauge will overflow is not known either: `overflow` holds the samples for that case, once they differ.
    """

    __slots__ = ("cell", "dropped", "late", "lines", "overflow", "relative", "shared", "untimed")

    def __init__(self, kind: Kind, exact_samples: int) -> None:
        self.cell = Cell(kind, exact_samples)
        self.relative: Cell | None = None
        self.overflow: PendingIdentity | None = None
        """For a gauge: the samples that an overflow series accepts (no lines with deltas). None: all samples."""
        self.lines = 0
        """Lines that have only this identity."""
        self.shared = 0
        """Samples, dropped ones included, of lines that have other identities too; these lines are accepted."""
        self.late = 0
        self.untimed = False
        """Whether a gauge had a value without a timestamp."""
        self.dropped: Counter[str] = Counter()

    @property
    def samples(self) -> int:
        """Number of pending samples, without the dropped ones."""
        return self.cell.samples + (self.relative.samples if self.relative else 0)

    @property
    def at(self) -> float:
        """Time of a gauge's newest value."""
        return self.cell.last_at if self.cell.samples or self.relative is None else self.relative.last_at

    def split_overflow(self) -> None:
        """Begin to collect the samples for an overflow series separately, in `overflow`."""
        if self.overflow is None:
            self.overflow = PendingIdentity(self.cell.kind, limits.QUANTILE_EXACT)
            self.overflow.cell.merge(self.cell)
            self.overflow.lines, self.overflow.shared, self.overflow.late = self.lines, self.shared, self.late
            self.overflow.dropped = self.dropped.copy()

    def add_gauge(self, values: Sequence[bytes], at: float, now: float, signs: bytes) -> None:
        """Add values of a gauge.

        Args:
            values: numbers as received.
            at: time of the values: their timestamp or `now`.
            now: receive time.
            signs: the signs that make a number a delta.
        """
        first_absolute = 0
        if not self.cell.samples:
            first_absolute = next((index for index, value in enumerate(values) if value[0] not in signs), len(values))
        if first_absolute:
            self.relative = self.relative or Cell(Kind.GAUGE)
            self.relative.add(gauge_values(values[:first_absolute], self.relative.last, signs), 1.0, now, at)
        if first_absolute < len(values):
            self.cell.add(gauge_values(values[first_absolute:], self.cell.last, signs), 1.0, now, at)

    def rebase(self, base: float) -> Cell:
        """Return one cell with all samples, after adding the base to the relative ones."""
        if self.relative is None:
            return self.cell
        self.relative.shift(base)
        self.relative.merge(self.cell)
        if self.cell.samples:
            self.relative.adopt_last(self.cell)
        return self.relative


class PendingIdentities:
    """State: the pending identities of one window, oldest first."""

    def __init__(self, *, limit: int, memory: int, exact_samples: int) -> None:
        self.set_limits(limit=limit, memory=memory, exact_samples=exact_samples)
        self._items: dict[Identity, PendingIdentity] = {}
        self._bytes = self._work = 0

    def __contains__(self, identity: Identity) -> bool:
        """Return whether an identity waits."""
        return identity in self._items

    def __len__(self) -> int:
        """Return the number of waiting identities."""
        return len(self._items)

    def __iter__(self) -> Iterator[Identity]:
        """Iterate over the identities, oldest first."""
        return iter(self._items)

    def set_limits(self, *, limit: int, memory: int, exact_samples: int) -> None:
        """Change the bounds; they apply to identities that come later."""
        self._limit = limit
        self._memory = memory
        self._exact_samples = exact_samples

    def find_or_add(self, identity: Identity) -> PendingIdentity | None:
        """Return the pending identity, created if there is room; None if there is none and no room."""
        pending = self._items.get(identity)
        if pending is None and self._has_room(stands_in=identity.tags == limits.STAND_IN):
            pending = self._items[identity] = PendingIdentity(identity.kind, self._exact_samples)
            self._bytes += footprint(identity)
            self._work += naming_work(identity.name, identity.tags)
        return pending

    def _has_room(self, *, stands_in: bool) -> bool:
        """Return whether one more identity may wait; a tenth of every bound is reserved for stand-ins."""
        bounds = ((len(self), self._limit), (self._work, limits.NAMING_WORK), (self._bytes, self._memory))
        return all(used < most + stands_in * (most // 10) for used, most in bounds)

    def pop(self, identity: Identity) -> PendingIdentity | None:
        """Remove and return the pending identity; None if it does not wait."""
        pending = self._items.pop(identity, None)
        if pending is not None:
            self._bytes -= footprint(identity)
            self._work -= naming_work(identity.name, identity.tags)
        return pending


class TopSenders:
    """State: the senders of new identities since the last `pop_all`, by host, with the work they cause for naming.

    The space-saving algorithm with 16 places bounds it: a sender without a place replaces the one with the least work
    and inherits its counts. So every sender with more than a sixteenth of all work has a place, and the counts are
    upper bounds.
    """

    def __init__(self) -> None:
        self._found: dict[str, TopSender] = {}

    def add(self, peer: Peername, name: bytes, tags: bytes) -> None:
        """Count an identity that is new, or that found no room to wait for its name."""
        host = peer[0] if peer else ""
        before = self._found.get(host) or self._replaced()
        example = name[: limits.SENDER_EXAMPLE_BYTES], tags[: limits.SENDER_EXAMPLE_BYTES]
        work = before.work + naming_work(name, tags)
        self._found[host] = TopSender(Peer(*peer[:2]) if peer else None, before.identities + 1, work, *example)

    def _replaced(self) -> TopSender:
        if len(self._found) < limits.TOP_SENDERS:
            return TopSender(None, 0, 0, b"", b"")
        return self._found.pop(min(self._found, key=lambda host: self._found[host].work))

    def pop_all(self) -> list[TopSender]:
        """Return the senders, most work first, and start from empty."""
        found, self._found = self._found, {}
        return sorted(found.values(), key=lambda sender: -sender.work)
