"""Reads the options of one file for the importers, and converts values that several daemons share.

Invariant: each option is reported exactly once; an unknown option is reported as work for a person.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from relay.config.types import Seconds, to_toml
from relay.config.validate import is_legal_key
from relay.tools.importers.readers.javascript import find_env_reference
from relay.tools.importers.readers.tree import Node, Opaque
from relay.tools.importers.report import shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from relay.tools.importers.config_builder import ConfigBuilder
    from relay.tools.importers.report import Option, Verdict

_CLASSES_OF_ZEROS: Final = 3
_TRUTHS: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "\u00b5s": 1e-6, "\u03bcs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_LONGEST: Final = 100
"""Longest text of a duration, in characters: the time of the regex search grows with the square of the length."""
_PIECE: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")


class OptionReader:
    """State: the options that were not read yet.

    Args:
        config: the file, an object.
        builder: the builder of the new configuration.
        nested: names of objects with members that are options, such as `graphite` of `graphite.globalPrefix`.
    """

    def __init__(self, config: Node, builder: ConfigBuilder, nested: Collection[str] = ()) -> None:
        self.builder = builder
        self._unread: dict[str, Node] = {}
        self._seen: dict[str, Node] = {}
        for name, node in config.members.items():
            if name in nested and isinstance(node.value, dict):
                self._unread |= {f"{name}.{inner}": member for inner, member in node.value.items()}
            else:
                self._unread[name] = node

    def has(self, name: str) -> bool:
        """Return whether an option has a value and was not read yet."""
        return name in self._unread and self._unread[name].value is not None

    def peek(self, name: str) -> Node | None:
        """Return an option that has a value, without marking it as read."""
        return self._unread[name] if self.has(name) else None

    def read(self, name: str) -> Node | None:
        """Return an option that has a value, and mark it as read."""
        node = self._unread.pop(name, None)
        self._seen |= {name: node} if node else {}
        return None if node is None or node.value is None else node

    def set_default(self, name: str, node: Node) -> None:
        """Set an option to a value from elsewhere in the file, unless it has one."""
        if not self.has(name):
            self._unread[name] = node

    def require_constant(self, name: str, node: Node, otherwise: str) -> bool:
        """Return whether a value is a constant. If it is not, report it with `otherwise` as work for a person."""
        if not isinstance(node.value, Opaque):
            return True
        self.report("by hand", name, node, otherwise)
        return False

    def text(self, name: str, node: Node, default: str) -> str:
        """Return a value as text; an expression becomes a reference to its variable, or the default.

        `process.env.X || 1` becomes `${X:-1}`. Any other expression is reported as work for a person.

        Raises:
            NotReadable: the value is a list or an object.
        """
        if not isinstance(node.value, Opaque):
            return node.text or default
        variable = find_env_reference(node.value.text)
        if variable is None:
            self.report("by hand", name, node, f"{default}: only Node evaluates this expression")
            return default
        reference = variable.reference(default)
        self.report("by hand", name, node, f"{reference}: is the variable set where the relay runs?")
        return reference

    def report(self, verdict: Verdict, name: str, node: Node | None, became: str, *, default: str = "") -> None:
        """Report an option with its value, or with the `default` of the daemon where the file does not set it.

        A dropped table is reported without its value, which may hold a secret.
        """
        is_hidden = node is not None and verdict == "dropped" and not node.is_scalar
        value = default if node is None else "" if is_hidden else shown(name, node.value)
        self.builder.report(verdict, node, f"{name} {value}", became)

    def finish(self, options: Mapping[str, Option]) -> None:
        """Call the reader of each option left and report the option; an unknown option is work for a person."""
        for name, option in options.items():
            if option.convert and (node := self.read(name)):
                option.convert(self, name, node)
        for name, node in self._unread.items():
            known = options.get(name)
            if known is not None:
                self.report(known.verdict, name, node, known.becomes.replace("`", ""))
            else:
                # The value is not shown, since it may be a secret.
                self.builder.report("by hand", node, name, f"not an option of {self.builder.daemon}")
        self._unread.clear()
        self._finish_empty()

    def _finish_empty(self) -> None:
        """Report the options that were read without effect because their value is empty."""
        for name, node in self._seen.items():
            is_reported = any(entry.what.startswith(name) and entry.line == node.line for entry in self.builder.lines)
            if not is_reported and (node.value is None or node.value in ("", [], {})):
                self.builder.report("dropped", node, name, "it is empty")


def words(node: Node | None) -> list[str]:
    """Return the items of a list, or the words of a text separated by blanks."""
    if node is None:
        return []
    texts = [item.text for item in node.items if item.is_scalar]
    return texts if isinstance(node.value, list) else " ".join(texts).split()


def texts(node: Node | None) -> list[str]:
    """Return the items of a list; in a variable, a list is JSON, or words separated by blanks or commas."""
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
    """Return a boolean as daemons in Go read it: a text as in strconv.ParseBool, anything else false."""
    if node is None:
        return False
    return node.value in _TRUTHS if isinstance(node.value, str) else isinstance(node.value, int) and bool(node.value)


def go_duration(value: object) -> float | None:
    """Return the seconds of `1m20s`, `-1` or a number of nanoseconds; None if the value is not a duration."""
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


def keep_duration(seconds: float) -> str:
    """Return `keep:DURATION`, a value of `window.idle_gauges`."""
    return f"keep:{to_toml(Seconds(seconds)).strip(chr(34))}"


def set_prefix(reader: OptionReader, name: str, key: str, node: Node, given: str) -> None:
    """Set a prefix of names from one that may begin or end in dots, and report it."""
    text = given.strip(".")
    if text:
        reader.builder.set(key, text, node)
    reader.report("ok" if text == given else "changed", name, node, f'{key} = "{text}"' if text else "none")


def set_tags(reader: OptionReader, name: str, node: Node, entries: Iterable[str]) -> None:
    """Turn `key:value` entries into `[tags]`; a bare key gets the value `true`, illegal characters are rewritten."""
    for entry in entries:
        reader.builder.report(*_set_tag(reader.builder, entry, node, f"{name} {entry}"))


def _set_tag(builder: ConfigBuilder, entry: str, node: Node, what: str) -> tuple[Verdict, Node, str, str]:
    key, _, given = entry.partition(":")
    legal, value = "".join(char if is_legal_key(char) else "_" for char in key), given or "true"
    if not legal:
        return "by hand", node, what, "a tag needs a key"
    known = builder.get(f"tags.{legal}")
    if known not in (None, value):
        return "by hand", node, what, f'a key has one value, and tags.{legal} is "{known}"'
    builder.set(f"tags.{legal}", value, node)
    return "ok" if legal == key and given else "changed", node, what, f'tags.{legal} = "{value}"'


def set_dialects(builder: ConfigBuilder, *inline: str) -> None:
    """Enable the dialects of tags that a daemon reads: those after `|#`, and `inline` ones in names."""
    dialects = ["statsd", "dogstatsd", *inline]
    builder.set("listen.dialects", dialects)
    builder.report("ok", None, "tags in names", f"listen.dialects = {to_toml(dialects)}: those of {builder.daemon}")


def set_without_deltas(builder: ConfigBuilder) -> None:
    """Disable gauge deltas, for a daemon without them: the negative gauges of its clients would become deltas."""
    builder.set("listen.gauge_deltas", value=False)
    builder.report("ok", None, "gauges with a sign", "listen.gauge_deltas = false: -5 and +5 are values, as before")


def set_percentiles(builder: ConfigBuilder, values: Iterable[float], origin: Node | None) -> str:
    """Set the percentiles of timers, whole numbers without a decimal point; return the setting for the report."""
    written = [int(value) if value.is_integer() else value for value in values]
    builder.set("window.percentiles", written, origin)
    return f"window.percentiles = {to_toml(written)}"


def set_valid_percentiles(
    reader: OptionReader, name: str, node: Node | None, values: Sequence[float | None], *, default: str, note: str = ""
) -> None:
    """Set the percentiles of an option, and report it; None stands for an entry that is not a number."""
    numbers = [value for value in values if value is not None]
    became = set_percentiles(reader.builder, numbers, node) + note
    if len(numbers) < len(values):
        reader.report("by hand", name, node, f"{became}: one of them is not a number")
    else:
        reader.report("ok", name, node, became, default=default)


def set_zeros(builder: ConfigBuilder, classes: Sequence[str], origin: Node | None) -> None:
    """Send zeros of idle series of the classes among counters, timers and sets."""
    if classes:
        value = "zero" if len(classes) == _CLASSES_OF_ZEROS else f"zero:{','.join(classes)}"
        builder.set("window.idle", value, origin)


def set_log_level(reader: OptionReader, name: str, node: Node, level: str | None) -> None:
    """Set the level of the log, unless an option before did, and report it; None: the relay has no such level."""
    if level is None:
        reader.report("by hand", name, node, 'log.level: "debug", "info", "warning" or "error"')
        return
    if level != "info" and not reader.builder.get("log.level"):
        reader.builder.set("log.level", level, node)
    reader.report("ok", name, node, f'log.level = "{level}"')
