"""The file format of dead letters: names of the files, the form of a line, and how to read them.

The files are `dead-letters-000001.ndjson` and so on, oldest first. A line is one point with the reason of its loss. The
relay and the commands both read through this module. Invariant: a damaged line is counted and skipped, and does not
affect other lines. Two letters with the same bytes of a point have the same identity. Not known here: how files are
written, locked and removed.
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
from relay.delivery.state.private_files import open_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_NAME: Final = re.compile(r"dead-letters-(\d{6,12})\.ndjson")
LINE_MAX: Final = 256 * 1024
"""Bytes of a line; a point has a hundredth of that. A longer line is damaged, and is read in pieces of this size."""

REASONS: Final = ("refused_point", "refused_request", "unreadable_answer", "too_old", "ambiguous", "too_large")
"""All reasons of dead letters."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a file."""

    v: Literal[1] = 1
    """Version of the form; a line of another version counts as damaged."""
    time: str
    """Time of the refusal or drop, RFC 3339 in UTC."""
    reason: str
    detail: str
    """The cloud's text, or the relay's for a dropped point."""
    request_id: str = ""
    http: int | None = None
    """Status of the last answer; None if there was none."""
    attempts: int = 1
    window: Annotated[int, msgspec.Meta(ge=0, le=limits.YEAR_MAX)]
    """Id of the point's window, Unix seconds."""
    point: msgspec.Raw
    """The bytes of the point as they were sent."""


class _Named(msgspec.Struct):
    metric: str


class LetterLine(NamedTuple):
    """A letter and its line."""

    letter: DeadLetter
    metric: str
    line: bytes
    """The line with its newline."""

    @property
    def identity(self) -> bytes:
        """128-bit hash of the point's bytes."""
        return xxhash.xxh3_128_digest(bytes(self.letter.point))


_decode_letter: Final = msgspec.json.Decoder(DeadLetter).decode
_decode_point: Final = msgspec.json.Decoder(_Named).decode
encode_letter: Final = msgspec.json.Encoder().encode


def metric_of(point: bytes) -> str:
    """Return the metric of an encoded point.

    Raises:
        ValueError: the bytes are not a point.
    """
    return _decode_point(point).metric


def decode_line(line: bytes) -> LetterLine | None:
    """Return the letter of a line; None if it is damaged, cut or of another version."""
    if not line.endswith(b"\n"):
        return None
    try:
        letter = _decode_letter(line)
        return LetterLine(letter, metric_of(letter.point), line)
    except (msgspec.MsgspecError, ValueError):
        return None


def letter_files(directory: Path) -> list[Path]:
    """Return the regular files with a name of dead letters, oldest first.

    Raises:
        OSError: the directory cannot be read.
    """
    with os.scandir(directory) as entries:
        names = [
            entry.name for entry in entries if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
        ]
    return [directory / name for name in sorted(names, key=number_of)]


def number_of(name: str) -> int:
    """Return the number in the name of a file; 0 for any other name."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else 0


def lines_of(path: Path, offset: int = 0) -> Iterator[bytes]:
    """Yield the lines of a file from a byte offset on, each with its newline unless it is cut.

    Raises:
        OSError: the file cannot be read, or is a symbolic link.
    """
    with open(open_private(path, os.O_RDONLY), "rb") as file:  # noqa: PTH123 - a descriptor
        file.seek(offset)
        while line := file.readline(LINE_MAX):
            yield line


@dataclass(slots=True)
class LetterReader:
    """State: the number of damaged lines so far. `progress` is called with the bytes of each line."""

    progress: Callable[[int], object] = lambda _: None
    damaged: Counter[str] = field(default_factory=Counter)
    """Damaged lines by name of the file."""

    def read(self, paths: Iterable[Path]) -> Iterator[LetterLine]:
        """Yield the letters of these files; a file removed meanwhile is skipped.

        Raises:
            OSError: a file cannot be read.
        """
        for path in paths:
            try:
                yield from self._read_file(path)
            except FileNotFoundError:
                continue

    def _read_file(self, path: Path) -> Iterator[LetterLine]:
        for line in lines_of(path):
            self.progress(len(line))
            found = decode_line(line)
            if found is None:
                self.damaged[path.name] += 1
            else:
                yield found
