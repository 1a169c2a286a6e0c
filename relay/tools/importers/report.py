"""What became of each line of another daemon's configuration."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from relay.config.types import mask_urls
from relay.tools.importers.readers.tree import Node, Opaque
from relay.wording import printable

if TYPE_CHECKING:
    from collections.abc import Callable

Verdict = Literal["ok", "changed", "by hand", "dropped"]
"""It does the same here · it does something else, on purpose · a person must decide · nothing here does it."""
_SENSITIVE: Final = (
    r"(?:secret|passw|passphrase|pwd|token|credential|authorization|bearer|header|cookie"
    r"|(?:api|app|access|private|license|account|auth|signing|encryption|ssh)[\W_]{0,3}key)"
)
_NAME: Final = re.compile(_SENSITIVE, re.IGNORECASE)
_PAIR: Final = re.compile(rf"({_SENSITIVE}[\w.-]{{0,64}}[\"']?\s{{0,9}}[:=]\s?).*", re.IGNORECASE | re.DOTALL)
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class ReportLine:
    """One line of the report."""

    verdict: Verdict
    line: int
    """Where it stands in the file; 0 for what the file does not say, so that the old daemon's default held."""
    what: str
    became: str

    def __str__(self) -> str:
        """`verdict  line N  what -> became`, as it is printed."""
        place = f"line {self.line}" if self.line else "default"
        return f"{self.verdict:<8} {place:<9} {self.what} -> {self.became}"


class Option(NamedTuple):
    """What an option of another daemon becomes: a row of deploy/MIGRATING.md, and what the importer does."""

    verdict: Verdict
    becomes: str
    read: Callable[..., None] | None = None
    """Reads it; None: the verdict says it all, or another option's reader takes it along."""


def ok(becomes: str, read: Callable[..., None] | None = None) -> Option:
    """Return an option that does the same here."""
    return Option("ok", becomes, read)


def changed(becomes: str, read: Callable[..., None] | None = None) -> Option:
    """Return an option that does something else here, on purpose."""
    return Option("changed", becomes, read)


def by_hand(becomes: str, read: Callable[..., None] | None = None) -> Option:
    """Return an option that a person must decide about."""
    return Option("by hand", becomes, read)


def dropped(becomes: str, read: Callable[..., None] | None = None) -> Option:
    """Return an option that nothing here has."""
    return Option("dropped", becomes, read)


def is_secret(text: str) -> bool:
    """Say whether a name, or a text with names in it, is about something that nobody else should read."""
    return _NAME.search(text) is not None or mask_urls(text) != text


def shown(name: str, value: object) -> str:
    """Return a value as a report may show it: short, on one line, and masked if its name tells of a secret."""
    if is_secret(name) or (isinstance(value, Opaque) and is_secret(value.text)):
        return "***"
    text = value.text if isinstance(value, Opaque) else value if isinstance(value, str) else json.dumps(plain(value))
    text = masked(one_line(text))
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def masked(text: str) -> str:
    """Return a text without what follows the name of a secret, and without the user and password of a URL."""
    return _PAIR.sub(r"\1***", mask_urls(text))


def one_line(text: str) -> str:
    """Return a text that fits into a comment or a report: without line ends, and what is not printable escaped."""
    return printable(" ".join(text.split()))


def plain(value: Any, levels: int = 8) -> Any:  # noqa: ANN401 - any value of a tree
    """Return a value of a tree without its places; what must not be shown is masked, what is too deep is left out."""
    if isinstance(value, Node):
        return plain(value.value, levels)
    if isinstance(value, Opaque):
        return "***" if is_secret(value.text) else value.text
    if isinstance(value, (dict, list)) and not levels:
        return "..."
    if isinstance(value, dict):
        return {key: "***" if is_secret(key) else plain(item, levels - 1) for key, item in value.items()}
    return [plain(item, levels - 1) for item in value] if isinstance(value, list) else value
