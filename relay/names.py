"""A name within a limit of bytes: a longer one is cut and ends in a hash of the whole, so two long names stay two.

Both hot paths, naming and what explains them must cut alike.
"""

from __future__ import annotations

from typing import Final

import xxhash

from relay import limits

HASH_BYTES: Final = 9
"""Length of the suffix that marks a cut text, see `hashed`."""


def fit(text: str, suffix: str = "", *, limit: int = limits.NAME_BYTES) -> str:
    """Return text + suffix within `limit` bytes.

    A longer text is cut and ends in "." and 8 hex digits of its XXH32, so two long names stay two metrics.

    Args:
        text: ASCII, any length.
        suffix: ASCII, a few bytes; always kept whole.
        limit: bytes, at least 9 more than the suffix has.
    """
    whole = text + suffix
    return whole if len(whole) <= limit else cut(text, suffix, of=text, limit=limit)


def cut(text: str, suffix: str = "", *, of: str, limit: int) -> str:
    """Return the beginning of `text`, the hash of `of` and the suffix, `limit` bytes at most.

    Args:
        text: ASCII.
        suffix: ASCII; kept whole.
        of: the original text; texts that differ in it get different results.
        limit: bytes.
    """
    tail = hashed(of) + suffix
    return text[: limit - len(tail)] + tail


def hashed(text: str) -> str:
    """Return the suffix that marks a cut text: "." and 8 hex digits of its XXH32."""
    return f".{xxhash.xxh32_hexdigest(text.encode())}"
