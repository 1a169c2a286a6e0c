"""Parses TOML with the line of every key; tomllib keeps no places, so a second pass over the lines finds them."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, Final

from relay.tools.importers.readers.tree import Node, NotReadable

if TYPE_CHECKING:
    from collections.abc import Mapping

_PART: Final = r"(?:\"[^\"]*\"|'[^']*'|[\w-]+)"
_PATH: Final = rf"{_PART}(?:\s*\.\s*{_PART})*"
_LINE: Final = re.compile(rf"\s*(?:\[+\s*(?P<header>{_PATH})\s*\]+\s*(?:#.*)?$|(?P<key>{_PATH})\s*=)")
_AT: Final = re.compile(r" \(at line (\d+), column (\d+)\)$")


def read(text: str) -> Node:
    """Parse a document.

    Raises:
        NotReadable: the text is not TOML.
    """
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = _AT.search(str(error))
        line, column = (int(at[1]), int(at[2])) if at else (max(1, len(text.splitlines())), 1)
        raise NotReadable(_AT.sub("", str(error)), line=line, column=column) from error
    except RecursionError as error:
        raise NotReadable("too many levels", line=1, column=1) from error
    return _node(parsed, _places(text), (), 1)


def _places(text: str) -> Mapping[tuple[str, ...], int]:
    places: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        found = _LINE.match(line)
        if found and found["header"]:
            table = _parts(found["header"])
            _set_all(places, table, number)
        elif found:
            _set_all(places, (*table, *_parts(found["key"])), number)
    return places


def _set_all(places: dict[tuple[str, ...], int], path: tuple[str, ...], number: int) -> None:
    """Set the line of a path, and of each table around it without a line of its own: `[a.b]` defines `a` too."""
    for length in range(1, len(path) + 1):
        places.setdefault(path[:length], number)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_PART, path))


def _node(value: Any, places: Mapping[tuple[str, ...], int], path: tuple[str, ...], line: int) -> Node:  # noqa: ANN401
    line = places.get(path, line)
    if isinstance(value, dict):
        return Node({key: _node(item, places, (*path, key), line) for key, item in value.items()}, line)
    if isinstance(value, list):
        return Node([_node(item, places, (), line) for item in value], line)
    return Node(value if isinstance(value, (str, int, float, bool)) else str(value), line)
