"""Which characters the API takes, and what becomes of the others.

Whatever comes in, what goes out matches `[0-9A-Za-z._]*`. Of ASCII, what is illegal is rewritten or dropped, and texts
may meet. A dotted part with other characters becomes `xn__` and its Punycode (with `_` for `-`), so that texts that
differ after the rewriting of their ASCII stay different; one that gets too long is cut, with a hash of the whole.
Bytes that are no UTF-8 come as U+FFFD, or from the environment as surrogates: they are illegal as those of ASCII are.

Almost every text is legal as it is: that is asked first, and all else only of the others.
"""

from __future__ import annotations

import re
from typing import Final

from relay import limits
from relay.naming.punycode import punycode

PREFIX: Final = "xn__"
_TAG_BYTES: Final = 100
"""Of a key or a value with other characters than ASCII: one of each fits beside a host of 45 bytes."""
_LEGAL: Final = re.compile(r"[0-9A-Za-z._]*")
_BLANKS: Final = re.compile(r"[\t-\r\x1c-\x1f ]+")
_DROPPED: Final = re.compile(r"[^0-9A-Za-z._\x80-\ud7ff\ue000-\ufffc\ufffe-\U0010ffff]")


def is_legal(text: str) -> bool:
    """Say whether the API takes `text` as it is (empty counts as legal)."""
    return _LEGAL.fullmatch(text) is not None


def has_illegal(text: str) -> bool:
    """Say whether a text holds illegal ASCII, or bytes that are no UTF-8."""
    return _DROPPED.search(text) is not None


def has_others(text: str) -> bool:
    """Say whether a text holds other characters than ASCII, and so becomes Punycode."""
    return not _DROPPED.sub("", text).isascii()


def clean_name(text: str) -> str:
    """Return a metric's legal form: blanks, `/` and `-` become `_`, the rest of ASCII is dropped."""
    return text if is_legal(text) else _in_ascii(_underscored(text), limits.NAME_BYTES)


def clean_key(text: str) -> str:
    """Return a tag key's legal form, which follows the rules of a metric's."""
    return text if is_legal(text) else _in_ascii(_underscored(text), _TAG_BYTES)


def clean_value(text: str) -> str:
    """Return a tag value's legal form: every illegal character of ASCII becomes `_`, so that two values rarely meet."""
    return text if is_legal(text) else _in_ascii(_DROPPED.sub("_", text), _TAG_BYTES)


def _underscored(text: str) -> str:
    return _DROPPED.sub("", _BLANKS.sub("_", text).replace("/", "_").replace("-", "_"))


def _in_ascii(text: str, limit: int) -> str:
    """Return a text without illegal ASCII in legal characters; `limit` holds for one with others, and for the work."""
    if text.isascii():
        return text
    coded, room = [], limit
    for part in text[:limit].split("."):
        coded.append(part if part.isascii() else PREFIX + punycode(part, most=limit, delimiter="_"))
        room -= len(coded[-1]) + 1
        if room < 0:
            break
    # Punycode has at least a character for each one of the text: a text over the limit never fits.
    joined = ".".join(coded)
    is_whole = len(text) <= limit and len(joined) <= limit
    return joined if is_whole else limits.cut(joined, of=text, limit=limit)
