"""Punycode (RFC 3492): a text of any characters as letters and digits of ASCII, of which no two texts have the same.

Written here because Python's codec takes the square of a text's length, and texts come from anybody: this one takes
`n log n`, and stops where its result is too long to be sent.
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
    """Return the Punycode of a text; of a longer one than `most` characters its first `most` or some more.

    The delimiter stands between the text's ASCII characters and the digits for the others, if there are both.
    """
    basic = "".join(char for char in text if char.isascii())
    places = [place for place, char in enumerate(text) if char.isascii()]
    coded, bias = basic + delimiter if basic else "", _INITIAL_BIAS
    code, at = _ASCII, 0
    for char, place in sorted((char, place) for place, char in enumerate(text) if not char.isascii()):
        if len(coded) > most:
            break
        index, size = bisect_left(places, place), len(places) + 1
        delta = (ord(char) - code) * size + index - at
        coded += _number(delta, bias)
        bias = _adapted(delta, size, is_first=len(places) == len(basic))
        places.insert(index, place)
        code, at = ord(char), index + 1
    return coded


def _number(delta: int, bias: int) -> str:
    """Return a number in digits of generalised variable length (section 3.3)."""
    digits, start = "", _BASE
    while True:
        threshold = start - bias
        threshold = _T_MIN if threshold < _T_MIN else _T_MAX if threshold > _T_MAX else threshold  # noqa: FURB136 - min and max take half of the time
        if delta < threshold:
            return digits + _DIGITS[delta]
        delta, digit = divmod(delta - threshold, _BASE - threshold)
        digits += _DIGITS[threshold + digit]
        start += _BASE


def _adapted(delta: int, size: int, *, is_first: bool) -> int:
    """Return the bias for the next number (section 6.1)."""
    delta //= _DAMP if is_first else 2
    delta += delta // size
    rounds = 0
    while delta > (_BASE - _T_MIN) * _T_MAX // 2:
        delta //= _BASE - _T_MIN
        rounds += _BASE
    return rounds + (_BASE - _T_MIN + 1) * delta // (delta + _SKEW)
