"""What options of several commands are made of: values that are read as the configuration reads them, and `-c`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from relay.cli.admin_port import parse_admin
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


DURATION: Final = Parsed("duration", Seconds.parse)
SIZE: Final = Parsed("size", Size.parse)
ADDRESS: Final = Parsed("address:port", parse_address)
PLACE: Final = Parsed("host:port", parse_place)
ADMIN: Final = Parsed("host:port", parse_admin)
"""Of a relay."""


def config_option(help_: str = "The file that the relay runs with.") -> Decorator:
    """Return `-c`, as `path`."""
    return click.option("-c", "--config", "path", type=click.Path(path_type=Path), help=help_)
