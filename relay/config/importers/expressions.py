"""JavaScript's expressions, as far as they are constant; the rest is kept as its source."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from relay.config.importers.cursor import Cursor
from relay.config.importers.literals import calculate, read_number, read_string, signed
from relay.config.importers.tree import Node, Opaque

if TYPE_CHECKING:
    from relay.config.importers.lexer import Token

DEPTH_MOST: Final = 32
"""Objects, arrays and parentheses inside one another."""
_NAMED: Final = {"true": True, "false": False, "null": None, "undefined": None, "NaN": math.nan, "Infinity": math.inf}


class Expressions(Cursor):
    """State: the constants that the file has named so far."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._names: dict[str, Node] = {}

    def _expression(self, depth: int, *, top: bool = False) -> Node:
        """Read an expression; `top`: it is a statement's, which a line end may end."""
        start = self._at
        found = self._sum(depth)
        if found is not None and (self._is_end() or (top and self._is_new_statement())):
            return found
        self._at = start
        return self._skip_statement() if top else self._skip_value()

    def _sum(self, depth: int) -> Node | None:
        left = self._product(depth)
        while left is not None and self._is("+", "-"):
            left = self._calculated(left, self._next().text, self._product(depth))
        return left

    def _product(self, depth: int) -> Node | None:
        left = self._unary(depth)
        while left is not None and self._is("*", "/", "%"):
            left = self._calculated(left, self._next().text, self._unary(depth))
        return left

    def _calculated(self, left: Node, operator: str, right: Node | None) -> Node | None:
        if right is None or not (left.is_scalar and right.is_scalar):
            return None
        value = calculate(operator, left.value, right.value)
        return None if value is None else Node(value, left.line, left.column)

    def _unary(self, depth: int) -> Node | None:
        signs: list[Token] = []
        while self._is("-", "+", "!"):
            signs.append(self._next())
        found = self._primary(depth)
        for sign in reversed(signs):
            if found is None or not found.is_scalar:
                return None
            value = signed(sign.text, found.value)
            if value is None:
                return None
            found = Node(value, sign.line, sign.column)
        return found

    def _primary(self, depth: int) -> Node | None:
        token = self._here
        if depth > DEPTH_MOST:
            raise self._error(f"more than {DEPTH_MOST} levels")
        if self._take("{"):
            return Node(self._object(depth + 1, token), token.line, token.column)
        if self._take("["):
            return Node(self._array(depth + 1, token), token.line, token.column)
        if self._take("("):
            inner = self._sum(depth + 1)
            return inner if inner is not None and self._take(")") else None
        return self._leaf(token)

    def _leaf(self, token: Token) -> Node | None:
        self._at += token.kind != "end"
        if token.kind == "number":
            number = read_number(token.text)
            return None if number is None else Node(number, token.line, token.column)
        if token.kind == "string" or (token.kind == "template" and "${" not in token.text):
            return Node(self._string(token), token.line, token.column)
        if token.kind == "name" and token.text in _NAMED:
            return Node(_NAMED[token.text], token.line, token.column)
        if token.kind == "name" and token.text in self._names:
            return Node(self._names[token.text].value, token.line, token.column)
        return None

    def _string(self, token: Token) -> str:
        try:
            return read_string(token.text)
        except ValueError as error:
            raise self._error(str(error), token) from error

    def _array(self, depth: int, opened: Token) -> list[Node]:
        items: list[Node] = []
        while not self._closes("]", opened):
            if self._take(","):
                items.append(Node(None, self._here.line, self._here.column))
                continue
            items.append(self._expression(depth))
            self._separate("]")
        return items

    def _object(self, depth: int, opened: Token) -> dict[str, Node]:
        members: dict[str, Node] = {}
        while not self._closes("}", opened):
            self._member(members, depth)
            self._separate("}")
        return members

    def _closes(self, closing: str, opened: Token) -> bool:
        if self._here.kind == "end":
            raise self._error(f'this "{opened.text}" is not closed', opened)
        return self._take(closing)

    def _separate(self, closing: str) -> None:
        if not self._take(",") and not self._is(closing) and self._here.kind != "end":
            raise self._error(f'expected a comma or "{closing}"')

    def _member(self, members: dict[str, Node], depth: int) -> None:
        key = self._here
        if self._take("..."):
            spread = self._expression(depth)
            if isinstance(spread.value, dict):
                members.update(spread.value)
            else:
                members[f"...{_source(spread)}"] = Node(Opaque(f"...{_source(spread)}"), key.line, key.column)
            return
        name = self._key(key)
        if name is not None and self._tokens[self._at + 1].text == ":":
            self._at += 2
            if self._is_end():
                raise self._error(f"a value is missing after {key.text}")
            value = self._expression(depth)
            members.pop(name, None)
            members[name] = Node(value.value, key.line, key.column)
            return
        self._function_or_shorthand(members, name, key)

    def _key(self, token: Token) -> str | None:
        if token.kind == "string":
            return self._string(token)
        if token.kind == "number":
            number = read_number(token.text)
            return token.text if number is None else str(number)
        return token.text if token.kind == "name" else None

    def _function_or_shorthand(self, members: dict[str, Node], name: str | None, key: Token) -> None:
        """`{ port, size() {...}, get x() {...}, [computed]: 1 }`: of these only a known name has a value."""
        following = self._tokens[self._at + 1]
        if following.text not in (",", "}", "(", "=") and key.text not in ("[", "*", "get", "set", "async"):
            raise self._error('expected a name, then ":" and a value', key if name is None else following)
        if name in self._names and following.text in (",", "}"):
            self._at += 1
            members[name] = Node(self._names[name].value, key.line, key.column)
            return
        source = self._skip_member()
        members[name or _source(source)] = Node(source.value, key.line, key.column)


def _source(node: Node) -> str:
    return node.value.text if isinstance(node.value, Opaque) else str(node.value)
