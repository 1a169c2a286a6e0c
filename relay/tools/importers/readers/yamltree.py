"""Parses YAML, and JSON as nearly a subset of YAML, with the place of every value."""

from __future__ import annotations

import re
from typing import Final

import yaml

from relay.tools.importers.readers.tree import Node, NotReadable, Scalar

DEPTH_MAX: Final = 32
NODES_MAX: Final = 50_000
"""Bounds the tree, since a short text with aliases may expand to a very large one."""
_QUOTED: Final = re.compile(r"'(?!<)[^']{2,}'|\"[^\"]{2,}\"")
"""A quoted text of the file in a message of the parser (alias, tag), but not a kind of token or a single character."""


def read(text: str) -> Node:
    """Parse the first document, as daemons in Go do; an empty one is an empty object.

    Raises:
        NotReadable: the text is not YAML, or its tree is too deep or too large.
    """
    loader = yaml.SafeLoader("")
    try:
        loader = yaml.SafeLoader(text)
        found = loader.get_node() if loader.check_node() else None
        return Node({}, 1) if found is None else _Tree(loader).node(found, found, 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = _QUOTED.sub("...", error.problem or error.context or "not YAML")
        raise NotReadable(message, line=mark.line + 1 if mark else 1, column=mark.column + 1 if mark else 1) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise NotReadable("a character that YAML does not have", line=line, column=1) from error
    except RecursionError as error:
        raise NotReadable(f"more than {DEPTH_MAX} levels", line=1, column=1) from error
    finally:
        loader.dispose()


def second_document(text: str) -> int:
    """Return the line at which a second document begins, which is not read; 0: there is none."""
    has_content = False
    for number, line in enumerate(text.splitlines(), 1):
        is_mark = line.startswith("---") and not line[3:4].strip()
        if is_mark and has_content:
            return number
        has_content = has_content or bool(line[3 * is_mark :].partition("#")[0].strip())
    return 0


class _Tree:
    """State: the number of nodes so far."""

    def __init__(self, loader: yaml.SafeLoader) -> None:
        self._loader = loader
        self._nodes = 0

    def node(self, found: yaml.Node, place: yaml.Node, depth: int) -> Node:
        """Return a node with the place of another one: that of its key if it has a key."""
        line, column = place.start_mark.line + 1, place.start_mark.column + 1
        self._nodes += 1
        if depth > DEPTH_MAX or self._nodes > NODES_MAX:
            what = f"{DEPTH_MAX} levels" if depth > DEPTH_MAX else f"{NODES_MAX} values"
            raise NotReadable(f"more than {what}", line=line, column=column)
        if isinstance(found, yaml.MappingNode):
            self._loader.flatten_mapping(found)
            members = {self._key(key): self.node(value, key, depth + 1) for key, value in found.value}
            return Node(members, line, column)
        if isinstance(found, yaml.SequenceNode):
            return Node([self.node(item, item, depth + 1) for item in found.value], line, column)
        return Node(self._scalar(found), line, column)

    def _key(self, key: yaml.Node) -> str:
        return key.value if isinstance(key, yaml.ScalarNode) else "?"

    def _scalar(self, found: yaml.Node) -> Scalar:
        """Return the value of a scalar; for one that is not a text, number or boolean (a date), its text."""
        try:
            value = self._loader.construct_object(found)
        except (ValueError, TypeError, LookupError, AttributeError):  # tagged as a number or a date, but malformed
            value = found.value
        return value if value is None or isinstance(value, (str, int, float, bool)) else str(found.value)
