"""Parses configurations in JavaScript: object literals, never executed.

Constants are evaluated: literals, nested objects and arrays, arithmetic such as `10 * 1000`, concatenated strings,
names of earlier constants, the return value of a function of the file, `Object.assign` and the like. Any other
expression is kept as its source text (`Opaque`), with its place. The file is a bare `{...}`, as the reference evaluates
it, or sets `module.exports` or its members. A syntax error, such as a missing comma or brace, is reported at its place.

No package of PyPI gives the line of each value. Parsers of JSON5 refuse `require(...)`; chompjs takes anything for a
string and cannot report a missing comma; with a full grammar (tree-sitter, two compiled packages) escapes, numbers,
arithmetic and error messages would still have to be written here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.tools.importers.readers.javascript_expressions import Expressions, Function
from relay.tools.importers.readers.tree import Node, NotReadable, Opaque

if TYPE_CHECKING:
    from collections.abc import Sequence

_VARIABLE: Final = r"process\.env(?:\.([A-Za-z_]\w*)|\[\s*['\"]([A-Za-z_]\w*)['\"]\s*\])"
_FALLBACK: Final = r"""(?:\s*(?:\|\||\?\?)\s*(?:'([^'\\{}]*)'|"([^"\\{}]*)"|(-?[\d.]+)))?"""
_REFERENCE: Final = re.compile(
    rf"\(?\s*\+?(?:(?:Number|parseInt|parseFloat|String)\s*\(\s*)?{_VARIABLE}{_FALLBACK}\s*(?:,\s*10\s*)?\)?{_FALLBACK}\s*\)?"
)
_HOSTNAME: Final = re.compile(r"\bhostname\s*\(\s*\)|process\.env\.HOSTNAME\b")
_STATEMENTS: Final = (
    "if", "for", "while", "do", "switch", "try", "throw", "function", "class", "import", "return", "with", "debugger",
)  # fmt: skip
_VALUES_MAX: Final = 100_000
_DECLARATIONS: Final = ("function", "class")
"""Statements without a value: the value of a file is that of the last statement before them."""
_NO_EXPRESSIONS: Final = frozenset({"var", "let", "const", "export", *_STATEMENTS} - {*_DECLARATIONS})


class EnvReference(NamedTuple):
    """A reference to an environment variable, with its default."""

    name: str
    default: str | None

    def reference(self, otherwise: str) -> str:
        """Return `${NAME:-default}`; `otherwise`: the daemon's own default."""
        return f"${{{self.name}:-{self.default or otherwise}}}"


def find_env_reference(source: str) -> EnvReference | None:
    """Parse `process.env.NAME`, also with `|| default` or within `Number(...)`; None for another expression."""
    match = _REFERENCE.fullmatch(source.strip())
    if match is None:
        return None
    name, *defaults = match[1] or match[2], *match.groups()[2:]
    return EnvReference(name, next((default for default in defaults if default is not None), None))


def is_hostname(source: str) -> bool:
    """Return whether an expression evaluates to the host name, or mostly to it."""
    return _HOSTNAME.search(source) is not None


class Module(NamedTuple):
    """A parsed file."""

    config: Node
    """An object."""
    statements: Sequence[Node]
    """Other statements, each an `Opaque`."""
    fault: Node | None = None
    """Why the reference, which evaluates `config = ` and the file, would get another configuration or none."""


def read(text: str) -> Module:
    """Parse a configuration.

    Raises:
        NotReadable: the text is not JavaScript, or has no object.
    """
    return _Reader(text.removeprefix("\ufeff")).module()


class _Reader(Expressions):
    """State: the statements outside of the configuration object."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._is_script = text.startswith("#!")
        self._evaluated: Node | None = None
        """Value of the latest statement, if it was an expression."""
        self._statements: list[Node] = []
        self._values = 0
        self._result: Node | None = None
        """Value of the latest expression statement: the result of `eval`."""

    def module(self) -> Module:
        """Parse every statement; the configuration is the exported object, or the first object that stands alone."""
        alone: Node | None = None
        exported = Node({}, 1)
        self._names = {"exports": exported, "module": Node({"exports": exported}, 1)}
        while self._here.kind != "end":
            if self._accept(";"):
                continue
            found = self._statement()
            self._result = self._evaluated or self._result
            alone = alone or (found if found and isinstance(found.value, dict) else None)
        set_ = self._names["module"].members.get("exports", exported)
        if set_ is exported and not set_.members and alone:
            set_ = alone
        if not isinstance(set_.value, dict) or (set_ is exported and not set_.members):
            place = set_ if set_ is not exported else next(iter(self._statements), Node(None, 1))
            message = "there is no object literal such as { port: 8125 }"
            if place.value is not None:
                message = "there is no object literal that can be read without running it"
            fix = "give its value as a literal: node -p 'JSON.stringify(...)'"
            raise NotReadable(message, line=place.line, column=place.column, fix=fix)
        return Module(self._plain(set_), self._statements, self._fault(set_))

    def _fault(self, config: Node) -> Node | None:
        """Return why `config = ` before the file is an error, or has another result than this parser."""
        first, result = self._tokens[0], self._result
        if self._is_script:
            return Node("a line #! cannot follow it", 1)
        if first.text in _NO_EXPRESSIONS and first.kind == "name":
            return Node(f"{first.text} cannot follow it", first.line, first.column)
        if first.text == "function" and self._tokens[1].kind == "name":
            return Node(f"the function {self._tokens[1].text} has no value there", first.line, first.column)
        if result is None or result.value is config.value:
            return None
        other = "which only Node evaluates" if isinstance(result.value, Opaque) else "which is another value"
        return Node(f"the result is the last statement, {other}", result.line, result.column)

    def _statement(self) -> Node | None:
        first, self._evaluated = self._here, None
        if self._accept("var", "let", "const"):
            self._declarations()
            return None
        if self._is("function") and self._tokens[self._at + 1].kind == "name":
            name = self._tokens[self._at + 1].text
            self._names[name] = self._function() or Node(Opaque(name), first.line, first.column)
            return None
        if self._is(*_STATEMENTS):
            skipped = self._skip_statement(block=True)
            self._statements.append(skipped)
            self._evaluated = None if first.text in _DECLARATIONS else skipped
            return None
        if self._accept("export"):
            self._accept("default")
        self._evaluated = found = self._assigned()
        is_result = isinstance(found.value, dict) and first.text not in ("module", "exports")
        if isinstance(found.value, Opaque):
            self._statements.append(found)
        return found if is_result else None

    def _declarations(self) -> None:
        while True:
            name = self._here
            if name.kind == "name" and self._tokens[self._at + 1].text == "=":
                self._at += 2
                self._names[name.text] = self._expression(0, top=True)
            else:
                self._skip_statement()  # destructuring: its names are reported where they are used
            if not self._accept(","):
                return

    def _assigned(self) -> Node:
        """Parse `a.b = c.d = expression`, or an expression."""
        start = self._at
        path = self._path()
        if path and self._accept("="):
            value = self._assigned()
            self._assign(path, value)
            return value
        self._at = start
        found = self._expression(0, top=True)
        return found if self._at > start else self._nowhere()

    def _nowhere(self) -> Node:
        what = f'"{self._here.text}"' if self._here.kind == "punctuation" else "this"
        raise self._error(f"{what} is unexpected here")

    def _path(self) -> list[str]:
        path: list[str] = []
        while self._here.kind == "name":
            path.append(self._here.text)
            self._at += 1
            if not self._accept("."):
                return path
        return []

    def _assign(self, path: list[str], value: Node) -> None:
        *owners, last = path
        target = Node(self._names, 1)
        for name in owners:
            target = target.members.get(name) or Node({}, 1)
        if isinstance(target.value, dict):
            target.value[last] = value

    def _plain(self, node: Node, within: tuple[object, ...] = ()) -> Node:
        """Return a value in which a function is its source, and a reference to an outer value is a word.

        Raises:
            NotReadable: a value that is used again and again comes to more than `_VALUES_MAX` values.
        """
        self._values += 1
        if self._values > _VALUES_MAX:
            raise NotReadable(f"more than {_VALUES_MAX:,} values", line=node.line, column=node.column)
        value, inside = node.value, (*within, node.value)
        if any(value is outer for outer in within):
            return Node(Opaque("[Circular]"), node.line, node.column)
        if isinstance(value, Function):
            return Node(Opaque(value.text), node.line, node.column)
        if isinstance(value, dict):
            return Node({key: self._plain(item, inside) for key, item in value.items()}, node.line, node.column)
        if isinstance(value, list):
            return Node([self._plain(item, inside) for item in value], node.line, node.column)
        return node
