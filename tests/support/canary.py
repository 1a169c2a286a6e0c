"""The secret canary: the relay gets a known secret, and all of its output is searched for it (I10).

A secret is searched as it is, in hex, in base64 at each of its three alignments, and escaped as JSON and as a URL.
Signed headers count as secrets too. Requests in a spool are inflated first.
"""

from __future__ import annotations

import base64
import json
import re
import sqlite3
import zlib
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SECRET_VARIABLE = re.compile(r"SECRET(_ACCESS)?_KEY$|ACCESS_KEY_SECRET$|SESSION_TOKEN$")
_SIGNED = (re.compile(rb"JDCLOUD\d-HMAC-SHA256 Credential="), re.compile(rb"Signature=[0-9a-f]{8}"))
"""Two patterns that each begin with letters: one joint pattern takes eight times as long, 5 s in a run."""


@dataclass
class Canary:
    """State: the secrets, and how much was searched."""

    secrets: set[str] = field(default_factory=set)
    files: int = 0
    bytes: int = 0

    def know(self, environ: Mapping[str, str]) -> None:
        """Add the secrets of a process's environment."""
        self.secrets |= {value for name, value in environ.items() if _SECRET_VARIABLE.search(name) and value}

    def search(self, *places: Path | bytes | str) -> list[str]:
        """Return every place that shows a secret; searched are folders, files and texts."""
        shapes = [shape for secret in self.secrets for shape in shapes_of(secret)]
        assert shapes, "no secret is known"
        return [
            f"{name}: {hit[:60]!r}"
            for place in places
            for name, content in self._contents(place)
            for hit in (*(shape for shape in shapes if shape in content), *signed(content))
        ]

    def _contents(self, place: Path | bytes | str) -> Iterator[tuple[str, bytes]]:
        if isinstance(place, Path):
            for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
                if path.is_file() and not path.is_symlink():
                    yield from self._file(path)
        else:
            content = place.encode() if isinstance(place, str) else place
            self.bytes += len(content)
            yield "text", content

    def _file(self, path: Path) -> Iterator[tuple[str, bytes]]:
        content = path.read_bytes()
        if self._may_hold(path, content):
            return
        self.files += 1
        self.bytes += len(content)
        yield str(path), content
        if content.startswith(b"SQLite format 3\0"):
            for number, body in enumerate(bodies(path)):
                yield f"{path} batch {number}", body

    def _may_hold(self, path: Path, content: bytes) -> bool:
        """Say whether a test wrote this file for the relay to read the secret from."""
        return path.suffix == ".toml" or content.strip() in {secret.encode() for secret in self.secrets}


def bodies(path: Path) -> Iterator[bytes]:
    """Yield the requests of a spool; as far as it can be read, since tests damage them."""
    with suppress(sqlite3.Error, zlib.error), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        for (body,) in database.execute("SELECT body FROM batches"):
            yield zlib.decompress(body)


def signed(content: bytes) -> list[bytes]:
    """Return the matches that look like the header of a signed request."""
    return [hit for pattern in _SIGNED for hit in pattern.findall(content)]


def shapes_of(secret: str) -> set[bytes]:
    """Return the forms that a secret may have in a file."""
    raw = secret.encode()
    inner = {base64.b64encode(b"x" * shift + raw)[4 * (shift > 0) : -4] for shift in range(3)}
    return {raw, raw.hex().encode(), json.dumps(secret)[1:-1].encode(), quote(secret, safe="").encode(), *inner}
