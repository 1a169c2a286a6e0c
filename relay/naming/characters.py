"""Which characters the API takes, and what becomes of the others.

Whatever comes in, what goes out matches `[0-9A-Za-z._]*`.
"""

from __future__ import annotations

import re
from typing import Final

_LEGAL: Final = re.compile(r"[0-9A-Za-z._]*")
_BLANKS: Final = re.compile(r"\s+")
_UNDERSCORED: Final = str.maketrans("/-", "__")
_DROPPED: Final = re.compile(r"[^0-9A-Za-z._]")


def is_legal(text: str) -> bool:
    """Say whether the API takes `text` as it is (empty counts as legal)."""
    return _LEGAL.fullmatch(text) is not None


def clean_name(text: str) -> str:
    """Return a metric's or a tag key's legal form: blanks, `/` and `-` become `_`, the rest is dropped."""
    if is_legal(text):
        return text
    return _DROPPED.sub("", _BLANKS.sub("_", text).translate(_UNDERSCORED))


def clean_value(text: str) -> str:
    """Return a tag value's legal form: every illegal character becomes `_`, so that two values rarely meet."""
    return _DROPPED.sub("_", text)
