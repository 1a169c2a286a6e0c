"""`${NAME}`, `${NAME:-default}` and `${NAME:?message}` inside values; `${1}` is a capture of a rule and stays."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_REFERENCE: Final = re.compile(r"\$\{([^\W\d]\w*)(?::(-|\?)([^}]*))?\}")


def expand(value: Any, environ: Mapping[str, str]) -> tuple[Any, list[str]]:  # noqa: ANN401 - any TOML value
    """Return the value with its references replaced, and a message for each that cannot be."""
    missing: list[str] = []

    def replaced(match: re.Match[str]) -> str:
        name, operator, word = match[1], match[2], match[3]
        found = environ.get(name)
        if found or (found == "" and not operator):
            return found
        if operator == "-":
            return word
        missing.append((operator and word) or f"variable {name} is not set")
        return ""

    def inside(value: Any) -> Any:  # noqa: ANN401 - see above
        match value:
            case str():
                return _REFERENCE.sub(replaced, value)
            case list():
                return [inside(item) for item in value]
            case dict():
                return {key: inside(item) for key, item in value.items()}
        return value

    return inside(value), missing
