"""Evaluates JavaScript literals, and the arithmetic on them that configurations use."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

from relay.tools.importers.readers.tree import Node

_EXACT: Final = 2**53
"""JavaScript's numbers are doubles: integers up to this bound are exact."""
_ESCAPE: Final = re.compile(
    r"\\(?:(\r\n|[\n\r\u2028\u2029])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}"
    r"|([0-3][0-7]{0,2}|[4-7][0-7]?)|(.))",
    re.DOTALL,
)
_LETTERS: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}
_UNICODE_MAX: Final = 0x10FFFF
Number = int | float


def read_number(text: str) -> Number | None:
    """Return the value of a numeric literal; None for a BigInt, which no configuration needs."""
    digits = text.replace("_", "").lower()
    if digits.endswith("n") and not digits.startswith("0x"):
        return None
    if digits.startswith(("0x", "0o", "0b")):
        return None if digits.endswith("n") else normal(int(digits, 0))
    if re.fullmatch(r"0[0-7]+", digits):
        return normal(int(digits, 8))
    return normal(float(digits))


def normal(value: Number) -> Number:
    """Return a number as JavaScript's double; an exact integer other than -0 as int."""
    try:
        value = float(value)
    except OverflowError:
        return math.inf
    is_whole = math.isfinite(value) and value.is_integer() and abs(value) <= _EXACT
    return int(value) if is_whole and (value or math.copysign(1, value) > 0) else value


def read_string(text: str) -> str:
    """Return the value of a string or of a template without `${`; half of a surrogate pair becomes U+FFFD.

    Raises:
        ValueError: the text has an illegal escape.
    """
    body = text[1:-1]
    if text[0] == "`":
        body = re.sub(r"\r\n?", "\n", body)
    if "\\" in body:
        body = _ESCAPE.sub(_unescaped, body)
    return body.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _unescaped(match: re.Match[str]) -> str:
    continuation, two, four, braces, octal, other = match.groups()
    if continuation is not None:
        return ""
    if octal is not None:
        return chr(int(octal, 8))
    if other is None:
        code = int(two or four or braces, 16)
        if code > _UNICODE_MAX:
            raise ValueError("there is no such character")
        return chr(code)
    if other in "xu":
        raise ValueError(f"\\{other} needs its digits")
    return _LETTERS.get(other, str(other))


def signed(operator: str, value: object) -> Number | bool | None:
    """Return `-value`, `+value` or `!value` of a constant; None if it is not evaluated here."""
    if operator == "!":
        return not is_truthy(value)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return normal(-float(value) if operator == "-" else value)


def is_truthy(value: object) -> bool:
    """Return whether a value is truthy in JavaScript; objects and arrays always are, even empty ones."""
    return not (value is None or value in (False, "", 0) or value != value)  # noqa: PLR0124 - NaN is not equal to itself


def chosen(operator: str, left: Node, right: Node) -> Node:
    """Return `left || right`, `left && right` or `left ?? right`."""
    if operator == "??":
        return right if left.value is None else left
    return left if is_truthy(left.value) == (operator == "||") else right


def read_json(text: str, line: int, column: int) -> Node | None:
    """Parse a JSON text, every value with the place of the text; None if the text is not JSON."""
    try:
        return _placed(json.loads(text), line, column)
    except (ValueError, RecursionError):
        return None


def _placed(value: Any, line: int, column: int) -> Node:  # noqa: ANN401 - of JSON
    if isinstance(value, dict):
        value = {key: _placed(item, line, column) for key, item in value.items()}
    elif isinstance(value, list):
        value = [_placed(item, line, column) for item in value]
    return Node(value, line, column)


def _is_number(value: object) -> bool:
    """Return whether a value is a number and not a bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def calculate(operator: str, left: object, right: object) -> Number | str | None:
    """Return `left operator right`; None if it is not evaluated here."""
    if isinstance(left, (int, float)) and isinstance(right, (int, float)) and _is_number(left) and _is_number(right):
        return normal(_numbers(operator, left, right))
    if operator == "+" and all(isinstance(side, (str, int)) and not isinstance(side, bool) for side in (left, right)):
        return f"{left}{right}"
    return None


def _numbers(operator: str, left: Number, right: Number) -> float:
    left, right = float(left), float(right)
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return _divided(left, right)
        case _:
            return math.fmod(left, right) if right and math.isfinite(left) else math.nan


def _divided(left: float, right: float) -> float:
    if right:
        return left / right
    return math.nan if not left or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1, right)
