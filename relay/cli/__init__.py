"""The commands, one file each: argv in, a call, an exit code out. No logic beyond that.

Commands are imported only when they are called: `healthcheck` runs every few seconds in a container.
"""

from __future__ import annotations

import importlib
import keyword
import sys
import traceback
from typing import TYPE_CHECKING, Final

import click

from relay import __version__
from relay.errors import ExitCode, RelayError

if TYPE_CHECKING:
    from collections.abc import Callable

COMMANDS: Final = (
    "run",
    "demo",
    "check",
    "config",
    "import",
    "explain",
    "send",
    "load",
    "capture",
    "replay",
    "dead",
    "spool",
    "cloud",
    "healthcheck",
    "reload",
    "compare",
)


class LazyGroup(click.Group):
    """A group whose commands live in `relay.cli.<name>` under the same name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """In the order a new user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command's module."""
        if cmd_name not in COMMANDS:
            return None
        name = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        command: click.Command = getattr(importlib.import_module(f"relay.cli.{name}"), name)
        return command


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's signature
    if wanted:
        from relay.hotpath.choose import choose_name  # noqa: PLC0415 - healthcheck must not pay for it

        hotpath = choose_name("auto")
        click.echo(f"statsd-relay {__version__}  hot path: {hotpath}  Python {sys.version.split()[0]}")
        ctx.exit(0)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Version and hot path."
)
def cli() -> None:
    """StatsD in, JD Cloud Cloud Monitor out, every line accounted for."""


def main(worker: object = None) -> None:
    """Run the command line; `worker`: for `run`, what the parent gave this process."""
    finish(lambda: cli.main(standalone_mode=False, obj=worker))


def finish(command: Callable[[], object]) -> None:
    """Run a command; a person's mistake ends in one clear text and an exit code, never in a traceback."""
    try:
        command()
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except click.Abort:
        sys.exit(130)
    except RelayError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
    except Exception:  # noqa: BLE001 - our own mistake: loud, and with its own exit code
        traceback.print_exc()
        sys.exit(ExitCode.INTERNAL)
