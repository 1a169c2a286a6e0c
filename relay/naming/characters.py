"""Which characters the API takes, and what becomes of the others.

Whatever comes in, what goes out matches `[0-9A-Za-z._]*`. Of ASCII, what is illegal is rewritten or dropped, and texts
may meet. A dotted part with other characters becomes `xn__` and its Punycode (with `_` for `-`), so that texts that
differ after the rewriting of their ASCII stay different; one that gets too long is cut, with a hash of the whole.
Bytes that are no UTF-8 come as U+FFFD, or from the environment as surrogates: they are illegal as those of ASCII are.

Almost every text is legal as it is: that is asked first, and all else only of the others. Texts are rewritten as bytes
of UTF-8, many at once: names and tags are as long as anybody likes.
"""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Final

from relay import limits
from relay.naming.punycode import punycode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

LEGAL: Final = (string.digits + string.ascii_letters + "._").encode()
"""What the API takes of names, keys and values."""
PREFIX: Final = "xn__"
_TAG_BYTES: Final = 100
"""Of a key or a value with other characters than ASCII: one of each fits beside a host of 45 bytes."""
_LEGAL: Final = re.compile(r"[0-9A-Za-z._]*")
_DROPPED: Final = re.compile(r"[^0-9A-Za-z._,\x80-\ud7ff\ue000-\ufffc\ufffe-\U0010ffff]")
"""All that is illegal but commas, which part the texts that are rewritten at once."""
_BLANK: Final = b"\t\n\v\f\r\x1c\x1d\x1e\x1f "
_ILLEGAL: Final = bytes(set(range(128)) - set(LEGAL) - set(b","))
_BLANKS_TO_SPACES: Final = bytes.maketrans(_BLANK, b" " * len(_BLANK))
_UNDERSCORED: Final = bytes.maketrans(b" /-", b"___")
_GONE_FROM_NAMES: Final = bytes(set(_ILLEGAL) - set(b" /-"))
_ILLEGAL_TO_UNDERSCORES: Final = bytes.maketrans(_ILLEGAL, b"_" * len(_ILLEGAL))


def is_legal(text: str) -> bool:
    """Say whether the API takes `text` as it is (empty counts as legal)."""
    return _LEGAL.fullmatch(text) is not None


def has_illegal(text: str) -> bool:
    """Say whether a text holds illegal ASCII, or bytes that are no UTF-8."""
    return "," in text or _DROPPED.search(text) is not None


def has_others(text: str) -> bool:
    """Say whether a text holds other characters than ASCII, and so becomes Punycode."""
    return not _DROPPED.sub("", text).isascii()


def clean_name(text: str) -> str:
    """Return a metric's legal form: blanks, `/` and `-` become `_`, the rest of ASCII is dropped."""
    return text if is_legal(text) else _in_ascii(_rewrite_name(text.replace(",", "")), limits.NAME_BYTES)


def clean_key(text: str) -> str:
    """Return a tag key's legal form, which follows the rules of a metric's."""
    return text if is_legal(text) else _in_ascii(_rewrite_name(text.replace(",", "")), _TAG_BYTES)


def clean_value(text: str) -> str:
    """Return a tag value's legal form: every illegal character of ASCII becomes `_`, so that two values rarely meet."""
    return text if is_legal(text) else _in_ascii(_rewrite_value(text.replace(",", "_")), _TAG_BYTES)


def clean_pairs(pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Return what `clean_key` and `clean_value` make of each pair.

    Of more characters beyond ASCII than all dimensions of a point may have, the longest texts are cut shorter, at last
    to their hash: Punycode costs a microsecond a character, and a sender may send thousands.
    """
    keys, values = zip(*pairs, strict=True)
    texts = [*_rewrite_all(keys, "", _rewrite_name), *_rewrite_all(values, "_", _rewrite_value)]
    coded = _code_all(text for text in texts if not text.isascii())
    legal = [coded.get(text, text) for text in texts] if coded else texts
    return zip(legal[: len(pairs)], legal[len(pairs) :], strict=True)


def _rewrite_all(texts: Sequence[str], comma: str, rewrite: Callable[[str], str]) -> list[str]:
    """Rewrite the ASCII of many texts at once; `comma`: what a comma of their own becomes."""
    joined = ",".join(texts)
    if joined.count(",") >= len(texts):
        joined = ",".join(text.replace(",", comma) for text in texts)
    return rewrite(joined).split(",")


def _code_all(texts: Iterable[str]) -> dict[str, str]:
    room, coded = limits.DIMENSIONS_BYTES, dict[str, str]()
    for text in sorted(sorted(set(texts)), key=len):
        has_room = room > len(PREFIX) + limits.HASH_BYTES
        coded[text] = _in_ascii(text, min(room, _TAG_BYTES)) if has_room else PREFIX + limits.hashed(text)
        room -= len(coded[text])
    return coded


def _rewrite_name(text: str) -> str:
    """Rewrite the ASCII of names or keys; commas stay, and so do characters beyond ASCII."""
    raw = _in_utf_8(text).translate(_BLANKS_TO_SPACES)
    while b"  " in raw:
        raw = raw.replace(b"  ", b" ")
    return raw.translate(_UNDERSCORED, _GONE_FROM_NAMES).decode()


def _rewrite_value(text: str) -> str:
    """Rewrite the ASCII of values; commas stay, and so do characters beyond ASCII."""
    return _in_utf_8(text).translate(_ILLEGAL_TO_UNDERSCORES).decode()


def _in_utf_8(text: str) -> bytes:
    """Return a text in UTF-8, which has no byte of ASCII in other characters; with `?` for what was no UTF-8."""
    return text.replace("\ufffd", "?").encode("utf-8", "replace")


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
