"""Reads a TOML file with the line and column of every key, so that a problem can point at its place.

tomllib reports no places, so a second pass finds them; values.py finds those of values. Invariant: a value of `[cloud]`
or `[tags]` is never shown, since any of these may be a secret. Values are checked elsewhere.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

from relay.config.schema import Config, fields_of
from relay.config.secret_files import PIPE_TIMEOUT, read_bounded
from relay.config.toml.values import find_elements, find_value
from relay.config.types import mask_urls
from relay.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

_HEADER: Final = re.compile(r"\s*(\[+)\s*([\w.\-\"' ]+?)\s*\]+")
_ASSIGNMENT: Final = re.compile(r"(\s*)([\w\-]+|\"[^\"]*\"|'[^']*')\s*[=.]")
_AT_LINE: Final = re.compile(r" \(at line (\d+), column (\d+)\)")
_FILE_BYTES: Final = 1_048_576
_MASK: Final = "***"
_PRIVATE: Final = ("cloud.", "tags.")
"""Tables with values that are never shown; `tags.` too, since a line meant for `[cloud]` may stand below `[tags]`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TomlPlace:
    """The place of a setting: a line of a file, a variable, or a flag."""

    source: str = ""
    line: int = 0
    column: int = 1
    text: str = ""
    width: int = 1
    content: str = field(default="", repr=False)
    """The whole file, if the place is that of a key with a value."""
    value: int = 0
    """Offset in the content behind the equals sign."""

    def problem(self, *, code: str, message: str, fix: str = "", key: str = "") -> Problem:
        """Return an error that points here."""
        return Problem(
            code=code,
            message=message,
            fix=fix,
            key=key,
            source=self.source,
            line=self.line,
            column=self.column,
            text=self.text,
            width=self.width,
        )

    def without_value(self) -> TomlPlace:
        """Return the place with its key but without its value: an unknown key may hold a secret."""
        return replace(self, text=self.text[: self.column - 1 + self.width])

    def masked(self) -> TomlPlace:
        """Return the place with its key, and a mask in place of its value."""
        return replace(self, text=f"{self.without_value().text} = {_MASK}") if "=" in self.text else self

    def of_value(self, element: int | None = None, *, is_private: bool = False) -> TomlPlace:
        """Return the place of the value, or of one element of a list; that of the mask if the value is private."""
        if not self.content:
            return self
        if is_private:
            masked = self.masked()
            return replace(masked, column=len(masked.text) - len(_MASK) + 1, width=len(_MASK))
        spans = [] if element is None else find_elements(self.content, self.value)
        start, end = spans[element] if element is not None and element < len(spans) else self._whole()
        begins = self.content.rfind("\n", 0, start) + 1
        line, _, _ = self.content[begins:].partition("\n")
        width = len(self.content[start:end].partition("\n")[0].rstrip())
        line_number = self.content.count("\n", 0, start) + 1
        shown = mask_urls(line.rstrip("\r"))
        return replace(self, line=line_number, column=start - begins + 1, text=shown, width=width)

    def _whole(self) -> tuple[int, int]:
        return find_value(self.content, self.value)

    def origin(self) -> str:
        """Return `file:line`, or the name of the variable."""
        return f"{self.source}:{self.line}" if self.line else self.source


UNKNOWN: Final = TomlPlace()


@dataclass(frozen=True, slots=True)
class Setting:
    """One value set by a file, a variable or a flag."""

    key: str
    """`table.key`."""
    value: Any = field(repr=False)
    place: TomlPlace
    from_text: bool = False
    """The value comes from a variable: numbers and lists are texts too."""
    inner: Mapping[str, TomlPlace] = field(default_factory=dict)
    """The places of a file: of each `table`, `table.NUMBER` and `table.NUMBER.key`."""

    @property
    def is_private(self) -> bool:
        """Whether the value must not be shown: by mistake, any key of its table may hold a secret."""
        return self.key.startswith(_PRIVATE)

    @property
    def shown(self) -> TomlPlace:
        """The place of the value as a problem may show it: masked if the value is private."""
        return self.of_element(None)

    def of_element(self, element: int | None) -> TomlPlace:
        """Return the place of an element of the value, or of the whole value, as a problem may show it."""
        place = self.place.of_value(element, is_private=self.is_private)
        return place.masked() if self.is_private and place is self.place else place

    def typed(self, value: Any, type_: Any) -> Any:  # noqa: ANN401 - before validation, a value is anything
        """Return the value; a text in a variable is split at commas if the type is a list."""
        if self.from_text and get_origin(type_) is list and isinstance(value, str):
            return [item.strip() for item in value.split(",") if item.strip()]
        return value


def closest(word: str, known: Collection[str], form: str = "{}") -> str:
    """Return a fix that names the most similar known word, or all known words."""
    near = difflib.get_close_matches(word, list(known), n=1)
    if near:
        return f"did you mean {form.format(near[0])}?"
    return f"known: {', '.join(form.format(name) for name in sorted(known))}"


def read_text(path: Path) -> str:
    """Read the text of a configuration file.

    Raises:
        ConfigError: RLY103, the file cannot be read, is too long, or is not UTF-8.
    """
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(Problem(code="RLY103", message=f"{path} is not UTF-8 text")) from error


def read_bytes(path: Path, *, timeout: float | None = PIPE_TIMEOUT) -> bytes:
    """Read a file of at most 1 MiB; `timeout` is that of `read_bounded`.

    Raises:
        ConfigError: RLY103, the file cannot be read, or is longer.
    """
    try:
        content = read_bounded(path, _FILE_BYTES + 1, timeout=timeout)
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise ConfigError(Problem(code="RLY103", message=message, fix="name a file that this user can read")) from error
    if len(content) > _FILE_BYTES:
        fix = "name another file"
        raise ConfigError(Problem(code="RLY103", message=f"{path} is longer than {_FILE_BYTES} bytes", fix=fix))
    return content


def parse(path: Path, text: str) -> list[Setting]:
    """Return every setting of a TOML text; `path` is the file that the places name.

    Raises:
        ConfigError: RLY103, the text is not TOML.
    """
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_not_toml(path, text, str(error))) from error
    except (ValueError, RecursionError) as error:
        message = (
            "a number has thousands of digits"
            if isinstance(error, ValueError)
            else "lists or tables are nested too deep"
        )
        fix = "use numbers of less than 20 digits, and at most three lists within one another"
        raise ConfigError(Problem(code="RLY103", message=f"not TOML: {message}", fix=fix, source=str(path))) from error
    places = dict(_places(path, text))
    return list(_settings(parsed, places, str(path)))


def _settings(parsed: dict[str, Any], places: dict[str, TomlPlace], source: str) -> Iterator[Setting]:
    for table, content in parsed.items():
        if not isinstance(content, dict) or not content:
            place = next(filter(None, map(places.get, (f".{table}", f"{table}.1", table))), TomlPlace(source=source))
            yield Setting(table, content, place, inner=places)
            continue
        for name, value in content.items():
            key = f"{table}.{name}"
            around = places.get(f".{table}") or places.get(table) or TomlPlace(source=source)
            yield Setting(key, value, places.get(key) or around.masked(), inner=places)


def _places(path: Path, text: str) -> Iterator[tuple[str, TomlPlace]]:
    """Yield `table` and `table.key` with their places; a key inside a nested value has no place of its own.

    The tables of a list are numbered from 1: `rule.2`, `rule.2.match`. `[rule.tags]` belongs to the latest `[[rule]]`.
    """
    table = ""
    counts: Counter[str] = Counter()
    behind = 0
    for number, whole in enumerate(text.split("\n"), 1):
        line, begins = whole.rstrip("\r"), behind
        behind += len(whole) + 1
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
            place = TomlPlace(
                source=str(path),
                line=number,
                column=len(assignment[1]) + 1,
                text=mask_urls(line),
                width=len(name),
                content=text if assignment[0].endswith("=") else "",
                value=begins + assignment.end(),
            )
            yield f"{table}.{name.strip(chr(34) + chr(39))}", place


def _numbered(table: str, counts: Counter[str], *, is_listed: bool) -> str:
    counts[table] += is_listed
    first, dot, rest = table.partition(".")
    return f"{first}.{counts[first]}{dot}{rest}" if counts[first] else table


def _not_toml(path: Path, text: str, message: str) -> Problem:
    """Return the error of a file that is not TOML; of the line it shows a known key at most.

    The rest of the line may be part of a secret, such as a line of a text over several lines.
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
