"""Where a reader of JavaScript is among the tokens, and how it gets past an expression that it cannot evaluate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.config.importers.lexer import Lexer
from relay.config.importers.tree import Node, NotReadable, Opaque

if TYPE_CHECKING:
    from relay.config.importers.lexer import Token

_CLOSING: Final = {"{": "}", "[": "]", "(": ")"}
_BEFORE_OPERAND: Final = frozenset({
    "new", "typeof", "void", "delete", "await", "async", "function", "class", "extends", "in", "instanceof", "of",
    "yield", "get", "set", "static", "return",
})  # fmt: skip
_AFTER_OPERAND: Final = frozenset({"in", "instanceof", "of", "extends", "as"})


class Cursor:
    """State: the tokens of a source, and where it is among them."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = Lexer(text).tokens()
        self._at = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._here.line}:{self._here.column}>"

    @property
    def _here(self) -> Token:
        return self._tokens[self._at]

    def _is(self, *texts: str) -> bool:
        return self._here.kind in ("punctuation", "name") and self._here.text in texts

    def _take(self, *texts: str) -> bool:
        found = self._is(*texts)
        self._at += found
        return found

    def _next(self) -> Token:
        """Return the token that is here, and get past it, but for the end."""
        here = self._here
        self._at += here.kind != "end"
        return here

    def _error(self, message: str, token: Token | None = None) -> NotReadable:
        place = token or self._here
        return NotReadable(message, line=place.line, column=place.column)

    def _is_end(self) -> bool:
        return self._here.kind == "end" or self._is(",", ";", "}", "]", ")")

    def _is_new_statement(self) -> bool:
        """A line end ends a statement, unless the next line goes on with an operator."""
        before, here = self._tokens[self._at - 1], self._here
        is_on_new_line = here.line > before.line + before.text.count("\n")
        begins = here.kind in ("name", "string", "number") and here.text not in _AFTER_OPERAND
        return is_on_new_line and (begins or self._is("{", "@"))

    def _skip_value(self) -> Node:
        """Get past an expression inside brackets: to the comma or bracket that ends it."""
        first = self._here
        questions = 0
        while not self._is_end():
            here = self._here
            if here is not first and _is_missing_comma(self._tokens[self._at - 1], here):
                raise self._error("expected a comma before this")
            questions += {"?": 1, ":": -1}.get(here.text, 0) if here.kind == "punctuation" else 0
            if questions < 0:
                raise self._error('":" has no place here; is a comma missing before?')
            self._skip_one()
        return self._skipped(first)

    def _skip_member(self) -> Node:
        """Get past a method, an accessor or a computed name with its value."""
        first = self._here
        while not self._is_end():
            self._skip_one()
        return self._skipped(first)

    def _skip_statement(self, *, block: bool = False) -> Node:
        """Get past a statement; `block`: one that may end with a brace alone."""
        first = self._here
        while not self._is_end() and (self._here is first or not self._is_new_statement()):
            is_brace = self._skip_one().text == "}"
            if block and is_brace and not self._is("else", "catch", "finally", "while"):
                break
        return self._skipped(first)

    def _skip_one(self) -> Token:
        """Get past a token, or all that its bracket holds; return the last one."""
        opened: list[Token] = []
        while True:
            here = self._next()
            if here.kind == "end":
                raise self._error(f'this "{opened[-1].text}" is not closed', opened[-1])
            if here.kind == "punctuation" and here.text in _CLOSING:
                opened.append(here)
            elif here.kind == "punctuation" and here.text in _CLOSING.values():
                bracket = opened.pop()
                if _CLOSING[bracket.text] != here.text:
                    message = f'"{here.text}" does not close the "{bracket.text}" of line {bracket.line}'
                    raise self._error(message, here)
            if not opened:
                return here

    def _skipped(self, first: Token) -> Node:
        if self._here is first:
            is_sign = first.kind == "punctuation"
            raise self._error(f'expected a value, not "{first.text}"' if is_sign else "expected a value")
        last = self._tokens[self._at - 1]
        return Node(Opaque(self._text[first.start : last.end]), first.line, first.column)


def _is_missing_comma(before: Token, here: Token) -> bool:
    """Two operands without an operator between them."""
    ends = before.kind in ("number", "string", "regex") or before.text in (")", "]", "}")
    ends = ends or (before.kind == "name" and before.text not in _BEFORE_OPERAND)
    begins = here.kind in ("number", "string") or (here.kind == "name" and here.text not in _AFTER_OPERAND)
    return ends and begins
