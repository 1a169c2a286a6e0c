"""Prints maps of names as Node's util.inspect does, the format that scripts for the reference daemon read.

It covers the values that occur here. Keys are names of series, without quotes, blanks and control characters, so no key
needs an escape. Values are texts made by `number`, or `[]`.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][0-9A-Za-z_]*")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,9}")
_INDEX_MOST: Final = 2**32 - 2
"""Largest array index; a larger number is an ordinary key."""
_LINE: Final = 80
"""inspect's breakLength."""
_ON_ONE_LINE: Final = 11
"""Added to the length of the entries, and two for each entry, before inspect compares the sum with breakLength."""
_EXACT: Final = 2.0**53


def number(value: float) -> str:
    """Return a finite number as JavaScript writes it: `7`, `0.1`, `1e+21`, `1e-7`, `-0`."""
    if value.is_integer() and abs(value) < _EXACT:
        return "-0" if value == 0 and math.copysign(1, value) < 0 else str(int(value))
    shortest = Decimal(repr(abs(value))).normalize().as_tuple()
    digits = "".join(map(str, shortest.digits))
    point = len(digits) + int(shortest.exponent)
    return ("-" if value < 0 else "") + _placed(digits, point)


def _placed(digits: str, point: int) -> str:
    """Write digits with the decimal point after the first `point` of them (ECMA-262, Number::toString)."""
    if 0 < point <= 21:
        whole, fraction = digits[:point].ljust(point, "0"), digits[point:]
        return f"{whole}.{fraction}" if fraction else whole
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"


def inspect(entries: Mapping[str, str], *, hidden: int = 0) -> Iterator[str]:
    """Yield the text of a map, piece by piece.

    Args:
        entries: names and the texts of their values; names that look like an array index come first.
        hidden: how many entries are left out; Node's format has no such line for a map.
    """
    shown = (f"{_key(name)}: {entries[name]}" for name in _in_order(entries))
    texts = chain(shown, [f"... {hidden} more items"] if hidden else [])
    first = list(islice(texts, _LINE))
    if not first:
        yield "{}"
    elif sum(map(len, first)) + 2 * len(first) + _ON_ONE_LINE <= _LINE:
        yield f"{{ {', '.join(first)} }}"
    else:
        yield f"{{\n  {first[0]}"
        yield from (f",\n  {text}" for text in chain(first[1:], texts))
        yield "\n}"


def _in_order(names: Mapping[str, str]) -> list[str]:
    """Return the names in Node's order: array indexes first, ascending; then the others in their order."""
    first = sorted((name for name in names if _is_index(name)), key=int)
    return [*first, *(name for name in names if not _is_index(name))] if first else list(names)


def _is_index(name: str) -> bool:
    return _INDEX.fullmatch(name) is not None and int(name) <= _INDEX_MOST


def _key(name: str) -> str:
    if name == "__proto__":
        return "['__proto__']"
    return name if _IDENTIFIER.fullmatch(name) else f"'{name}'"
