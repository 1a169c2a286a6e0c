"""Parses files of environment variables, `NAME=value` on each line, with the place of each."""

from __future__ import annotations

import re
from typing import Final

from relay.tools.importers.readers.tree import Node

_LINE: Final = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Za-z_]\w*)=(?P<value>.*)")


def read(text: str, prefix: str) -> Node:
    """Return the variables with a prefix as options: names in lower case without the prefix, values without quotes."""
    members: dict[str, Node] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.fullmatch(line.rstrip())
        if match and match["name"].startswith(prefix):
            value = match["value"].strip()
            is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
            name = match["name"].removeprefix(prefix).lower()
            members[name] = Node(value[1:-1] if is_quoted else value, number)
    return Node(members, 1)
