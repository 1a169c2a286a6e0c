"""What can be written for a person in place of an expression that only JavaScript could evaluate."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_VARIABLE: Final = r"process\.env(?:\.([A-Za-z_]\w*)|\[\s*['\"]([A-Za-z_]\w*)['\"]\s*\])"
_FALLBACK: Final = r"""(?:\s*(?:\|\||\?\?)\s*(?:'([^'\\{}]*)'|"([^"\\{}]*)"|(-?[\d.]+)))?"""
_REFERENCE: Final = re.compile(
    rf"\(?\s*\+?(?:(?:Number|parseInt|parseFloat|String)\s*\(\s*)?{_VARIABLE}{_FALLBACK}\s*(?:,\s*10\s*)?\)?{_FALLBACK}\s*\)?"
)
_HOSTNAME: Final = re.compile(r"\bhostname\s*\(\s*\)|process\.env\.HOSTNAME\b")


class Variable(NamedTuple):
    """An environment variable, and what holds without it."""

    name: str
    default: str | None

    def reference(self, otherwise: str) -> str:
        """Return `${NAME:-default}`; `otherwise`: the daemon's own default."""
        return f"${{{self.name}:-{self.default or otherwise}}}"


def find_variable(source: str) -> Variable | None:
    """Read `process.env.NAME`, with `|| default` and `Number(...)` around it as people write it."""
    match = _REFERENCE.fullmatch(source.strip())
    if match is None:
        return None
    name, *defaults = match[1] or match[2], *match.groups()[2:]
    return Variable(name, next((default for default in defaults if default is not None), None))


def is_hostname(source: str) -> bool:
    """Say whether the machine's name is what it evaluates to, or the most of it."""
    return _HOSTNAME.search(source) is not None
