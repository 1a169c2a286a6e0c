"""Naming: turns a raw identity into a legal series, once per new identity.

Owned here: legal characters, inline tags, rules, default tags, the choice of five tags, lengths, classes of names.
Invariant (I4): for any input, the metric and the dimensions satisfy putMetricData. Names are made legal and cut to
length before they become the key of aggregation: identities with equal results are merged in the relay and do not
collide in the cloud.

Pure: no clock, no I/O, no randomness. Does not know: windows, values, senders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import xxhash

from relay import limits
from relay.model import Kind, NoSeries, Resolution, Series
from relay.names import fit
from relay.naming.characters import clean_name
from relay.naming.classes import Classes
from relay.naming.dimensions import are_legal, choose, legal_pairs
from relay.naming.fast_path import FastPath
from relay.naming.tags import NO_TAGS, SectionCache, split_inline
from relay.naming.trace import MetricOrigin, MetricOrigins, RuleHits, Trace, rewritten_example, unsent_example

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from relay.ledger import Ledger
    from relay.model import Identity, Metric
    from relay.naming.dimensions import Pair
    from relay.naming.ruleset import Effect, Ruleset
    from relay.naming.trace import Unmatched

    Owner = Callable[[str, Kind, str], Kind]

_HOSTS_KNOWN: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class NamingSettings:
    """The settings of naming, from four sections of the configuration."""

    prefix: str
    kind_prefixes: Mapping[Kind, str]
    tags: Mapping[str, str]
    dialects: Collection[str]
    strict: bool
    """Whether samples of identities with illegal characters are dropped instead of rewritten."""
    reserved_prefix: str
    """Prefix of the relay's own names, which lines cannot use."""
    classes_limit: int
    """Most names with a known owner class."""
    classes_memory: int
    """Most bytes of these names."""


class Namer:
    """State: the class that owns each bare name, caches, and the hits of rules.

    Args:
        settings: settings in force.
        rules: compiled rules.
        ledger: counts the identities that are sent changed, with an example of each kind.
    """

    def __init__(self, settings: NamingSettings, rules: Ruleset, *, ledger: Ledger) -> None:
        prefix, kind_prefixes = _dotted(settings.prefix), settings.kind_prefixes
        self._prefixes = {kind: prefix + _dotted(kind_prefixes.get(kind, "")) for kind in Kind}
        self._rules = rules
        self._defaults = legal_pairs(settings.tags.items())
        self._dialects = frozenset(settings.dialects)
        self._strict = settings.strict
        self._reserved = settings.reserved_prefix
        self._classes = Classes(settings.classes_limit, settings.classes_memory)
        self.ledger = ledger
        self._hits = RuleHits(len(rules))
        self._origins = MetricOrigins()
        self._sections = SectionCache()
        self._fast_path = self._make_fast_path()
        self._overflows: dict[str, tuple[Pair, ...]] = {}
        """Host -> dimensions of the overflow series."""

    def _make_fast_path(self) -> FastPath | None:
        """Return the fast path; None if rules, strict mode or the dialects rule it out."""
        if len(self._rules) or self._strict or "dogstatsd" not in self._dialects:
            return None
        return FastPath(
            prefixes=self._prefixes,
            reserved=f"{self._reserved}.",
            classes=self._classes,
            defaults=self._defaults,
            overflow=self._overflow_dimensions,
            count=self._count,
        )

    def resolve(self, identity: Identity) -> Resolution | NoSeries:
        """Return the series of an identity, or the reason why it has none."""
        if identity.tags == limits.STAND_IN:
            return self._stand_in(identity)
        if self._fast_path is not None:
            answer = self._fast_path.resolve(identity)
            if answer is not None:
                return answer
        trace = self._trace(identity, self._classes.owner)
        self._hits.add(trace.rule, trace.name)
        if isinstance(trace.outcome, Resolution):
            self._record_origin(trace.outcome.series, trace)
            self._count(identity, len(trace.unsent) + trace.unread, is_rewritten=trace.is_rewritten)
        return trace.outcome

    def _record_origin(self, series: Series, trace: Trace) -> None:
        is_renamed = series.metric != self._prefixes[series.kind] + trace.name
        if is_renamed or trace.rule:
            self._origins.add(series, MetricOrigin(trace.name if is_renamed else "", trace.rule))

    def rule_of(self, metric: tuple[str, Kind, str]) -> int:
        """Return the number of the rule that made a metric last, from 1; 0 if none did, or it is not known any more."""
        return self._origins.get(metric).rule

    def received_name(self, metric: Metric, *, is_derived: bool = False) -> str:
        """Return the name in the lines of a metric; `is_derived`: naming added the class to the metric."""
        name = metric.name.removesuffix(f".{metric.kind}") if is_derived else metric.name
        return self._origins.get(metric).name or name.removeprefix(self._prefixes[metric.kind])

    def _count(self, identity: Identity, dropped: int, *, is_rewritten: bool) -> None:
        """Count an identity that is sent changed; the first one after a warning is the example of the next warning."""
        ledger = self.ledger
        ledger.names_rewritten += is_rewritten
        ledger.tags_dropped += dropped
        if is_rewritten and "rewritten" not in ledger.examples:
            ledger.add_example("rewritten", rewritten_example(self.trace(identity)))
        if dropped and "unsent" not in ledger.examples:
            ledger.add_example("unsent", unsent_example(self.trace(identity)))

    def _stand_in(self, identity: Identity) -> Resolution | NoSeries:
        """Return the answer for a stand-in: the overflow series of its name, or what its rule decides."""
        answer = self.resolve(identity._replace(tags=b""))
        return Resolution(answer.overflow, answer.overflow) if isinstance(answer, Resolution) else answer

    def trace(self, identity: Identity) -> Trace:
        """Return the steps that `resolve` would take; changes nothing."""
        return self._trace(identity, self._classes.owner_if_known)

    @property
    def hits(self) -> Sequence[int]:
        """Number of identities that matched each rule, since these rules took effect."""
        return self._hits.by_rule

    @property
    def unmatched(self) -> Unmatched:
        """Number of identities that matched no rule, and their newest names."""
        return self._hits.unmatched

    def overflow(self, kind: Kind) -> Series:
        """Return the catch-all series of a class; its name is under the reserved prefix, which lines cannot use."""
        metric = fit(f"{self._reserved}.overflow", f".{kind}")
        return Series(metric, self._overflow_dimensions({}), kind)

    def own_series(self, figure: str) -> Series:
        """Return the series of one of the relay's own figures: the reserved prefix, and the dimensions of `[tags]`."""
        return Series(fit(self._reserved, f".{figure}"), choose({}, self._defaults), Kind.GAUGE)

    @property
    def host(self) -> str:
        """Value of the `host` dimension for series without a `host` tag of their own."""
        return self._defaults.get("host", "")

    def export_classes(self) -> Iterator[bytes]:
        """Yield the owner class of every bare name, in parts, for the state directory."""
        return self._classes.export()

    def adopt_classes(self, other: Namer) -> None:
        """Adopt the classes of names from the previous namer: a reload must not change the name of a series."""
        self._classes.adopt(other._classes)

    def load_classes(self, exported: bytes) -> None:
        """Load what `export_classes` yielded in an earlier process."""
        self._classes.load(exported)

    def learn(self, owners: Iterable[tuple[str, Kind, str]]) -> None:
        """Adopt the owners (metric, class, namespace) of recovered series."""
        for metric, kind, namespace in owners:
            self._classes.owner(metric, kind, namespace)

    def _trace(self, identity: Identity, owner: Owner) -> Trace:
        name, inline = split_inline(_readable(identity.name), self._dialects)
        section = self._sections.read(identity.tags) if "dogstatsd" in self._dialects else NO_TAGS
        rule, captures = self._rules.find(name, identity.kind)
        effect = self._rules.effect(rule)
        metric = effect.rename(name, captures)
        clean = clean_name(metric)
        full = self._prefixes[identity.kind] + clean
        pairs = legal_pairs([*inline, *section.tags]) if inline else section.pairs
        removed, kept = effect.removed(pairs), effect.apply(pairs, captures)
        is_rewritten = clean != metric or not section.are_legal or not are_legal(inline)
        is_refused = self._strict and not (clean == metric and effect.are_legal([*inline, *section.tags], captures))
        outcome = self._no_series(effect, rule, clean, full, is_refused=is_refused) or self._resolution(
            full, identity.kind, kept, effect, owner
        )
        unsent = _missing(kept, outcome.series) if isinstance(outcome, Resolution) else ()
        return Trace(
            name, inline, section.tags, rule, captures, metric, removed, unsent, is_rewritten, outcome, section.unread
        )

    def _no_series(self, effect: Effect, rule: int, clean: str, full: str, *, is_refused: bool) -> NoSeries | None:
        if effect.drops:
            return NoSeries("rule", rejects=False, rule=rule)
        if not clean:
            return NoSeries("empty_name", rejects=True)
        if is_refused:
            return NoSeries("no_legal_name", rejects=False)
        return NoSeries("reserved_name", rejects=True) if full.startswith(f"{self._reserved}.") else None

    def _resolution(self, full: str, kind: Kind, pairs: Mapping[str, str], effect: Effect, owner: Owner) -> Resolution:
        dimensions, space, bare = choose(pairs, self._defaults, first=effect.first), effect.namespace, fit(full)
        is_owner = owner(bare, kind, space) == kind
        metric = bare if is_owner else fit(full, f".{kind}")
        series = Series(metric, dimensions, kind, not is_owner, space)
        overflow = self._overflow_dimensions(pairs)
        return Resolution(series, Series(metric, overflow, kind, not is_owner, space))

    def _overflow_dimensions(self, pairs: Mapping[str, str]) -> tuple[Pair, ...]:
        host = pairs.get("host") or self._defaults.get("host", "")
        known = self._overflows.get(host)
        if known is None:
            if len(self._overflows) >= _HOSTS_KNOWN:
                self._overflows.clear()
            # A host of 249 bytes would leave no room for `overflow`, which matters more: cut the host.
            known = choose({"overflow": "true"}, {"host": fit(host, limit=200)} if host else {})
            self._overflows[host] = known
        return known


def _readable(name: bytes) -> str:
    """Return a name as text; one beyond `limits.NAME_READ` bytes is cut, and a hash of the whole is appended."""
    if len(name) > limits.NAME_READ:
        name = b"%b.%b" % (name[: limits.NAME_READ], xxhash.xxh32_hexdigest(name).encode())
    return name.decode("utf-8", "replace")


def _dotted(prefix: str) -> str:
    clean = clean_name(prefix)
    return f"{clean}." if clean else ""


def _missing(pairs: Mapping[str, str], series: Series) -> tuple[str, ...]:
    """Return the keys of tags that did not become dimensions."""
    sent = dict(series.dimensions)
    return () if pairs.keys() <= sent.keys() else tuple(key for key in pairs if key not in sent)
