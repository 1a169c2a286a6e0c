"""Option types of several commands, which parse values as the configuration does, and the options -c and --json."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from relay.cli.running.admin_client import parse_places
from relay.config.addresses import parse_address, parse_endpoint
from relay.config.types import Seconds, Size

if TYPE_CHECKING:
    from collections.abc import Callable

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_SHOWN: Final = 40
_DIGITS_MAX: Final = 20
_DAYS_MAX: Final = 366
_DECIMAL: Final = re.compile(r"[0-9]+(\.[0-9]+)?")


class Parsed(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases alone
    """A click type that parses with a function; its ValueError becomes a usage error. State: none."""

    def __init__(self, name: str, parse: Callable[[Any], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> object:  # noqa: ANN401 - click's signature
        """Parse a text, or a default value."""
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def whole(least: int, most: int) -> Parsed:
    """Return the type of whole numbers in a range."""

    def parse(value: object) -> int:
        number = int(text) if (text := str(value)).isascii() and text.isdecimal() and len(text) < _DIGITS_MAX else -1
        if not least <= number <= most:
            raise ValueError(f"must be a whole number from {least} to {most}, not {_shown(value)}")
        return number

    return Parsed("number", parse)


def decimal(text: str, *, least: float, most: float, unit: float = 1) -> float:
    """Parse a number such as 10 or 0.5 and multiply it by a unit.

    Raises:
        ValueError: the number is malformed or out of range; the message is the rule.
    """
    number = float(text) * unit if _DECIMAL.fullmatch(text) else math.nan
    if not least <= number <= most:
        raise ValueError(f"must be a number from {least:g} to {most:.0f}, not {_shown(text)}")
    return number


def lasting(least: str) -> Parsed:
    """Return the type of durations from `least` to 366 days."""
    shortest = Seconds.parse(least)

    def parse(value: object) -> float:
        if not shortest <= (seconds := Seconds.parse(value)) <= _DAYS_MAX * 86_400:
            raise ValueError(f"must be from {least} to {_DAYS_MAX}d, not {_shown(value)}")
        return seconds

    return Parsed("duration", parse)


def _shown(value: object) -> str:
    """Return the given value as ASCII, cut to 40 characters."""
    return ascii(str(value)[:_SHOWN])


DURATION: Final = lasting("0s")
LENGTH: Final = lasting("1ms")
"""A duration above 0, for options where 0 would be meaningless or mean something else."""
SIZE: Final = Parsed("size", Size.parse)
ADDRESS: Final = Parsed("address:port", parse_address)
PLACE: Final = Parsed("host:port", parse_endpoint)
ADMIN: Final = Parsed("host:port", parse_places)
"""HOST:PORT of an admin port, or several with commas; each is asked until one answers."""


FILE: Final = click.Path(path_type=Path, readable=False)
"""A configuration file: one that cannot be read is an error of the configuration (78), as a missing one is."""


def config_option(help_: str = "Configuration file of the relay.") -> Decorator:
    """Return the option `-c`, passed to the command as `path`."""
    return click.option("-c", "--config", "path", type=FILE, help=help_)


def relay_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--admin` and `-c` to a command about a relay, passed as `admin` and `path`."""
    admin = click.option("--admin", type=ADMIN, help="Admin port of the relay, instead of the usual places.")
    return config_option("File of the relay; default: /etc/statsd-relay/relay.toml.")(admin(command))


def json_option(help_: str = "Print the result as JSON.") -> Decorator:
    """Return the option `--json`, passed to the command as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help=help_)
