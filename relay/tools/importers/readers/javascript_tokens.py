"""Splits JavaScript into tokens: enough to find the end of any expression, and to read literals.

Comments and blanks are skipped. The token before a slash decides whether the slash divides or begins a regular
expression, as usual without a full grammar.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from relay.tools.importers.readers.tree import Node, NotReadable, Opaque

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLOSING: Final = {"{": "}", "[": "]", "(": ")"}
_BEFORE_OPERAND: Final = frozenset({
    "new", "typeof", "void", "delete", "await", "async", "function", "class", "extends", "in", "instanceof", "of",
    "yield", "get", "set", "static", "return",
})  # fmt: skip
_AFTER_OPERAND: Final = frozenset({"in", "instanceof", "of", "extends", "as"})
TEMPLATES_MAX: Final = 16
"""Nesting of template strings: each level is a recursive call, so a hostile file must not nest without bound."""
_BLANK: Final = re.compile(r"(?:[\s\ufeff]+|//[^\n\r\u2028\u2029]*|/\*.*?\*/)+", re.DOTALL)
_NAME: Final = re.compile(r"[^\W\d][\w$\u200c\u200d]*|\$[\w$\u200c\u200d]*")
_NUMBER: Final = re.compile(
    r"(?:0[xX][0-9a-fA-F]+(?:_[0-9a-fA-F]+)*|0[oO][0-7]+(?:_[0-7]+)*|0[bB][01]+(?:_[01]+)*"
    r"|(?:0\d+|(?:0|[1-9]\d*(?:_\d+)*)(?:\.(?:\d+(?:_\d+)*)?)?|\.\d+(?:_\d+)*)(?:[eE][+-]?\d+(?:_\d+)*)?)n?",
    re.ASCII,
)
_STRING: Final = re.compile(r"""'(?:[^'\\\n\r]|\\(?:\r\n|.))*'|"(?:[^"\\\n\r]|\\(?:\r\n|.))*\"""", re.DOTALL)
_REGEX: Final = re.compile(r"/(?![*/])(?:[^/\\\[\n\r]|\\[^\n\r]|\[(?:[^\]\\\n\r]|\\[^\n\r])*\])+/[\w$]*")
_PUNCTUATION: Final = re.compile(
    r"\.\.\.|=>|\?\?=?|\?\.(?!\d)|&&=?|\|\|=?|\*\*=?|[=!]==?|<<=?|>>>?=?|[-+*/%&|^<>]=|\+\+|--"
    r"|[-{}()\[\];,<>+*/%&|^!~?:=.@#]"
)
_TEMPLATE_TEXT: Final = re.compile(r"(?:[^`\\$]|\\.|\$(?!\{))*", re.DOTALL)
_BEFORE_REGEX: Final = frozenset({
    "return", "typeof", "case", "in", "of", "delete", "void", "throw", "new", "else", "do",
})  # fmt: skip
_LINE_ENDS: Final = re.compile(r"\r\n|[\n\r\u2028\u2029]")
Kind = Literal["name", "number", "string", "template", "regex", "punctuation", "end"]


class Cursor:
    """The position of a parser among the tokens, and how it skips an expression that it cannot evaluate.

    State: the tokens of a source, and the position.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = Lexer(text).tokens()
        self._at = 0

    @property
    def _here(self) -> Token:
        return self._tokens[self._at]

    def _is(self, *texts: str) -> bool:
        return self._here.kind in ("punctuation", "name") and self._here.text in texts

    def _accept(self, *texts: str) -> bool:
        found = self._is(*texts)
        self._at += found
        return found

    def _next(self) -> Token:
        """Return the current token and advance, except at the end."""
        here = self._here
        self._at += here.kind != "end"
        return here

    def _error(self, message: str, token: Token | None = None) -> NotReadable:
        place = token or self._here
        return NotReadable(message, line=place.line, column=place.column)

    def _is_end(self) -> bool:
        return self._here.kind == "end" or self._is(",", ";", "}", "]", ")")

    def _is_new_statement(self) -> bool:
        """Return whether a line end terminates the statement here; it does not before an operator."""
        before, here = self._tokens[self._at - 1], self._here
        is_on_new_line = here.line > before.line + before.text.count("\n")
        begins = here.kind in ("name", "string", "number") and here.text not in _AFTER_OPERAND
        return is_on_new_line and (begins or self._is("{", "@"))

    def _skip_value(self) -> Node:
        """Skip an expression inside brackets, up to the comma or bracket that ends it."""
        first = self._here
        questions = 0
        while not self._is_end():
            here = self._here
            if here is not first and _is_missing_comma(self._tokens[self._at - 1], here):
                raise self._error("expected a comma before this")
            questions += {"?": 1, ":": -1}.get(here.text, 0) if here.kind == "punctuation" else 0
            if questions < 0:
                raise self._error('":" is unexpected here; is a comma missing before?')
            self._skip_one()
        return self._skipped(first)

    def _skip_member(self) -> Node:
        """Skip a method, an accessor or a computed name with its value."""
        first = self._here
        while not self._is_end():
            self._skip_one()
        return self._skipped(first)

    def _skip_statement(self, *, block: bool = False) -> Node:
        """Skip a statement; `block`: it may end with a closing brace."""
        first = self._here
        while not self._is_end() and (self._here is first or not self._is_new_statement()):
            is_brace = self._skip_one().text == "}"
            if block and is_brace and not self._is("else", "catch", "finally", "while"):
                break
        return self._skipped(first)

    def _skip_one(self) -> Token:
        """Skip a token, or a whole bracketed group; return the last token skipped."""
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
    """Return whether two adjacent tokens are operands without an operator between them."""
    ends = before.kind in ("number", "string", "regex") or before.text in (")", "]", "}")
    ends = ends or (before.kind == "name" and before.text not in _BEFORE_OPERAND)
    begins = here.kind in ("number", "string") or (here.kind == "name" and here.text not in _AFTER_OPERAND)
    return ends and begins


class Token(NamedTuple):
    """A piece of the source."""

    kind: Kind
    text: str
    start: int
    line: int
    column: int

    @property
    def end(self) -> int:
        """The offset behind the token."""
        return self.start + len(self.text)


class Lexer:
    """State: the source and where its lines begin."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [0, *(match.end() for match in _LINE_ENDS.finditer(text))]

    def tokens(self) -> list[Token]:
        """Return every token, the last one of kind `end`.

        Raises:
            NotReadable: a comment, string, template or regular expression has no end, or a character is illegal.
        """
        start = len(self._text.partition("\n")[0]) if self._text.startswith("#!") else 0
        return list(self._from(start, 0))

    def _from(self, at: int, nesting: int) -> Iterator[Token]:
        """Yield tokens; inside `${` of a template, up to the closing brace."""
        before: Token | None = None
        braces = 0
        while True:
            at = self._skip_blank(at)
            token = self._token(at, before, nesting)
            yield token
            braces += {"{": 1, "}": -1}.get(token.text, 0) if token.kind == "punctuation" else 0
            if token.kind == "end" or (nesting and braces < 0):
                return
            at, before = token.end, token

    def _skip_blank(self, at: int) -> int:
        blank = _BLANK.match(self._text, at)
        at = blank.end() if blank else at
        if self._text.startswith("/*", at):
            raise self._error(at, "this comment does not end")
        return at

    def _token(self, at: int, before: Token | None, nesting: int) -> Token:
        text = self._text
        if at >= len(text):
            return self._made("end", at, at)
        first = text[at]
        if first == "`":
            return self._made("template", at, self._template_end(at, nesting))
        if first in "'\"":
            return self._matched("string", _STRING, at, "this string does not end on its line")
        if first.isdecimal() or (first == "." and text[at + 1 : at + 2].isdecimal()):
            return self._number(at)
        if first == "/" and _begins_regex(before):
            return self._matched("regex", _REGEX, at, "this regular expression does not end on its line")
        if match := _NAME.match(text, at):
            return self._made("name", at, match.end())
        return self._matched("punctuation", _PUNCTUATION, at, f"{first!a} is unexpected here")

    def _number(self, at: int) -> Token:
        token = self._matched("number", _NUMBER, at, "this is not a number")
        if _NAME.match(self._text, token.end) or self._text[token.end : token.end + 1].isdecimal():
            raise self._error(at, "this is not a number")
        return token

    def _template_end(self, at: int, nesting: int) -> int:
        if nesting >= TEMPLATES_MAX:
            raise self._error(at, "templates are nested too deeply")
        here = at + 1
        while True:
            match = _TEMPLATE_TEXT.match(self._text, here)
            here = match.end() if match else here
            if self._text.startswith("`", here):
                return here + 1
            if not self._text.startswith("${", here):
                raise self._error(at, "this template does not end")
            *_, last = self._from(here + 2, nesting + 1)
            if last.kind == "end":
                raise self._error(at, "this template does not end")
            here = last.end

    def _matched(self, kind: Kind, pattern: re.Pattern[str], at: int, otherwise: str) -> Token:
        match = pattern.match(self._text, at)
        if match is None:
            raise self._error(at, otherwise)
        return self._made(kind, at, match.end())

    def _made(self, kind: Kind, start: int, end: int) -> Token:
        line = bisect_right(self._starts, start)
        return Token(kind, self._text[start:end], start, line, start - self._starts[line - 1] + 1)

    def _error(self, at: int, message: str) -> NotReadable:
        line = bisect_right(self._starts, at)
        return NotReadable(message, line=line, column=at - self._starts[line - 1] + 1)


def _begins_regex(before: Token | None) -> bool:
    if before is None:
        return True
    if before.kind == "punctuation":
        return before.text not in (")", "]", "}", "++", "--")
    return before.kind == "name" and before.text in _BEFORE_REGEX
