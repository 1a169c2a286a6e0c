"""Hides the names of a user in answers of the API and in lines of the log: each becomes a hash.

The key of the hash is drawn anew for each bundle, so equal names are equal within a bundle and cannot be guessed from
outside. The configuration is left as it is: its rules are needed to understand it.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

_FIELDS: Final = frozenset(
    {
        *("metric", "received", "became", "sent_as", "name", "names", "examples", "example", "unmatched"),
        *("line", "text", "sender", "peer", "address", "dimensions", "point", "toml", "pattern", "detail", "subject"),
        *("kept", "not_sent", "tag"),
    }
)
"""Fields that hold names, lines or addresses of senders."""
_ABOUT_NAMES: Final = re.compile("RLY(3..|402|407)")
"""Codes of problems whose sentences have names."""
_SENTENCES: Final = frozenset(("sentence", "cloud", "why", "fix", "safe", "next", "event"))
_SHORTEST: Final = 3
"""Characters of a name that is also looked for in sentences; shorter ones would hit common words."""


class NameHider:
    """State: the key, and every name that was hidden."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._known: dict[str, str] = {}

    def hide(self, value: Any, *, is_name: bool = False) -> Any:  # noqa: ANN401 - any JSON
        """Return decoded JSON with the texts in fields of names replaced."""
        match value:
            case dict():
                fields = _FIELDS | _SENTENCES if _ABOUT_NAMES.match(str(value.get("code", ""))) else _FIELDS
                return {key: self.hide(item, is_name=is_name or key in fields) for key, item in value.items()}
            case list():
                return [self.hide(item, is_name=is_name) for item in value]
            case str() if is_name and value:
                return self._hash(value)
        return value

    def hide_in_text(self, text: str) -> str:
        """Return a text in which every name that was hidden before is replaced."""
        words = sorted((name for name in self._known if len(name) >= _SHORTEST), key=len, reverse=True)
        if not words:
            return text
        return re.sub("|".join(map(re.escape, words)), lambda match: self._known[match[0]], text)

    def _hash(self, name: str) -> str:
        digest = hashlib.blake2b(name.encode(errors="surrogateescape"), key=self._key, digest_size=6).hexdigest()
        return self._known.setdefault(name, f"h:{digest}")
