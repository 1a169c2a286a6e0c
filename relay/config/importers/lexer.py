"""JavaScript as tokens: enough of the language to find where any expression ends, and to read its literals.

Comments and blanks are no tokens. Whether a slash divides or begins a regular expression is decided by the token before
it, as all readers without a full grammar do.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from relay.config.importers.tree import NotReadable

if TYPE_CHECKING:
    from collections.abc import Iterator

TEMPLATES_MOST: Final = 16
"""Templates inside one another: each is a call, so that a hostile file must not nest them as it likes."""
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


class Token(NamedTuple):
    """A piece of the source."""

    kind: Kind
    text: str
    start: int
    line: int
    column: int

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.start + len(self.text)


class Lexer:
    """State: the source and where its lines begin."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [0, *(match.end() for match in _LINE_ENDS.finditer(text))]

    def __repr__(self) -> str:
        return f"<Lexer {len(self._text)} characters, {len(self._starts)} lines>"

    def tokens(self) -> list[Token]:
        """Return every token, the last one of kind `end`.

        Raises:
            NotReadable: a comment, string, template or regular expression does not end, or a character has no place.
        """
        start = len(self._text.partition("\n")[0]) if self._text.startswith("#!") else 0
        return list(self._from(start, 0))

    def _from(self, at: int, nesting: int) -> Iterator[Token]:
        """Yield tokens; inside a template's `${`, up to the brace that closes it."""
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
        return self._matched("punctuation", _PUNCTUATION, at, f"{first!a} has no place here")

    def _number(self, at: int) -> Token:
        token = self._matched("number", _NUMBER, at, "this is no number")
        if _NAME.match(self._text, token.end) or self._text[token.end : token.end + 1].isdecimal():
            raise self._error(at, "this is no number")
        return token

    def _template_end(self, at: int, nesting: int) -> int:
        if nesting >= TEMPLATES_MOST:
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
