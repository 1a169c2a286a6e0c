"""What options of several commands are made of: values that are read as the configuration reads them, and `-c`."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from relay.cli.admin_client import parse_admin
from relay.config.addresses import parse_address, parse_place
from relay.config.types import Seconds, Size

if TYPE_CHECKING:
    from collections.abc import Callable

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Parsed(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases alone
    """State: none; whatever the function reads, and its ValueError is the user's mistake."""

    def __init__(self, name: str, parse: Callable[[Any], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> object:  # noqa: ANN401 - click's signature
        """Read a text, or a default."""
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def whole(least: int, most: int) -> Parsed:
    """Return the type of whole numbers in a range."""

    def parse(value: object) -> int:
        number = int(text) if (text := str(value)).isascii() and text.isdecimal() and len(text) < _DIGITS_MOST else -1
        if not least <= number <= most:
            raise ValueError(f"must be a whole number from {least} to {most}, not {_shown(value)}")
        return number

    return Parsed("number", parse)


def decimal(text: str, *, least: float, most: float, unit: float = 1) -> float:
    """Read a number such as 10 or 0.5, times a unit.

    Raises:
        ValueError: with the rule.
    """
    number = float(text) * unit if _DECIMAL.fullmatch(text) else math.nan
    if not least <= number <= most:
        raise ValueError(f"must be a number from {least:g} to {most:.0f}, not {_shown(text)}")
    return number


def lasting(least: str) -> Parsed:
    """Return the type of durations that a command may take."""
    shortest = Seconds.parse(least)

    def parse(value: object) -> float:
        if not shortest <= (seconds := Seconds.parse(value)) <= _DAYS_MOST * 86_400:
            raise ValueError(f"must be from {least} to {_DAYS_MOST}d, not {_shown(value)}")
        return seconds

    return Parsed("duration", parse)


def _shown(value: object) -> str:
    """Return what was given, without the rest of what is too long."""
    return ascii(str(value)[:_SHOWN])


_SHOWN: Final = 40
_DIGITS_MOST: Final = 20
_DAYS_MOST: Final = 366
_DECIMAL: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
DURATION: Final = lasting("0s")
LENGTH: Final = lasting("1ms")
"""Of what would be without any sense, or something else, at 0."""
SIZE: Final = Parsed("size", Size.parse)
ADDRESS: Final = Parsed("address:port", parse_address)
PLACE: Final = Parsed("host:port", parse_place)
ADMIN: Final = Parsed("host:port", parse_admin)
"""Of a relay."""


def config_option(help_: str = "The file that the relay runs with.") -> Decorator:
    """Return `-c`, as `path`."""
    return click.option("-c", "--config", "path", type=click.Path(path_type=Path), help=help_)
