"""The open window's partial on disk: written at stop, merged at the next start, void once its window is committed.

One file in the state directory, `open-<window id>.partial`, replaced atomically. The bytes are the hot path's; this
file neither reads nor checks them. Every method blocks: call it from a thread.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_NAME: Final = re.compile(r"open-(\d{1,12})\.partial")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A partial that is still owed to the cloud."""

    window: int
    frames: bytes


@dataclass(frozen=True, slots=True)
class PartialFile:
    """State: none; the directory is the state."""

    directory: Path

    def load(self, committed: Collection[int]) -> Found | None:
        """Return the partial of the newest window that is not committed; remove those that are.

        Raises:
            OSError: the directory cannot be read.
        """
        found: Found | None = None
        for path in sorted(self.directory.iterdir()):
            match = _NAME.fullmatch(path.name)
            if match is None or path.is_symlink():
                continue
            if int(match[1]) in committed:
                path.unlink(missing_ok=True)
            else:
                found = Found(window=int(match[1]), frames=path.read_bytes())
        return found

    def save(self, window: int, frames: bytes) -> None:
        """Replace the partial; it is on disk when this returns.

        Raises:
            OSError: disk full, read-only.
        """
        fresh = self.directory / "open.partial.new"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - the descriptor was opened with O_NOFOLLOW
            file.write(frames)
            file.flush()
            os.fsync(file.fileno())
        final = self.directory / f"open-{window}.partial"
        fresh.rename(final)
        self._drop_others(final)

    def drop(self) -> None:
        """Remove what is there: its window has been committed."""
        self._drop_others(None)

    def _drop_others(self, keep: Path | None) -> None:
        for path in self.directory.glob("open-*.partial"):
            if path != keep:
                path.unlink(missing_ok=True)
