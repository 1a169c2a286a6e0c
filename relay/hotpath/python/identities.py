"""What is known about identities: answers of naming (aliases), and what waits for one (provisionals).

Both are bounded in number and in bytes (I6): an identity may be as long as a datagram. An alias that is pushed out is
only asked for again; an identity that finds no provisional slot folds into the catch-all of its class.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from itertools import islice
from typing import TYPE_CHECKING, Final

from relay import limits
from relay.hotpath.python.cell import Cell, finite
from relay.model import Identity, Kind, NoSeries, Resolution

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ASCII: Final = bytes(range(128))
_OVERHEAD: Final = 400
"""Bytes of an entry besides the identity's own."""


def gauge_values(values: Sequence[bytes], base: float, signs: bytes) -> list[float]:
    """Return the gauge after each value: one with such a sign is a delta on what was before."""
    numbers: list[float] = []
    for value in values:
        base = finite(base + float(value)) if value[0] in signs else float(value)
        numbers.append(base)
    return numbers


def footprint(identity: Identity) -> int:
    """Return an estimate of what an entry costs, in bytes."""
    return len(identity.name) + len(identity.tags) + _OVERHEAD


def naming_work(name: bytes, tags: bytes) -> int:
    """Return what naming an identity costs, in bytes of tags that are read."""
    read = name[: limits.NAME_READ] + tags
    return limits.NAMING_FIXED + len(read) + limits.NAMING_OTHERS * len(read.translate(None, _ASCII))


def bare_name(name: bytes, separators: bytes) -> bytes:
    """Return a name without its inline tags: up to the first separator that is read, if a pair follows."""
    read = name[: limits.NAME_READ]
    first = _first(read, separators, 0)
    equals = read.find(b"=", first + 1)
    return name[:first] if 0 <= equals < _first(read, separators, first + 1) else name


def _first(text: bytes, wanted: bytes, start: int) -> int:
    """Return where one of these bytes stands first, or the text's length."""
    return min((at for byte in wanted if (at := text.find(byte, start)) >= 0), default=len(text))


class IdentityCache:
    """State: identity -> answer and the window that used it last, oldest answer first.

    For each name of which an identity with tags is known, also the answer of its stand-in: a metric that is known keeps
    its total at any pace.
    """

    def __init__(self, *, limit: int, memory: int, separators: bytes) -> None:
        self.set_limits(limit=limit, memory=memory, separators=separators)
        self._stand_ins: dict[Identity, tuple[int, Resolution]] = {}
        self._answers: OrderedDict[Identity, Resolution | NoSeries] = OrderedDict()
        """Ordered: taking the first of a dict walks over all that were taken before."""
        self._used: dict[Identity, int] = {}
        self._suspects: Iterator[Identity] = iter(())
        self._bytes = self._stood_in = 0

    def __repr__(self) -> str:
        """Report the size."""
        return f"<IdentityCache {len(self)} of {self._limit}, {self._bytes} bytes>"

    def __contains__(self, identity: Identity) -> bool:
        """Say whether an identity has an answer."""
        return identity in self._answers

    def __len__(self) -> int:
        """Identities known, without those that stand in for others."""
        return len(self._answers) - self._stood_in

    def set_limits(self, *, limit: int, memory: int, separators: bytes) -> None:
        """Change the bounds; the next answer makes room."""
        self._limit = limit
        self._memory = memory
        self._separators = separators

    def forget_all(self) -> None:
        """Drop every answer."""
        self._answers, self._used, self._bytes, self._stood_in = OrderedDict(), {}, 0, 0
        self._stand_ins.clear()
        self.begin_sweep()

    def find(self, identity: Identity, window: int) -> Resolution | NoSeries | None:
        """Return the answer for an identity, and note that `window` used it."""
        answer = self._answers.get(identity)
        if answer is not None:
            self._used[identity] = window
        return answer

    def learn(self, identity: Identity, answer: Resolution | NoSeries, window: int) -> None:
        """Keep an answer; the oldest make room."""
        self.forget(identity)
        self._answers[identity] = answer
        self._used[identity] = window
        self._bytes += footprint(identity)
        self._stood_in += identity.tags == limits.STAND_IN
        self._hold(identity, answer)
        while len(self._answers) > self._limit or self._bytes > self._memory:
            self.forget(next(iter(self._answers)))

    def forget(self, identity: Identity) -> None:
        """Drop an answer, if there is one."""
        if self._answers.pop(identity, None) is not None:
            del self._used[identity]
            self._bytes -= footprint(identity)
            self._stood_in -= identity.tags == limits.STAND_IN
            self._release(identity)

    def stand_in(self, identity: Identity) -> Identity:
        """Return the identity that stands in for one that finds no room to wait for its name."""
        return Identity(bare_name(identity.name, self._separators), identity.kind, limits.STAND_IN)

    def overflow(self, identity: Identity) -> Resolution | None:
        """Return the answer for an identity that finds no room to wait, if its name is known."""
        wanted = self.stand_in(identity)
        _, answer = self._stand_ins.get(wanted, (0, None))
        bare = self._answers.get(wanted._replace(tags=b"")) if answer is None else None
        return Resolution(bare.overflow, bare.overflow) if isinstance(bare, Resolution) else answer

    def _hold(self, identity: Identity, answer: Resolution | NoSeries) -> None:
        wanted = self.stand_in(identity)
        has_tags = identity.name != wanted.name or identity.tags not in (b"", limits.STAND_IN)
        if has_tags and isinstance(answer, Resolution):
            refs, known = self._stand_ins.get(wanted, (0, Resolution(answer.overflow, answer.overflow)))
            self._stand_ins[wanted] = (refs + 1, known)

    def _release(self, identity: Identity) -> None:
        wanted = self.stand_in(identity)
        refs, known = self._stand_ins.get(wanted, (0, None))
        if identity != wanted and known and (identity.tags or identity.name != wanted.name):
            self._stand_ins[wanted] = (refs - 1, known)
            if refs == 1:
                del self._stand_ins[wanted]

    def begin_sweep(self) -> None:
        """Look at every answer known now again, a few at a time: dropping 50,000 at once would take 50 ms."""
        self._suspects = iter(list(self._used))

    def sweep(self, window: int, count: int) -> None:
        """Drop those of the next `count` suspects that were last used before `window`."""
        for identity in islice(self._suspects, count):
            if self._used.get(identity, window) < window:
                self.forget(identity)


class PendingIdentity:
    """State: what came for an identity that naming has not answered yet; it is in no figure until then.

    A gauge's deltas before its first absolute value wait in `relative`, as offsets from a base that is not known yet.
    Whether it overflows is not known either: `overflow` is what waits in that case, once it differs.
    """

    __slots__ = ("cell", "dropped", "late", "lines", "overflow", "relative", "shared", "untimed")

    def __init__(self, kind: Kind, exact_samples: int) -> None:
        self.cell = Cell(kind, exact_samples)
        self.relative: Cell | None = None
        self.overflow: PendingIdentity | None = None
        """Of a gauge: what an overflow series takes, which is no line with deltas, and any time. None: all of it."""
        self.lines = 0
        """Of this identity alone."""
        self.shared = 0
        """Samples, those dropped too, of lines that have other identities as well, and are accepted."""
        self.late = 0
        self.untimed = False
        """A gauge had a value without a time."""
        self.dropped: Counter[str] = Counter()

    def __repr__(self) -> str:
        """Report the size."""
        return f"<PendingIdentity {self.lines} lines, {self.samples} samples>"

    @property
    def samples(self) -> int:
        """Samples waiting, without those dropped."""
        return self.cell.samples + (self.relative.samples if self.relative else 0)

    @property
    def at(self) -> float:
        """Time of a gauge's newest value."""
        return self.cell.last_at if self.cell.samples or self.relative is None else self.relative.last_at

    def part(self) -> None:
        """Let what an overflow series takes differ from now on."""
        if self.overflow is None:
            self.overflow = PendingIdentity(self.cell.kind, limits.QUANTILE_EXACT)
            self.overflow.cell.merge(self.cell)
            self.overflow.lines, self.overflow.shared, self.overflow.late = self.lines, self.shared, self.late
            self.overflow.dropped = self.dropped.copy()

    def add_gauge(self, values: Sequence[bytes], at: float, now: float, signs: bytes) -> None:
        """Add values of a gauge, of such a time."""
        first_absolute = 0
        if not self.cell.samples:
            first_absolute = next((index for index, value in enumerate(values) if value[0] not in signs), len(values))
        if first_absolute:
            self.relative = self.relative or Cell(Kind.GAUGE)
            self.relative.add(gauge_values(values[:first_absolute], self.relative.last, signs), 1.0, now, at)
        if first_absolute < len(values):
            self.cell.add(gauge_values(values[first_absolute:], self.cell.last, signs), 1.0, now, at)

    def settle_gauge(self, base: float) -> Cell:
        """Return one cell with every sample, the relative ones on their base."""
        if self.relative is None:
            return self.cell
        self.relative.shift(base)
        self.relative.merge(self.cell)
        if self.cell.samples:
            self.relative.adopt_last(self.cell)
        return self.relative


class PendingIdentities:
    """State: the provisionals of one window, in the order they came."""

    def __init__(self, *, limit: int, memory: int, exact_samples: int) -> None:
        self.set_limits(limit=limit, memory=memory, exact_samples=exact_samples)
        self._items: dict[Identity, PendingIdentity] = {}
        self._bytes = self._work = 0

    def __repr__(self) -> str:
        """Report the size."""
        return f"<PendingIdentities {len(self)} identities>"

    def __contains__(self, identity: Identity) -> bool:
        """Say whether an identity waits."""
        return identity in self._items

    def __len__(self) -> int:
        """Identities waiting."""
        return len(self._items)

    def __iter__(self) -> Iterator[Identity]:
        """Oldest first."""
        return iter(self._items)

    def set_limits(self, *, limit: int, memory: int, exact_samples: int) -> None:
        """Change the bounds for those that come."""
        self._limit = limit
        self._memory = memory
        self._exact_samples = exact_samples

    def join(self, identity: Identity) -> PendingIdentity | None:
        """Return the provisional of an identity; None if it has none and there is no room."""
        waiting = self._items.get(identity)
        if waiting is None and self._has_room(stands_in=identity.tags == limits.STAND_IN):
            waiting = self._items[identity] = PendingIdentity(identity.kind, self._exact_samples)
            self._bytes += footprint(identity)
            self._work += naming_work(identity.name, identity.tags)
        return waiting

    def _has_room(self, *, stands_in: bool) -> bool:
        """Say whether one more may wait; stand-ins have a tenth of the queue to themselves."""
        bounds = ((len(self), self._limit), (self._work, limits.NAMING_WORK), (self._bytes, self._memory))
        return all(used < most + stands_in * (most // 10) for used, most in bounds)

    def take(self, identity: Identity) -> PendingIdentity | None:
        """Take out the provisional of an identity."""
        waiting = self._items.pop(identity, None)
        if waiting is not None:
            self._bytes -= footprint(identity)
            self._work -= naming_work(identity.name, identity.tags)
        return waiting
