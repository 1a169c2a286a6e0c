"""Value types of the configuration (durations, sizes, secrets), and how values are written in files and messages."""

from __future__ import annotations

import json
import math
import re
from typing import Final, Literal, get_args, get_origin

from msgspec import Meta, Struct
from msgspec.structs import asdict

from relay.wording import printable_toml

_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)?")
_DURATION_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, None: 1}
_BARE_KEY: Final = re.compile(r"[0-9A-Za-z_-]+")
_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(B|KiB|MiB|GiB|kB|KB|MB|GB)?")
_SIZE_UNITS: Final = {
    "B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "kB": 1000, "KB": 1000, "MB": 1000**2, "GB": 1000**3, None: 1,
}  # fmt: skip


_DAYS_MOST: Final = 36_500
_SIZE_MOST: Final = 2**60
"""1 EiB: more than a file can have."""


class Seconds(float):
    """A duration; written as a number of seconds or as "500ms", "10s", "5m", "1h", "7d"."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Seconds:
        """Parse a number or a text.

        Raises:
            ValueError: the value breaks the rule; the message is the rule.
        """
        number, unit = _read(value, _DURATION)
        seconds = number * _DURATION_UNITS[unit] if number <= _DAYS_MOST * 86_400_000 else math.inf
        if not 0 <= seconds <= _DAYS_MOST * 86_400:
            raise ValueError(f'must be a duration such as "500ms", "10s", "5m", "1h" or "7d", at most {_DAYS_MOST}d')
        return cls(seconds)


class Size(int):
    """A number of bytes; written as a number or as "64KiB", "8MiB", "1GiB"."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Size:
        """Parse a number or a text.

        Raises:
            ValueError: the value breaks the rule; the message is the rule.
        """
        number, unit = _read(value, _SIZE) if not isinstance(value, float) else (-1, None)
        size = number * _SIZE_UNITS[unit] if number <= _SIZE_MOST else math.inf
        if not 0 <= size <= _SIZE_MOST:
            raise ValueError(f'must be a size such as "64KiB", "8MiB" or "1GiB", at most {_SIZE_MOST >> 30}GiB')
        return cls(size)


def _read(value: object, form: re.Pattern[str]) -> tuple[float, str | None]:
    """Return a number and its unit; -1, which is out of every range, if the value has another form."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value, None
    match = form.fullmatch(value.strip()) if isinstance(value, str) else None
    return (float(match[1]), match[2]) if match else (-1, None)


class Secret(str):
    """A masked text: repr, str and format show `***`; `reveal()` is the only way to the value."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Masked."""
        return "Secret('***')" if len(self) else "Secret('')"

    def __str__(self) -> str:
        """Masked."""
        return "***" if len(self) else ""

    def __format__(self, spec: str) -> str:
        """Masked."""
        return format(str(self), spec)

    def reveal(self) -> str:
        """Return the value; for signing and checking only."""
        return "".join(self)


def mask_urls(text: str) -> str:
    """Return a text without the user and password of any URL in it.

    A password may hold a slash or an @, so in each line everything between the first `//` and the last `@` is masked.
    """
    return "\n".join(map(_without_userinfo, text.split("\n"))) if "//" in text else text


def _without_userinfo(line: str) -> str:
    start, end = line.find("//"), line.rfind("@")
    return f"{line[:start]}//***{line[end:]}" if 0 <= start < end - 2 else line


_DURATIONS: Final = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
_SIZES: Final = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))


def to_toml(value: object) -> str:
    """Return a value as TOML; a secret is masked."""
    match value:
        case Seconds():
            return f'"{_scaled(value, _DURATIONS, "s")}"'
        case Size():
            return f'"{_scaled(value, _SIZES, "B")}"'
        case Secret():
            return f'"{value}"'
        case bool():
            return str(value).lower()
        case list():
            return f"[{', '.join(to_toml(item) for item in value)}]"
        case dict() | Struct():
            value = asdict(value) if isinstance(value, Struct) else value
            pairs = ", ".join(f"{toml_key(key)} = {to_toml(item)}" for key, item in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
        case str():
            return printable_toml(json.dumps(value, ensure_ascii=False))
        case _:
            return str(value)


_GIVEN_MOST: Final = 60


def given(value: object) -> str:
    """Return a value as a message names it: as TOML, cut to 60 characters."""
    try:
        text = to_toml(value)
    except (TypeError, ValueError):  # an integer of more digits than Python converts to a text
        text = "..."
    return text if len(text) <= _GIVEN_MOST else f"{text[:_GIVEN_MOST]}..."


def toml_key(text: str) -> str:
    """Return a key as TOML: bare or in quotes."""
    return text if _BARE_KEY.fullmatch(text) else to_toml(text)


def _scaled(value: float, units: tuple[tuple[str, int], ...], smallest: str) -> str:
    for unit, size in units:
        if value >= size and value % size == 0:
            return f"{value // size:.0f}{unit}"
    return f"{value:g}{smallest}"


def choices(type_: object) -> tuple[str, ...]:
    """Return the allowed words of a value, or of each element of a list; empty if the type is not a Literal."""
    if get_origin(type_) is list:
        return choices(get_args(type_)[0])
    return get_args(type_) if get_origin(type_) is Literal else ()


def words(type_: object) -> str:
    """Return the allowed words of a value, or of a list's elements: `"a", "b" or "c"`; empty if any text is allowed."""
    if get_origin(type_) is Literal:
        *first, last = map(to_toml, sorted(get_args(type_), key=lambda word: word == ""))
        return f"{', '.join(first)} or {last}" if first else last
    return " or ".join(filter(None, map(words, get_args(type_))))


def help_(text: str) -> Meta:
    """Attach the help line that the reference prints."""
    return Meta(description=text)
