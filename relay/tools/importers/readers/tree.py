"""The result of every parser: a tree of values, each with the place where it begins."""

from __future__ import annotations

from dataclasses import dataclass

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Opaque:
    """Source text of an expression that is not evaluated here; it is never executed."""

    text: str


@dataclass(frozen=True, slots=True)
class Node:
    """A value; a member of an object has the place of its key."""

    value: Scalar | list[Node] | dict[str, Node] | Opaque
    line: int
    column: int = 1

    @property
    def is_scalar(self) -> bool:
        """Whether it is a constant without parts."""
        return not isinstance(self.value, (dict, list, Opaque))

    @property
    def members(self) -> dict[str, Node]:
        """The members of an object; empty for any other value."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def text(self) -> str:
        """A constant as daemons in Go read it where they expect a text; an empty value is an empty text.

        Raises:
            NotReadable: the value is a list or an object, for which these daemons refuse the whole file.
        """
        if self.value in (None, [], {}):
            return ""
        if not self.is_scalar:
            raise NotReadable("expected a text, not a list or an object", line=self.line, column=self.column)
        if isinstance(self.value, bool):
            return str(self.value).lower()
        return str(self.value)

    @property
    def texts(self) -> dict[str, str]:
        """The members of an object, all of which are texts.

        Raises:
            NotReadable: the value is something else.
        """
        if self.value and not isinstance(self.value, dict):
            raise NotReadable("expected names with texts", line=self.line, column=self.column)
        return {name: node.text for name, node in self.members.items()}

    @property
    def items(self) -> list[Node]:
        """The items of a list; any other value is a list of itself, as daemons read it."""
        if isinstance(self.value, list):
            return self.value
        return [] if self.value is None else [self]

    def get(self, name: str) -> Node | None:
        """Return a member; None if it is absent or has no value."""
        found = self.members.get(name)
        return None if found is None or found.value is None else found


class NotReadable(ValueError):  # noqa: N818 - what is wrong is the text, not us
    """The text has a syntax error, or a value of the wrong kind, at a place. The message contains no value."""

    def __init__(self, message: str, *, line: int, column: int, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix
        self.line = line
        self.column = column
