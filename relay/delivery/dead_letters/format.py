"""Dead letters as they lie in the state directory: names of the files, one line's form, and how to read them.

`dead-letters-000001.ndjson` and so on, oldest first; a line is one point with what became of it. Whatever reads them
(the relay, the commands) reads them here. Invariant: a damaged line costs only itself; it is counted and skipped, and
nothing here ever removes it. A letter's identity is its point: two letters of the same bytes are the same point.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple

import msgspec
import xxhash

from relay import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_NAME: Final = re.compile(r"dead-letters-(\d{6,12})\.ndjson")
LINE_MOST: Final = 256 * 1024
"""Bytes of one line; a point is a hundredth of that. Longer ones are damaged, and read in pieces of this size."""

REASONS: Final = ("refused_point", "refused_request", "unreadable_answer", "too_old", "ambiguous", "too_large")
"""Why a point died: every reason there is."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a file."""

    v: Literal[1] = 1
    """Version of the form; lines of another one are left alone."""
    time: str
    """When it died, RFC 3339 in UTC."""
    reason: str
    detail: str
    """The cloud's own words."""
    request_id: str = ""
    http: int | None = None
    """Status of the last answer; None if there was none."""
    attempts: int = 1
    window: Annotated[int, msgspec.Meta(ge=0, le=limits.YEAR_MAX)]
    """Id of its window, unix seconds."""
    point: msgspec.Raw
    """Exactly as it was sent."""


class _Named(msgspec.Struct):
    metric: str


class Read(NamedTuple):
    """A letter and the line it stands in."""

    letter: DeadLetter
    metric: str
    line: bytes
    """With its newline."""

    @property
    def identity(self) -> bytes:
        """16 bytes that are the same for the same point."""
        return xxhash.xxh3_128_digest(bytes(self.letter.point))


_decode_letter: Final = msgspec.json.Decoder(DeadLetter).decode
_decode_point: Final = msgspec.json.Decoder(_Named).decode
encode_letter: Final = msgspec.json.Encoder().encode


def metric_of(point: bytes) -> str:
    """Return the metric of a point as it is sent.

    Raises:
        ValueError: it is none.
    """
    return _decode_point(point).metric


def decode_line(line: bytes) -> Read | None:
    """Return the letter of a line; None if it is damaged, cut or of another version."""
    if not line.endswith(b"\n"):
        return None
    try:
        letter = _decode_letter(line)
        return Read(letter, metric_of(letter.point), line)
    except (msgspec.MsgspecError, ValueError):
        return None


def letter_files(directory: Path) -> list[Path]:
    """Return the files, oldest first; what only looks like one (a symbolic link, a directory) is not in the list.

    Raises:
        OSError: the directory cannot be read.
    """
    with os.scandir(directory) as entries:
        names = [
            entry.name for entry in entries if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
        ]
    return [directory / name for name in sorted(names, key=number_of)]


def number_of(name: str) -> int:
    """Return the number of a file; 0 if it is none of ours."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else 0


def lines_of(path: Path, offset: int = 0) -> Iterator[bytes]:
    """Yield the lines of a file from a byte offset on, each with its newline unless it is cut.

    Raises:
        OSError: it cannot be read, or is a symbolic link.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - the descriptor was opened with O_NOFOLLOW
        file.seek(offset)
        while line := file.readline(LINE_MOST):
            yield line


@dataclass(slots=True)
class LetterReader:
    """State: how many lines were damaged so far. `progress` is told the bytes of each line."""

    progress: Callable[[int], object] = lambda _: None
    damaged: Counter[str] = field(default_factory=Counter)
    """By the name of the file."""

    def read(self, paths: Iterable[Path]) -> Iterator[Read]:
        """Yield the letters of these files; one that disappears meanwhile is skipped.

        Raises:
            OSError: a file cannot be read.
        """
        for path in paths:
            try:
                yield from self._read_file(path)
            except FileNotFoundError:
                continue

    def _read_file(self, path: Path) -> Iterator[Read]:
        for line in lines_of(path):
            self.progress(len(line))
            found = decode_line(line)
            if found is None:
                self.damaged[path.name] += 1
            else:
                yield found
