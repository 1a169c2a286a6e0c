"""What a reader returns, whatever the language: values with the place where each begins."""

from __future__ import annotations

from dataclasses import dataclass

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Opaque:
    """Source text that only the daemon's own language could evaluate: kept, never executed."""

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
        """The members of an object; of anything else, none."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def text(self) -> str:
        """A constant as daemons in Go read it where they want a text; of what has nothing in it, no text.

        Raises:
            NotReadable: it is a list or an object, which they refuse with the whole file.
        """
        if self.value in (None, [], {}):
            return ""
        if not self.is_scalar:
            raise NotReadable("a text is wanted here, no list and no object", line=self.line, column=self.column)
        if isinstance(self.value, bool):
            return str(self.value).lower()
        return str(self.value)

    @property
    def texts(self) -> dict[str, str]:
        """The members of an object, all of which are texts.

        Raises:
            NotReadable: it is something else.
        """
        if self.value and not isinstance(self.value, dict):
            raise NotReadable("names with texts are wanted here", line=self.line, column=self.column)
        return {name: node.text for name, node in self.members.items()}

    @property
    def items(self) -> list[Node]:
        """The items of a list; anything else that is a value is its own only item, as daemons read it."""
        if isinstance(self.value, list):
            return self.value
        return [] if self.value is None else [self]

    def get(self, name: str) -> Node | None:
        """Return a member; None if it is absent or has no value."""
        found = self.members.get(name)
        return None if found is None or found.value is None else found


class NotReadable(ValueError):  # noqa: N818 - what is wrong is the text, not us
    """A text is not in its language, or not what was asked for; points at the place. No value is in its message."""

    def __init__(self, message: str, *, line: int, column: int, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix
        self.line = line
        self.column = column
