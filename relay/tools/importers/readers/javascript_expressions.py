"""Evaluates JavaScript expressions that are constant; others are kept as source text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from relay.tools.importers.readers.javascript_tokens import Cursor
from relay.tools.importers.readers.literals import (
    calculate,
    chosen,
    is_truthy,
    read_json,
    read_number,
    read_string,
    signed,
)
from relay.tools.importers.readers.tree import Node, Opaque

if TYPE_CHECKING:
    from relay.tools.importers.readers.javascript_tokens import Token

CALLS_MAX: Final = 100
"""Function calls evaluated in a file: each call parses the function's body again, and a body may have calls too."""
DEPTH_MAX: Final = 32
"""Nesting of objects, arrays and parentheses."""
_NAMED: Final = {"true": True, "false": False, "null": None, "undefined": None, "NaN": math.nan, "Infinity": math.inf}


@dataclass(frozen=True, slots=True)
class Function(Opaque):
    """A function of the file: its value is opaque, but its return value may be known."""

    parameters: tuple[str, ...]
    body: int
    """Index of the first token of the body."""
    is_block: bool


class Expressions(Cursor):
    """State: the constants defined so far."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._names: dict[str, Node] = {}
        self._calls = 0

    def _expression(self, depth: int, *, top: bool = False) -> Node:
        """Parse an expression; `top`: of a statement, which a line end may terminate."""
        start = self._at
        found = self._choice(depth)
        if found is not None and (self._is_end() or (top and self._is_new_statement())):
            return found
        self._at = start
        return self._skip_statement() if top else self._skip_value()

    def _choice(self, depth: int) -> Node | None:
        """Parse `a || b`, `a && b`, `a ?? b` and `a ? b : c`; the constants select the branch."""
        left = self._sum(depth)
        while left is not None and self._is("||", "&&", "??"):
            operator, right = self._next().text, self._sum(depth)
            left = None if right is None or isinstance(left.value, Opaque) else chosen(operator, left, right)
        if left is None or not self._accept("?"):
            return left
        yes = self._choice(depth)
        no = self._choice(depth) if yes is not None and self._accept(":") else None
        if no is None or isinstance(left.value, Opaque):
            return None
        return yes if is_truthy(left.value) else no

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
        if depth > DEPTH_MAX:
            raise self._error(f"more than {DEPTH_MAX} levels")
        found = self._operand(depth, token)
        while found is not None and self._is(".", "[", "("):
            found = self._called(found, depth) if self._is("(") else self._member_of(found, depth)
        return found

    def _operand(self, depth: int, token: Token) -> Node | None:
        if self._begins_function():
            return self._function()
        if self._accept("{"):
            return Node(self._object(depth + 1, token), token.line, token.column)
        if self._accept("["):
            return Node(self._array(depth + 1, token), token.line, token.column)
        if self._accept("("):
            inner = self._choice(depth + 1)
            while inner is not None and self._accept(","):
                inner = self._choice(depth + 1)
            return inner if inner is not None and self._accept(")") else None
        if self._is("Object", "JSON") and token.text not in self._names:
            return self._of_library(depth)
        return self._leaf(token)

    def _member_of(self, found: Node, depth: int) -> Node | None:
        """Parse `.name` or `["name"]` of a known object."""
        is_dotted = self._next().text == "."
        if is_dotted and self._here.kind != "name":
            return None
        name = self._next().text if is_dotted else self._choice(depth + 1)
        if isinstance(name, Node):
            name = str(name.value) if name.is_scalar and self._accept("]") else None
        if name is None or not isinstance(found.value, dict):
            return None
        return found.value.get(name) or Node(None, found.line, found.column)

    # -- functions: the return value is evaluated at each call --

    def _begins_function(self) -> bool:
        if self._is("function"):
            return True
        if self._here.kind == "name":
            return self._tokens[self._at + 1].text == "=>"
        return self._is("(") and self._tokens[self._behind_bracket()].text == "=>"

    def _behind_bracket(self) -> int:
        """Return the index behind the bracketed group at the current token."""
        at, opened = self._at, 0
        while self._tokens[at].kind != "end":
            token = self._tokens[at]
            if token.kind == "punctuation":
                opened += (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))
            at += 1
            if not opened:
                break
        return min(at, len(self._tokens) - 1)

    def _function(self) -> Node | None:
        """Skip a function and return it; None for a generator, which returns no value."""
        first = self._here
        is_arrow = not self._accept("function")
        if not is_arrow and self._here.kind == "name":
            self._at += 1
        start = self._at
        if not (self._is("(") or is_arrow):
            return None
        self._skip_one()
        parameters = tuple(token.text for token in self._tokens[start : self._at] if token.kind == "name")
        if is_arrow:
            self._accept("=>")
        body = self._at
        is_block = self._is("{")
        if is_block:
            self._skip_one()
        else:
            self._skip_value()
        source = self._text[first.start : self._tokens[self._at - 1].end]
        return Node(Function(source, parameters=parameters, body=body, is_block=is_block), first.line, first.column)

    def _arguments(self, depth: int) -> list[Node]:
        opened = self._next()
        return self._array(depth + 1, opened, closing=")")

    def _called(self, found: Node, depth: int) -> Node | None:
        """Return the return value of a call; None if it cannot be evaluated, or after too many calls."""
        arguments, function = self._arguments(depth), found.value
        self._calls += 1
        if not isinstance(function, Function) or self._calls > CALLS_MAX or depth > DEPTH_MAX:
            return None
        back, names = self._at, self._names
        unknown = {name: Node(Opaque(name), found.line, found.column) for name in function.parameters}
        self._names = {**names, **unknown, **dict(zip(function.parameters, arguments, strict=False))}
        self._at = function.body
        result = self._returned(depth + 1) if function.is_block else self._choice(depth + 1)
        self._at, self._names = back, names
        return result

    def _returned(self, depth: int) -> Node | None:
        """Parse the statements of a function up to the first unconditional return."""
        self._accept("{")
        while not self._is("}"):
            if self._accept("return"):
                return None if self._is_end() else self._expression(depth, top=True)
            if not self._accept(";"):
                self._statement()
        return None

    def _statement(self) -> Node | None:
        raise NotImplementedError

    def _of_library(self, depth: int) -> Node | None:
        """Parse `Object.assign(...)`, `Object.freeze(...)` and `JSON.parse(...)`."""
        owner, is_dotted = self._next().text, self._accept(".")
        name = self._next().text
        if not is_dotted or not self._is("("):
            return None
        arguments = self._arguments(depth)
        match f"{owner}.{name}", arguments:
            case "Object.assign", [Node(value=dict() as members), *others]:
                for other in others:
                    _spread(members, other)
                return arguments[0]
            case "Object.freeze" | "Object.seal", [Node() as found]:
                return found
            case "JSON.parse", [Node(value=str() as text, line=line, column=column)]:
                return read_json(text, line, column)
        return None

    def _leaf(self, token: Token) -> Node | None:
        self._at += token.kind != "end"
        if token.kind == "number":
            number = read_number(token.text)
            return None if number is None else Node(number, token.line, token.column)
        if token.kind == "string" or (token.kind == "template" and "${" not in token.text):
            return Node(self._string(token), token.line, token.column)
        if token.kind == "name" and token.text in _NAMED:
            return Node(_NAMED[token.text], token.line, token.column)
        if token.kind == "name" and token.text in self._names and token.text not in ("module", "exports"):
            return Node(self._names[token.text].value, token.line, token.column)
        return None

    def _string(self, token: Token) -> str:
        try:
            return read_string(token.text)
        except ValueError as error:
            raise self._error(str(error), token) from error

    def _array(self, depth: int, opened: Token, closing: str = "]") -> list[Node]:
        items: list[Node] = []
        while not self._closes(closing, opened):
            if self._accept(","):
                items.append(Node(None, self._here.line, self._here.column))
                continue
            items.append(self._expression(depth))
            self._separate(closing)
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
        return self._accept(closing)

    def _separate(self, closing: str) -> None:
        if not self._accept(",") and not self._is(closing) and self._here.kind != "end":
            raise self._error(f'expected a comma or "{closing}"')

    def _member(self, members: dict[str, Node], depth: int) -> None:
        key = self._here
        if self._accept("..."):
            _spread(members, self._expression(depth))
            return
        name = self._key(key)
        computed = self._computed(depth) if name is None else None
        if name is not None and self._tokens[self._at + 1].text == ":":
            self._at += 1
        name = name if computed is None else computed
        if name is not None and self._accept(":"):
            if self._is_end():
                raise self._error(f"a value is missing after {key.text}")
            value = self._expression(depth)
            members.pop(name, None)
            members[name] = Node(value.value, key.line, key.column)
            return
        self._function_or_shorthand(members, name, key)

    def _computed(self, depth: int) -> str | None:
        """Parse `["name"]` before a colon; for anything else, stay at the current token."""
        start = self._at
        found = self._choice(depth + 1) if self._accept("[") else None
        if found is not None and found.is_scalar and self._accept("]") and self._is(":"):
            return str(found.value)
        self._at = start
        return None

    def _key(self, token: Token) -> str | None:
        if token.kind == "string":
            return self._string(token)
        if token.kind == "number":
            number = read_number(token.text)
            return token.text if number is None else str(number)
        return token.text if token.kind == "name" else None

    def _function_or_shorthand(self, members: dict[str, Node], name: str | None, key: Token) -> None:
        """Parse `{ port, size() {...}, get x() {...}, [computed]: 1 }`; of these only a known name has a value."""
        following = self._tokens[self._at + 1]
        if following.text not in (",", "}", "(", "=") and key.text not in ("[", "*", "get", "set", "async"):
            raise self._error('expected a name, then ":" and a value', key if name is None else following)
        if name in self._names and following.text in (",", "}"):
            self._at += 1
            members[name] = Node(self._names[name].value, key.line, key.column)
            return
        source = self._skip_member()
        members[name or _source(source)] = Node(source.value, key.line, key.column)


def _spread(members: dict[str, Node], other: Node) -> None:
    """Add the members of a spread object; a value that is not a known object is kept as its source."""
    if isinstance(other.value, dict):
        members.update(other.value)
    else:
        members[f"...{_source(other)}"] = Node(Opaque(f"...{_source(other)}"), other.line, other.column)


def _source(node: Node) -> str:
    return node.value.text if isinstance(node.value, Opaque) else str(node.value)
