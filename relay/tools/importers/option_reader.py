"""The options of one file: each is read once, reported once, and none is passed over in silence."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from relay.config.types import Seconds, to_toml
from relay.config.validate import is_legal_key
from relay.tools.importers.readers.javascript import find_variable
from relay.tools.importers.readers.tree import Node, Opaque
from relay.tools.importers.report import shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from relay.tools.importers.config_builder import ConfigBuilder
    from relay.tools.importers.readers.tree import Node
    from relay.tools.importers.report import Option, Verdict


# --- gauges ----------------------------------------------------------------------------------------------------------

# What a sign before a gauge's number means to a daemon: a delta, or nothing beyond the number.


def set_without_deltas(draft: ConfigBuilder) -> None:
    """Take over from a daemon that has no deltas: with them, its clients' negative gauges would drift."""
    draft.set("listen.gauge_deltas", value=False)
    draft.say("ok", None, "gauges with a sign", "listen.gauge_deltas = false: -5 and +5 are values, as they were")


# --- dialects --------------------------------------------------------------------------------------------------------

# Which tags in names a daemon reads: of others it takes the signs for a part of the name.


def set_dialects(draft: ConfigBuilder, *inline: str) -> None:
    """Let the relay read tags as a daemon does: those behind `|#`, and these in names."""
    dialects = ["statsd", "dogstatsd", *inline]
    draft.set("listen.dialects", dialects)
    draft.say("ok", None, "tags in names", f"listen.dialects = {to_toml(dialects)}: those that {draft.daemon} reads")


# --- tags ------------------------------------------------------------------------------------------------------------

# Tags and words as other daemons write them.

_TRUTHS: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})


def words(node: Node | None) -> list[str]:
    """Return a list, or a text of words between blanks, as texts."""
    if node is None:
        return []
    texts = [item.text for item in node.items if item.is_scalar]
    return texts if isinstance(node.value, list) else " ".join(texts).split()


def texts(node: Node | None) -> list[str]:
    """Return the items of a list; in a variable it is JSON, or words between blanks or commas."""
    if node is None:
        return []
    if not isinstance(node.value, str):
        return [item.text for item in node.items]
    try:
        parsed = json.loads(node.value)
    except (ValueError, RecursionError):
        parsed = node.value.replace(",", " ").split()
    return [str(item) for item in (parsed if isinstance(parsed, list) else [parsed])]


def is_true(node: Node | None) -> bool:
    """Say whether a truth is on as daemons in Go read it: a text as strconv.ParseBool does, else off."""
    if node is None:
        return False
    return node.value in _TRUTHS if isinstance(node.value, str) else isinstance(node.value, int) and bool(node.value)


def set_tags(reading: Reading, name: str, node: Node, entries: Iterable[str]) -> None:
    """Turn `key:value` into `[tags]`; a bare one is `true`, and what the cloud does not take in a key is rewritten."""
    for entry in entries:
        reading.draft.say(*_set_tag(reading.draft, entry, node, f"{name} {entry}"))


def _set_tag(draft: ConfigBuilder, entry: str, node: Node, what: str) -> tuple[Verdict, Node, str, str]:
    key, _, given = entry.partition(":")
    legal, value = "".join(char if is_legal_key(char) else "_" for char in key), given or "true"
    if not legal:
        return "by hand", node, what, "a tag needs a key"
    known = draft.get(f"tags.{legal}")
    if known not in (None, value):
        return "by hand", node, what, f'a key has one value, and tags.{legal} is "{known}"'
    draft.set(f"tags.{legal}", value, node)
    return "ok" if legal == key and given else "changed", node, what, f'tags.{legal} = "{value}"'


# --- durations -------------------------------------------------------------------------------------------------------

# Durations as Go writes them.

_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "\u00b5s": 1e-6, "\u03bcs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_LONGEST: Final = 100
"""Characters of a duration; the time that looking for pieces takes grows with their square."""
_PIECE: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")


def keep_for(seconds: float) -> str:
    """Return `keep:5m`, as `window.idle_gauges` has it."""
    return f"keep:{to_toml(Seconds(seconds)).strip(chr(34))}"


def read_duration(value: object) -> float | None:
    """Return `1m20s`, `-1`, or a number of nanoseconds, in seconds; None if it is no duration."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    if isinstance(value, str) and len(value) > _LONGEST:
        return None
    text = str(value).strip()
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    pieces = _PIECE.findall(digits)
    if pieces and "".join(number + unit for number, unit in pieces) == digits:
        return sign * sum(float(number) * _UNITS[unit] for number, unit in pieces)
    return sign * int(digits) * 1e-9 if digits.isascii() and digits.isdecimal() else None


# --- percentiles -----------------------------------------------------------------------------------------------------

# Percentiles of timers, which every daemon has in its own way, as `[window] percentiles`.


def set_percentiles(draft: ConfigBuilder, values: Iterable[float], origin: Node | None) -> str:
    """Write them, whole ones without a point; return what they became, for the report."""
    written = [int(value) if value.is_integer() else value for value in values]
    draft.set("window.percentiles", written, origin)
    return f"window.percentiles = {to_toml(written)}"


class Reading:
    """State: the options that nobody has read yet.

    Args:
        config: the file, an object.
        draft: what it becomes.
        nested: names of objects whose members are options themselves, `graphite.globalPrefix`.
    """

    def __init__(self, config: Node, draft: ConfigBuilder, nested: Collection[str] = ()) -> None:
        self.draft = draft
        self._left: dict[str, Node] = {}
        self._taken: dict[str, Node] = {}
        for name, node in config.members.items():
            if name in nested and isinstance(node.value, dict):
                self._left |= {f"{name}.{inner}": member for inner, member in node.value.items()}
            else:
                self._left[name] = node

    def __repr__(self) -> str:
        """Report what is left."""
        return f"<Reading {len(self._left)} options left>"

    def has(self, name: str) -> bool:
        """Say whether an option is there and has a value."""
        return name in self._left and self._left[name].value is not None

    def peek(self, name: str) -> Node | None:
        """Return an option that has a value, for whom it is not; it is read later."""
        return self._left[name] if self.has(name) else None

    def take(self, name: str) -> Node | None:
        """Return an option that has a value; it counts as read."""
        node = self._left.pop(name, None)
        self._taken |= {name: node} if node else {}
        return None if node is None or node.value is None else node

    def give(self, name: str, node: Node) -> None:
        """Let an option have a value that stands elsewhere, unless it has one."""
        if not self.has(name):
            self._left[name] = node

    def constant(self, name: str, node: Node, otherwise: str) -> bool:
        """Say whether an option's value is known; if not, report it as work for a person, with `otherwise`."""
        if not isinstance(node.value, Opaque):
            return True
        self.say("by hand", name, node, otherwise)
        return False

    def text(self, name: str, node: Node, default: str) -> str:
        """Return a value as a text of our file; an expression as a reference to its variable, or as the default.

        `process.env.X || 1` becomes `${X:-1}`. Whatever is no constant is reported as work for a person.

        Raises:
            NotReadable: it is a list or an object.
        """
        if not isinstance(node.value, Opaque):
            return node.text or default
        variable = find_variable(node.value.text)
        if variable is None:
            self.say("by hand", name, node, f"{default}: only its own program can say what it is")
            return default
        reference = variable.reference(default)
        self.say("by hand", name, node, f"{reference}, written for you: is the variable set where the relay runs?")
        return reference

    def say(self, verdict: Verdict, name: str, node: Node | None, became: str) -> None:
        """Report an option with its value, but for what only goes: of a table, anything in it may be a secret."""
        is_shown = node is not None and (verdict != "dropped" or node.is_scalar)
        what = f"{name} {shown(name, node.value)}" if node and is_shown else name
        self.draft.say(verdict, node, what, became)

    def finish(self, options: Mapping[str, Option]) -> None:
        """Let the table's own readers read, and report what is left by it; what nobody knows is work for a person."""
        for name, option in options.items():
            if option.read and (node := self.take(name)):
                option.read(self, name, node)
        for name, node in self._left.items():
            known = options.get(name)
            if known is not None:
                self.say(known.verdict, name, node, known.becomes.replace("`", ""))
            else:
                # Its value may be anybody's secret, so it is not shown.
                self.draft.say("by hand", node, name, f"not an option of {self.draft.daemon}: whose is it?")
        self._left.clear()
        self._finish_empty()

    def _finish_empty(self) -> None:
        """Report what was read and had nothing in it."""
        for name, node in self._taken.items():
            is_told = any(entry.what.startswith(name) and entry.line == node.line for entry in self.draft.entries)
            if not is_told and (node.value is None or node.value in ("", [], {})):
                self.draft.say("dropped", node, name, "nothing is in it")
