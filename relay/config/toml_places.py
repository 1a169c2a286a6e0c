"""Where settings come from: a TOML file, read with the place of every key, so that a problem can point at it."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

from relay.config.schema import Config, fields_of
from relay.config.secret_files import PATIENCE, read_bounded
from relay.config.types import mask_urls
from relay.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

_HEADER: Final = re.compile(r"\s*(\[+)\s*([\w.\-\"' ]+?)\s*\]+")
_ASSIGNMENT: Final = re.compile(r"(\s*)([\w\-]+|\"[^\"]*\"|'[^']*')\s*[=.]")
_AT_LINE: Final = re.compile(r" \(at line (\d+), column (\d+)\)")
_FILE_BYTES: Final = 1_048_576
_PRIVATE: Final = ("cloud.", "tags.")
"""The second, since a line that should stand below `[cloud]` may have slipped under it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TomlPlace:
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

    def without_value(self) -> TomlPlace:
        """Return the place with its key alone: under a key that is not known, anything may stand."""
        return replace(self, text=self.text[: self.column - 1 + self.width])

    def masked(self) -> TomlPlace:
        """Return the place with its key, and a mask for the value that it has."""
        return replace(self, text=f"{self.without_value().text} = ***") if "=" in self.text else self

    def origin(self) -> str:
        """Return where this is, in a few words."""
        return f"{self.source}:{self.line}" if self.line else self.source


UNKNOWN: Final = TomlPlace()


@dataclass(frozen=True, slots=True)
class Setting:
    """One value that somebody gave."""

    key: str
    """`table.key`."""
    value: Any = field(repr=False)
    place: TomlPlace
    from_text: bool = False
    """It comes from a variable, so that numbers and lists are texts as well."""
    inner: Mapping[str, TomlPlace] = field(default_factory=dict)
    """Of a list of tables: where each `table.NUMBER` and `table.NUMBER.key` stands."""

    @property
    def is_private(self) -> bool:
        """Whether the value is shown nowhere: a secret may stand under any key of its table, by mistake."""
        return self.key.startswith(_PRIVATE)

    @property
    def shown(self) -> TomlPlace:
        """Where it stands, as a problem may show it."""
        return self.place.masked() if self.is_private else self.place

    def typed(self, value: Any, type_: Any) -> Any:  # noqa: ANN401 - before validation, a value is anything
        """Return the value; a list in a variable is separated by commas."""
        if self.from_text and get_origin(type_) is list and isinstance(value, str):
            return [item.strip() for item in value.split(",") if item.strip()]
        return value


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


def read_bytes(path: Path, *, patience: float | None = PATIENCE) -> bytes:
    """Read a file of at most 1 MiB; `patience` is that of `read_bounded`.

    Raises:
        ConfigError: RLY103, it cannot be read, or is longer.
    """
    try:
        content = read_bounded(path, _FILE_BYTES + 1, patience=patience)
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
    except (ValueError, RecursionError) as error:
        message = "a number of thousands of digits" if isinstance(error, ValueError) else "lists or tables too deep"
        fix = "every number of a configuration has less than 20 digits, and no value is deeper than three lists"
        raise ConfigError(Problem(code="RLY103", message=f"not TOML: {message}", fix=fix, source=str(path))) from error
    places = dict(_places(path, text))
    return list(_settings(parsed, places, str(path)))


def _settings(parsed: dict[str, Any], places: dict[str, TomlPlace], source: str) -> Iterator[Setting]:
    for table, content in parsed.items():
        if not isinstance(content, dict):
            place = places.get(f".{table}") or places.get(f"{table}.1") or TomlPlace(source=source)
            yield Setting(table, content, place, inner=places)
            continue
        for name, value in content.items():
            key = f"{table}.{name}"
            around = places.get(f".{table}") or places.get(table) or TomlPlace(source=source)
            yield Setting(key, value, places.get(key) or around.masked())


def _places(path: Path, text: str) -> Iterator[tuple[str, TomlPlace]]:
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
                TomlPlace(source=str(path), line=number, column=header.start(2) + 1, text=line, width=len(header[2])),
            )
        elif assignment:
            name = assignment[2]
            shown = mask_urls(line)
            place = TomlPlace(source=str(path), line=number, column=len(assignment[1]) + 1, text=shown, width=len(name))
            yield f"{table}.{name.strip(chr(34) + chr(39))}", place


def _numbered(table: str, counts: Counter[str], *, is_listed: bool) -> str:
    counts[table] += is_listed
    first, dot, rest = table.partition(".")
    return f"{first}.{counts[first]}{dot}{rest}" if counts[first] else table


def _not_toml(path: Path, text: str, message: str) -> Problem:
    """Return the error of a file that is not TOML: of the line nothing is shown but a key that there is.

    What stands there may be a part of a secret, also where a key should stand: a text over several lines.
    """
    where = _AT_LINE.search(message)
    lines = text.splitlines() or [""]
    number = min(int(where[1]) if where else len(lines), len(lines))
    place = TomlPlace(source=str(path), line=number)
    found = _ASSIGNMENT.match(lines[number - 1])
    if found and found[2] in _known_words():
        column, width = len(found[1]) + 1, len(found[2])
        place = replace(place, column=column, width=width, text=found[0]).masked()
    message, fix = f"not TOML: {_AT_LINE.sub('', message)}", 'texts need quotes, as in region = "cn-north-1"'
    return place.problem(code="RLY103", message=message, fix=fix)


def _known_words() -> set[str]:
    """Return every name of a table or a key."""
    tables = fields_of(Config)
    owners = [owner for table in tables for owner in (table.type, *get_args(table.type))]
    return {table.name for table in tables} | {key for one in owners for key in getattr(one, "__struct_fields__", ())}
