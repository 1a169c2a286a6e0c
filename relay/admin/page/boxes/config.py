"""Box 11: what is in force, and why; what differs from the defaults first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.admin.page.html import Html, box, code, element, name, table
from relay.wording import as_clock, from_iso, plural

if TYPE_CHECKING:
    from relay.admin.answers.config import ConfigAnswer, ConfigValue

_SHOWN: Final = 150
"""Keys; a thousand rules have two thousand, which would hold the event loop for 80 ms."""
_HEADS: Final = ("key", "value", "from")


def config_box(answer: ConfigAnswer, *, is_file_in_force: bool) -> Html:
    """Return the keys that a source sets, and the defaults folded."""
    chosen = [one for one in answer.values if not one.is_default]
    defaults = [one for one in answer.values if one.is_default and not one.key.startswith("rule.")]
    since = as_clock(from_iso(answer.since))
    note = f"Generation {answer.generation}, in force since {since}. Secrets are masked."
    warning = element("strong", "The file on disk is not in force (RLY502).") if not is_file_in_force else ""
    left_out = len(chosen) - _SHOWN
    more = element("p", f"{plural(left_out, 'more key')}: ", code("statsd-relay config show")) if left_out > 0 else ""
    shown = table("Keys that differ from the defaults", _HEADS, _rows(chosen[:_SHOWN]), left=3) if chosen else ""
    rest = table("Keys with their defaults", _HEADS, _rows(defaults), left=3)
    folded = element("details", element("summary", f"{plural(len(defaults), 'key')} with the default"), rest)
    return box("config", "Configuration", element("p", warning) if warning else "", shown, more, folded, note=note)


def _rows(values: list[ConfigValue]) -> list[list[object]]:
    return [[code(one.key), name(one.text), one.origin] for one in values]
