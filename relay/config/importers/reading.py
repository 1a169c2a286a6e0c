"""The options of one file: each is read once, reported once, and none is passed over in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.config.importers.hints import find_variable
from relay.config.importers.report import shown
from relay.config.importers.tree import Node, Opaque

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from relay.config.importers.draft import Draft
    from relay.config.importers.report import Option, Verdict


class Reading:
    """State: the options that nobody has read yet.

    Args:
        config: the file, an object.
        draft: what it becomes.
        nested: names of objects whose members are options themselves, `graphite.globalPrefix`.
    """

    def __init__(self, config: Node, draft: Draft, nested: Collection[str] = ()) -> None:
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
