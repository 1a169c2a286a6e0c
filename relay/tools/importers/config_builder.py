"""Builds the configuration that an importer writes, with the report of the origin of each line.

Invariant: the result passes `check`. `settle` turns every setting that `check` would refuse into a comment with the
reason, and reports it as work for a person.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from relay.config.loading import examine
from relay.config.schema import Config
from relay.config.types import to_toml, toml_key
from relay.errors import ConfigError
from relay.tools.importers.report import ReportLine, Verdict, is_secret, masked, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relay.errors import Problem
    from relay.tools.importers.readers.tree import Node

_TABLES: Final = tuple(info.name for info in msgspec.structs.fields(Config))
_ROUNDS: Final = 20
"""Maximum number of passes. A pass removes everything refused; another is needed if a setting depended on that."""
_CREDENTIALS: Final = (
    "# Needed, here or in the environment (JDCLOUD_REGION_ID, JDCLOUD_ACCESS_KEY_ID, JDCLOUD_SECRET_ACCESS_KEY):",
    '# region = "cn-north-1"',
    '# access_key = "${ACCESS_KEY}"',
    '# secret_key_file = "/run/secrets/jdcloud"',
)


class _Line(NamedTuple):
    text: str
    owner: tuple[str, str] | None = None
    """Table and key, or `rule` and its position."""


class ConfigBuilder:
    """State: settings, rules and tees with the lines they come from, comments, and the report so far.

    Args:
        daemon: name of the daemon, in its own spelling.
        source: name of its configuration file.
        is_first_match: whether that daemon, like the relay, applies only the first pattern that matches.
    """

    def __init__(self, daemon: str, source: str, *, is_first_match: bool = True) -> None:
        self._is_first_match = is_first_match
        self.daemon = daemon
        self.source = source
        self.lines: list[ReportLine] = []
        self._tables: dict[str, dict[str, Any]] = {}
        self._lists: dict[str, list[dict[str, Any]]] = {"rule": [], "tee": []}
        self._origins: dict[tuple[str, str], int] = {}
        self._comments: dict[str, list[str]] = {}
        self._refused: dict[tuple[str, str], str] = {}
        self._is_secret = False

    # -- called by importers --

    def set(self, key: str, value: Any, origin: Node | None = None) -> None:  # noqa: ANN401 - of the key's type
        """Set `table.key`."""
        table, _, name = key.partition(".")
        self._tables.setdefault(table, {})[name] = value
        self._origins[table, name] = origin.line if origin else 0

    def add(self, key: str, value: Any, origin: Node | None = None) -> None:  # noqa: ANN401 - see above
        """Append to the list `table.key`, unless the value is in it."""
        table, _, name = key.partition(".")
        values = self._tables.get(table, {}).get(name, [])
        self.set(key, values if value in values else [*values, value], origin)

    def get(self, key: str) -> Any:  # noqa: ANN401 - see above
        """Return the value of `table.key`; None if it was not set."""
        table, _, name = key.partition(".")
        return self._tables.get(table, {}).get(name)

    def append(self, table: str, element: dict[str, Any], origin: Node | None = None) -> int:
        """Append a `rule` or a `tee`; return its number, from 1."""
        elements = self._lists[table]
        elements.append(element)
        self._origins[table, str(len(elements))] = origin.line if origin else 0
        return len(elements)

    def comment(self, table: str, text: str) -> None:
        """Write a comment into a table."""
        self._is_secret = self._is_secret or is_secret(text)
        self._comments.setdefault(table, []).append(one_line(text))

    def report(self, verdict: Verdict, origin: Node | None, what: str, became: str) -> None:
        """Add a line to the report; `origin`: its place in the file, None for a default that the file does not set."""
        line = origin.line if origin else 0
        self.lines.append(ReportLine(verdict, line, masked(one_line(what)), masked(one_line(became))))

    # -- results --

    @property
    def needs_person(self) -> int:
        """Number of lines of the report that a person must decide."""
        return sum(entry.verdict == "by hand" for entry in self.lines)

    @property
    def holds_secret(self) -> bool:
        """Whether a value may be a secret, so that the file must be readable by its owner only."""
        kept = [str(table) for table in (*self._tables.values(), *self._lists.values())]
        return self._is_secret or any(map(is_secret, kept))

    def settle(self) -> ConfigBuilder:
        """Turn settings that `check` would refuse into comments and work for a person; sort the report by line."""
        for _ in range(_ROUNDS):
            lines = list(self._render())
            errors = _errors(_joined(lines))
            if not errors:
                break
            refused = [self._refuse(problem, lines) for problem in errors]
            if not any(refused):
                raise ConfigError(*errors)
        for table in self._lists:
            self._renumber(table)
        self.lines.sort(key=lambda entry: (not entry.line, entry.line))
        return self

    def toml(self) -> str:
        """Return the configuration file."""
        return _joined(self._render())

    def _refuse(self, problem: Problem, lines: list[_Line]) -> bool:
        if not 0 < problem.line <= len(lines) or problem.severity != "error":
            return False
        owner = lines[problem.line - 1].owner
        if owner is None or owner in self._refused:
            return False
        name = " ".join(owner) if owner[0] in self._lists else ".".join(owner)
        if problem.code == "RLY131" and self._is_first_match:
            reason = f"never reached by the old daemon either: {one_line(problem.message.rpartition(': ')[2])}"
            self._withdraw(owner, name, "dropped", reason)
        else:
            reason = one_line(f"{problem.code} {problem.message}" + (f" ({problem.fix})" if problem.fix else ""))
            self._withdraw(owner, name, "by hand", f"a comment, since check reports an error: {reason}")
        self._refused[owner] = reason
        return True

    def _withdraw(self, owner: tuple[str, str], name: str, verdict: Verdict, became: str) -> None:
        """Change the report of a setting that was turned into a comment."""
        line = self._origins.get(owner, 0)
        promised = re.compile(rf"\b{re.escape(name)}\b")
        lost = [entry for entry in self.lines if entry.line == line and promised.search(entry.became)]
        self.lines = [entry for entry in self.lines if entry not in lost]
        self.lines += [replace(entry, verdict=verdict, became=became) for entry in lost]
        if not lost:
            self.lines.append(ReportLine(verdict, line, name, became))

    def _renumber(self, table: str) -> None:
        """Renumber rules and tees in the report, since those that became comments no longer count."""
        numbers: dict[str, int] = {}
        for number in range(1, len(self._lists[table]) + 1):
            if (table, str(number)) not in self._refused:
                numbers[str(number)] = len(numbers) + 1
        named = re.compile(rf"\b{table} (\d+)\b")
        for place, entry in enumerate(self.lines):
            became = named.sub(lambda match: f"{table} {numbers.get(match[1], match[1])}", entry.became)
            self.lines[place] = replace(entry, became=became)

    def _render(self) -> Iterator[_Line]:
        yield _Line(
            f"# From {one_line(self.source)} ({self.daemon}), by `statsd-relay import`; its report says what differs."
        )
        for table in _TABLES:
            if table in self._lists:
                yield from self._elements(table)
            elif table in self._tables or table in self._comments or table == "cloud":
                yield from self._table(table)

    def _table(self, table: str) -> Iterator[_Line]:
        yield _Line("")
        yield _Line(f"[{table}]")
        for name, value in self._tables.get(table, {}).items():
            yield from self._setting(table, name, f"{toml_key(name)} = {_toml(value)}")
        for comment in self._comments.get(table, ()):
            yield _Line(f"# {comment}")
        if table == "cloud":
            yield from map(_Line, _CREDENTIALS)

    def _elements(self, table: str) -> Iterator[_Line]:
        for number, element in enumerate(self._lists[table], 1):
            owner = (table, str(number))
            refused = owner in self._refused
            yield _Line("")
            if refused:
                yield _Line(f"# {self._refused[owner]}")
            for text in (f"[[{table}]]", *(f"{key} = {_toml(value)}" for key, value in element.items())):
                yield _Line(f"# {text}" if refused else text, owner)
        for comment in self._comments.get(table, ()):
            yield _Line(f"# {comment}")

    def _setting(self, table: str, name: str, text: str) -> Iterator[_Line]:
        owner = (table, name)
        if owner in self._refused:
            yield _Line(f"# {self._refused[owner]}")
            yield _Line(f"# {text}")
        else:
            yield _Line(text, owner)


def _errors(text: str) -> Sequence[Problem]:
    try:
        return examine(Path("relay.toml"), {}, text=text).errors
    except ConfigError as error:  # the text is not TOML
        return error.problems


def _joined(lines: list[_Line] | Iterator[_Line]) -> str:
    return "".join(f"{line.text}\n" for line in lines)


def _toml(value: object) -> str:
    """Return a value as TOML; a lone surrogate, which YAML may hold, is replaced since UTF-8 cannot encode it."""
    return to_toml(value).replace("\x7f", "\\u007f").encode(errors="replace").decode()
