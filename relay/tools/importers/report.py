"""The report of an import: what became of each line of another daemon's configuration. Secrets are masked."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from relay.config.types import mask_urls
from relay.tools.importers.readers.tree import Node, Opaque
from relay.wording import printable

if TYPE_CHECKING:
    from collections.abc import Callable

Verdict = Literal["ok", "changed", "by hand", "dropped"]
"""ok: the same effect here; changed: another effect, on purpose; by hand: a person decides; dropped: no effect here."""
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
    """Line in the file; 0 for a default of the old daemon, which the file does not set."""
    what: str
    became: str

    def __str__(self) -> str:
        """Return `verdict  line N  what -> became`."""
        place = f"line {self.line}" if self.line else "default"
        return f"{self.verdict:<8} {place:<9} {self.what} -> {self.became}"


class Option(NamedTuple):
    """An option of another daemon: its row in deploy/MIGRATING.md, and the function that imports it."""

    verdict: Verdict
    becomes: str
    convert: Callable[..., None] | None = None
    """Imports the option; None: the verdict suffices, or the reader of another option imports it."""


ok = partial(Option, "ok")
changed = partial(Option, "changed")
by_hand = partial(Option, "by hand")
dropped = partial(Option, "dropped")


def is_secret(text: str) -> bool:
    """Return whether a name, or a text with names in it, indicates a secret."""
    return _NAME.search(text) is not None or mask_urls(text) != text


def shown(name: str, value: object) -> str:
    """Return a value as the report shows it: short, in one line, and masked if its name indicates a secret."""
    if is_secret(name) or (isinstance(value, Opaque) and is_secret(value.text)):
        return "***"
    text = value.text if isinstance(value, Opaque) else value if isinstance(value, str) else json.dumps(plain(value))
    text = masked(one_line(text))
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def masked(text: str) -> str:
    """Return a text with the values after names of secrets, and the user and password of URLs, masked."""
    return _PAIR.sub(r"\1***", mask_urls(text))


def one_line(text: str) -> str:
    """Return a text in one line for a comment or a report; unprintable characters are escaped."""
    return printable(" ".join(text.split()))


def plain(value: Any, levels: int = 8) -> Any:  # noqa: ANN401 - any value of a tree
    """Return a value of a tree without places; secrets are masked, and levels beyond `levels` are left out."""
    if isinstance(value, Node):
        return plain(value.value, levels)
    if isinstance(value, Opaque):
        return "***" if is_secret(value.text) else value.text
    if isinstance(value, (dict, list)) and not levels:
        return "..."
    if isinstance(value, dict):
        return {key: "***" if is_secret(key) else plain(item, levels - 1) for key, item in value.items()}
    return [plain(item, levels - 1) for item in value] if isinstance(value, list) else value
