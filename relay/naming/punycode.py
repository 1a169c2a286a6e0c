"""Punycode (RFC 3492): encodes a text as ASCII letters and digits; different texts have different codes.

Python's codec takes time quadratic in the length of a text, and senders choose the length. This implementation takes
`n log n`, and stops when the result is too long to be sent.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

_DIGITS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
_BASE: Final = 36
_T_MIN: Final = 1
_T_MAX: Final = 26
_SKEW: Final = 38
_DAMP: Final = 700
_INITIAL_BIAS: Final = 72
_ASCII: Final = 128


def punycode(text: str, *, most: int, delimiter: str = "-") -> str:
    """Return the Punycode of a text; encoding stops once the result exceeds `most` characters.

    The ASCII characters of the text come first. If there are any, the delimiter separates them from the encoded others.
    """
    basic = "".join([char for char in text if char.isascii()])
    places = [place for place, char in enumerate(text) if char.isascii()]
    coded, bias, damp = basic + delimiter if basic else "", _INITIAL_BIAS, _DAMP
    code, at, size = _ASCII, 0, len(basic) + 1
    for char, place in sorted([(char, place) for place, char in enumerate(text) if not char.isascii()]):
        if len(coded) > most:
            break
        index = bisect_left(places, place)
        delta = (ord(char) - code) * size + index - at
        coded += _number(delta, _BASE - bias)
        bias, damp = _adapted(delta // damp, size), 2
        places.insert(index, place)
        code, at, size = ord(char), index + 1, size + 1
    return coded


def _number(delta: int, threshold: int) -> str:
    """Return a number as generalised variable-length digits (section 3.3); `threshold` is that of the first digit."""
    digits = ""
    while True:
        least = _T_MIN if threshold < _T_MIN else _T_MAX if threshold > _T_MAX else threshold  # noqa: FURB136 - min and max take half of the time
        if delta < least:
            return digits + _DIGITS[delta]
        delta, digit = divmod(delta - least, _BASE - least)
        digits += _DIGITS[least + digit]
        threshold += _BASE


def _adapted(delta: int, size: int) -> int:
    """Return the bias for the next number (section 6.1), from the damped delta."""
    delta += delta // size
    rounds = 0
    while delta > (_BASE - _T_MIN) * _T_MAX // 2:
        delta //= _BASE - _T_MIN
        rounds += _BASE
    return rounds + (_BASE - _T_MIN + 1) * delta // (delta + _SKEW)
