"""Chooses the tags that become dimensions: one to five pairs, at most 255 bytes (putMetricData).

Tags are chosen in this order: `host`; tags that a rule sets or keeps; the line's other tags by key; other `[tags]` by
key. The first tag that does not fit and all after it are not sent. Invariant: the same tags always give the same
series.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from relay import limits
from relay.names import fit
from relay.naming.characters import clean_pairs, is_legal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Pair = tuple[str, str]

PLACEHOLDER: Pair = ("source", "statsd_relay")
"""Dimension of a series without a host and without tags: the API requires at least one."""
_HOST_BYTES = limits.DIMENSIONS_BYTES - len("host") - 2


def are_legal(tags: Iterable[Pair]) -> bool:
    """Say whether every key and value is legal as received."""
    return is_legal("".join(chain.from_iterable(tags)))


def legal_pairs(tags: Iterable[Pair]) -> dict[str, str]:
    """Return the pairs in legal form; the last of a repeated key wins; pairs with an empty side are left out."""
    pairs = list(tags)
    if not are_legal(pairs):
        pairs = list(clean_pairs(pairs))
    return {key: value for key, value in pairs if key and value}


def choose(line: Mapping[str, str], defaults: Mapping[str, str], *, first: Sequence[str] = ()) -> tuple[Pair, ...]:
    """Return the dimensions of a series, sorted by key.

    Args:
        line: legal pairs of the line.
        defaults: legal pairs of `[tags]`; the line's pairs override them.
        first: keys of the line that are chosen before its others, most important first.
    """
    return choose_all({**defaults, **line}) or _choose_some(line, defaults, first)


def choose_all(pairs: Mapping[str, str]) -> tuple[Pair, ...] | None:
    """Return the dimensions with all of these pairs; None if they exceed the API's limits."""
    if len(pairs) > limits.DIMENSIONS_MAX or _size(pairs) > limits.DIMENSIONS_BYTES:
        return None
    return tuple(sorted(pairs.items())) or (PLACEHOLDER,)


def _choose_some(line: Mapping[str, str], defaults: Mapping[str, str], first: Sequence[str]) -> tuple[Pair, ...]:
    chosen: list[Pair] = []
    room = limits.DIMENSIONS_BYTES
    for key, value in _by_importance(line, defaults, first):
        room -= len(key) + len(value) + 2
        if room < 0 or len(chosen) == limits.DIMENSIONS_MAX:
            break
        chosen.append((key, value))
    return tuple(sorted(chosen)) or (PLACEHOLDER,)


def _size(pairs: Mapping[str, str]) -> int:
    return len("".join(pairs)) + len("".join(pairs.values())) + 2 * len(pairs)


def _by_importance(line: Mapping[str, str], defaults: Mapping[str, str], first: Sequence[str]) -> list[Pair]:
    host = line.get("host") or defaults.get("host")
    found = [("host", fit(host, limit=_HOST_BYTES))] if host else []
    before = [key for key in first if key in line]
    keys = [*before, *sorted(line.keys() - before)] if before else sorted(line)
    found += [(key, line[key]) for key in keys if key != "host"]
    if len(found) < limits.DIMENSIONS_MAX:
        found += [(key, defaults[key]) for key in sorted(defaults) if key != "host" and key not in line]
    return found


def default_dimensions(tags: Mapping[str, str]) -> frozenset[Pair]:
    """Return every dimension that a series may have without a tag of its line, given `[tags]`."""
    defaults = legal_pairs(tags.items())
    return frozenset((*defaults.items(), *choose({}, defaults)))
