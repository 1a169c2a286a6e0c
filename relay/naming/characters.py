"""Rewrites names, tag keys and tag values to the characters that the API accepts.

Invariant (I4): every result matches `[0-9A-Za-z._]*`.

- Illegal ASCII is replaced or dropped; different texts may then become equal.
- A dotted part with non-ASCII characters becomes `xn__` and its Punycode (with `_` for `-`). Parts that differ after
  the rewriting of their ASCII stay different. A result that is too long is cut, with a hash of the whole text.
- Invalid UTF-8 arrives as U+FFFD, or from the environment as surrogates; it is handled like illegal ASCII.

Almost every text is legal as received, which is checked first. The others are rewritten as UTF-8 bytes, many texts in
one call, since senders may send long names and many tags.
"""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Final

from relay import limits
from relay.names import HASH_BYTES, cut, hashed
from relay.naming.punycode import punycode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

LEGAL: Final = (string.digits + string.ascii_letters + "._").encode()
"""Bytes that the API accepts in names, keys and values."""
PREFIX: Final = "xn__"
_TAG_BYTES: Final = 100
"""Longest key or value with non-ASCII characters: one of each fits beside a host of 45 bytes."""
_LEGAL: Final = re.compile(r"[0-9A-Za-z._]*")
_DROPPED: Final = re.compile(r"[^0-9A-Za-z._,\x80-\ud7ff\ue000-\ufffc\ufffe-\U0010ffff]")
"""Every illegal character but the comma, which separates texts that are rewritten in one call."""
_BLANK: Final = b"\t\n\v\f\r\x1c\x1d\x1e\x1f "
_ILLEGAL: Final = bytes(set(range(128)) - set(LEGAL) - set(b","))
_BLANKS_TO_SPACES: Final = bytes.maketrans(_BLANK, b" " * len(_BLANK))
_UNDERSCORED: Final = bytes.maketrans(b" /-", b"___")
_GONE_FROM_NAMES: Final = bytes(set(_ILLEGAL) - set(b" /-"))
_ILLEGAL_TO_UNDERSCORES: Final = bytes.maketrans(_ILLEGAL, b"_" * len(_ILLEGAL))


def is_legal(text: str) -> bool:
    """Say whether the API accepts `text` unchanged; an empty text counts as legal."""
    return _LEGAL.fullmatch(text) is not None


def has_illegal(text: str) -> bool:
    """Say whether a text contains illegal ASCII or invalid UTF-8."""
    return "," in text or _DROPPED.search(text) is not None


def has_others(text: str) -> bool:
    """Say whether a text contains non-ASCII characters and so becomes Punycode."""
    return not _DROPPED.sub("", text).isascii()


def clean_name(text: str) -> str:
    """Return the legal form of a name: blanks, `/` and `-` become `_`, other illegal ASCII is dropped."""
    return text if is_legal(text) else _in_ascii(_rewrite_name(text.replace(",", "")), limits.NAME_BYTES)


def clean_key(text: str) -> str:
    """Return the legal form of a tag key; the replacements are those of a name."""
    return text if is_legal(text) else _in_ascii(_rewrite_name(text.replace(",", "")), _TAG_BYTES)


def clean_value(text: str) -> str:
    """Return the legal form of a tag value: each illegal ASCII character becomes `_`, so values rarely become equal."""
    return text if is_legal(text) else _in_ascii(_rewrite_value(text.replace(",", "_")), _TAG_BYTES)


def clean_pairs(pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Return each pair in its legal form, as `clean_key` and `clean_value` do.

    All non-ASCII texts together get as many bytes as the dimensions of a point may have. Shorter texts are encoded
    first; the longest are cut, or replaced by their hash. Punycode takes a microsecond per character, and a sender may
    send thousands.
    """
    keys, values = zip(*pairs, strict=True)
    texts = [*_rewrite_all(keys, "", _rewrite_name), *_rewrite_all(values, "_", _rewrite_value)]
    coded = _code_all(text for text in texts if not text.isascii())
    legal = [coded.get(text, text) for text in texts] if coded else texts
    return zip(legal[: len(pairs)], legal[len(pairs) :], strict=True)


def _rewrite_all(texts: Sequence[str], comma: str, rewrite: Callable[[str], str]) -> list[str]:
    """Rewrite the ASCII of many texts in one call; `comma` replaces commas within a text."""
    joined = ",".join(texts)
    if joined.count(",") >= len(texts):
        joined = ",".join(text.replace(",", comma) for text in texts)
    return rewrite(joined).split(",")


def _code_all(texts: Iterable[str]) -> dict[str, str]:
    room, coded = limits.DIMENSIONS_BYTES, dict[str, str]()
    for text in sorted(sorted(set(texts)), key=len):
        has_room = room > len(PREFIX) + HASH_BYTES
        coded[text] = _in_ascii(text, min(room, _TAG_BYTES)) if has_room else PREFIX + hashed(text)
        room -= len(coded[text])
    return coded


def _rewrite_name(text: str) -> str:
    """Rewrite the ASCII of names or keys; commas and non-ASCII characters stay."""
    raw = _in_utf_8(text).translate(_BLANKS_TO_SPACES)
    while b"  " in raw:
        raw = raw.replace(b"  ", b" ")
    return raw.translate(_UNDERSCORED, _GONE_FROM_NAMES).decode()


def _rewrite_value(text: str) -> str:
    """Rewrite the ASCII of values; commas and non-ASCII characters stay."""
    return _in_utf_8(text).translate(_ILLEGAL_TO_UNDERSCORES).decode()


def _in_utf_8(text: str) -> bytes:
    """Return a text as UTF-8, in which ASCII bytes only ever encode ASCII; invalid input becomes `?`."""
    return text.replace("\ufffd", "?").encode("utf-8", "replace")


def _in_ascii(text: str, limit: int) -> str:
    """Return a text without illegal ASCII in legal characters; `limit` bounds a result with Punycode, and the work."""
    if text.isascii():
        return text
    coded, room = [], limit
    for part in text[:limit].split("."):
        coded.append(part if part.isascii() else PREFIX + punycode(part, most=limit, delimiter="_"))
        room -= len(coded[-1]) + 1
        if room < 0:
            break
    # Punycode has at least one character for each character of the text: a text beyond the limit never fits.
    joined = ".".join(coded)
    is_whole = len(text) <= limit and len(joined) <= limit
    return joined if is_whole else cut(joined, of=text, limit=limit)
