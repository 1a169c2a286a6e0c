"""Where settings come from: a TOML file, read with the place of every key, so that a problem can point at it."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, get_origin

from relay.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

_HEADER: Final = re.compile(r"\s*(\[+)\s*([\w.\-\"' ]+?)\s*\]+")
_ASSIGNMENT: Final = re.compile(r"(\s*)([\w\-]+|\"[^\"]*\"|'[^']*')\s*[=.]")
_SECRET: Final = re.compile(r"((?:secret_key|session_token)[\"']?\s*=\s*).*")
_AT_LINE: Final = re.compile(r" \(at line (\d+), column (\d+)\)")
_FILE_BYTES: Final = 1_048_576


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A line of a file, or a variable, or a flag."""

    source: str = ""
    line: int = 0
    column: int = 1
    text: str = ""
    width: int = 1

    def problem(self, *, code: str, message: str, fix: str = "") -> Problem:
        """Return an error that points here."""
        return Problem(
            code=code,
            message=message,
            fix=fix,
            source=self.source,
            line=self.line,
            column=self.column,
            text=self.text,
            width=self.width,
        )

    def without_value(self) -> Place:
        """Return the place with its key alone: who knows what belongs to a key that nobody knows."""
        return replace(self, text=self.text[: self.column - 1 + self.width])

    def origin(self) -> str:
        """Return where this is, in a few words."""
        return f"{self.source}:{self.line}" if self.line else self.source


UNKNOWN: Final = Place()


@dataclass(frozen=True, slots=True)
class Setting:
    """One value that somebody gave."""

    key: str
    """`table.key`."""
    value: Any
    place: Place
    from_text: bool = False
    """It comes from a variable, so that numbers and lists are texts as well."""
    inner: Mapping[str, Place] = field(default_factory=dict)
    """Of a list of tables: where each `table.NUMBER` and `table.NUMBER.key` stands."""

    def typed(self, value: Any, type_: Any) -> Any:  # noqa: ANN401 - before validation, a value is anything
        """Return the value; a list in a variable is separated by commas."""
        if self.from_text and get_origin(type_) is list and isinstance(value, str):
            return [item.strip() for item in value.split(",") if item.strip()]
        return value


def without_secret(line: str) -> str:
    """Return a line as it may be shown: whatever follows a secret's key is masked."""
    return _SECRET.sub(r"\1***", line)


def closest(word: str, known: Collection[str], form: str = "{}") -> str:
    """Return a fix that names what was probably meant, or what there is."""
    near = difflib.get_close_matches(word, list(known), n=1)
    if near:
        return f"did you mean {form.format(near[0])}?"
    return f"known: {', '.join(form.format(name) for name in sorted(known))}"


def read_text(path: Path) -> str:
    """Read a configuration.

    Raises:
        ConfigError: RLY103, it cannot be read, is too long, or is not text.
    """
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(Problem(code="RLY103", message=f"{path} is not UTF-8 text")) from error


def read_bytes(path: Path) -> bytes:
    """Read a file of at most 1 MiB.

    Raises:
        ConfigError: RLY103, it cannot be read, or is longer.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_BYTES + 1)
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise ConfigError(Problem(code="RLY103", message=message, fix="name a file that this user can read")) from error
    if len(content) > _FILE_BYTES:
        fix = "no configuration is so long: name another file"
        raise ConfigError(Problem(code="RLY103", message=f"{path} is longer than {_FILE_BYTES} bytes", fix=fix))
    return content


def parse(path: Path, text: str) -> list[Setting]:
    """Return every setting of a TOML file with this text.

    Raises:
        ConfigError: RLY103, it is not TOML.
    """
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_not_toml(path, text, str(error))) from error
    places = dict(_places(path, text))
    return list(_settings(parsed, places, str(path)))


def _settings(parsed: dict[str, Any], places: dict[str, Place], source: str) -> Iterator[Setting]:
    for table, content in parsed.items():
        if not isinstance(content, dict):
            place = places.get(f".{table}") or places.get(f"{table}.1") or Place(source=source)
            yield Setting(table, content, place, inner=places)
            continue
        for name, value in content.items():
            key = f"{table}.{name}"
            yield Setting(
                key, value, places.get(key) or places.get(f".{table}") or places.get(table) or Place(source=source)
            )


def _places(path: Path, text: str) -> Iterator[tuple[str, Place]]:
    """Yield `table` and `table.key` with their lines; a key inside a nested value has none of its own.

    The tables of a list are numbered from 1, `rule.2` and `rule.2.match`; `[rule.tags]` belongs to the latest.
    """
    table = ""
    counts: Counter[str] = Counter()
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        assignment = _ASSIGNMENT.match(line)
        if header and not assignment:
            table = _numbered(header[2].strip("\"' "), counts, is_listed=header[1] == "[[")
            yield (
                table,
                Place(source=str(path), line=number, column=header.start(2) + 1, text=line, width=len(header[2])),
            )
        elif assignment:
            name = assignment[2]
            shown = without_secret(line)
            place = Place(source=str(path), line=number, column=len(assignment[1]) + 1, text=shown, width=len(name))
            yield f"{table}.{name.strip(chr(34) + chr(39))}", place


def _numbered(table: str, counts: Counter[str], *, is_listed: bool) -> str:
    counts[table] += is_listed
    first, dot, rest = table.partition(".")
    return f"{first}.{counts[first]}{dot}{rest}" if counts[first] else table


def _not_toml(path: Path, text: str, message: str) -> Problem:
    where = _AT_LINE.search(message)
    lines = text.splitlines() or [""]
    line = int(where[1]) if where else len(lines)
    shown = without_secret(lines[min(line, len(lines)) - 1])
    return Problem(
        code="RLY103",
        message=f"not TOML: {_AT_LINE.sub('', message)}",
        fix='values that are texts need quotes, as in region = "cn-north-1"',
        source=str(path),
        line=line,
        column=int(where[2]) if where else 1,
        text=shown,
    )
