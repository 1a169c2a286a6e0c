"""The source of the configuration in force: the file, its content, the origin of each key, and the generation.

The values in force are the relay's (`Relay.config`). Not known here: when a value changes (reload.py).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from relay.config.loading import Loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigInForce:
    """The source of the configuration that was accepted last."""

    path: Path | None = None
    sha256: str = ""
    """Of the content of the file; "" without a file."""
    origins: Mapping[str, str] = field(default_factory=dict, repr=False)
    """`table.key` -> where its value comes from; a key that is absent has its default."""
    generation: int = 1
    """1 at the first start, and one more for each reload since, over the death of any worker."""
    since: float = 0.0
    """Wall time at which it was accepted."""

    @classmethod
    def of(cls, loaded: Loaded, *, generation: int, since: float) -> ConfigInForce:
        """Return the source of a loaded configuration."""
        return cls(
            path=loaded.path,
            sha256=fingerprint(loaded.text),
            origins=loaded.origins,
            generation=generation,
            since=since,
        )

    def followed_by(self, loaded: Loaded, *, since: float) -> ConfigInForce:
        """Return the next generation."""
        return ConfigInForce.of(loaded, generation=self.generation + 1, since=since)

    def with_origins(self, origins: Mapping[str, str], *, of: Collection[str]) -> ConfigInForce:
        """Return the same generation with other origins of some keys, which change later than the others.

        Args:
            origins: of all keys.
            of: keys, and tables without a key, of which `origins` holds.
        """
        others = {key: origin for key, origin in self.origins.items() if not _is_among(key, of)}
        return replace(self, origins=others | {key: one for key, one in origins.items() if _is_among(key, of)})


def _is_among(key: str, keys: Collection[str]) -> bool:
    return key in keys or key.partition(".")[0] in keys


def fingerprint(content: str | None) -> str:
    """Return a hash of a file's content; "" for None."""
    return "" if content is None else hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()
