"""The commands, one file each: it parses argv, calls the code that does the work, and sets the exit code.

`explain`, `series`, `status` and `top` are folders. running/ is the way to the relay that a command is about; shared/
has options, output and progress. plan.py answers the supervisor, which starts `run` as a preflight check.

Invariant: a command is imported only when it is called, since `healthcheck` runs every few seconds in a container.
"""

from __future__ import annotations

import difflib
import errno
import importlib
import io
import keyword
import os
import sys
import traceback
from typing import TYPE_CHECKING, Final

import click

from relay import __version__
from relay.cli.shared.output import say
from relay.errors import ExitCode, RelayError, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable

COMMANDS: Final = {
    "init": "Write a first configuration, from four questions.",
    "run": "Receive, aggregate and deliver until SIGTERM.",
    "demo": "Run a local cloud, a relay and traffic.",
    "import": "Convert another StatsD daemon's configuration.",
    "check": "Find every problem of a configuration.",
    "config": "Show what is configured, and what can be configured.",
    "status": "Show what is wrong with the running relay, and what to do.",
    "series": "Show which metrics have how many series, and why.",
    "tap": "Show lines as they come, and what becomes of each.",
    "top": "Watch a running relay in a terminal.",
    "explain": "Trace a line or a name to its points, or explain a code.",
    "reload": "Let the running relay load its file, or a new release.",
    "healthcheck": "Ask a running relay whether it is healthy, or ready.",
    "send": "Send single lines.",
    "load": "Send lines at a steady rate, with known totals.",
    "capture": "Record what a relay receives in a pcap file.",
    "replay": "Send captured datagrams again.",
    "compare": "Compare another daemon's totals with the relay's.",
    "bundle": "Write one file for a bug report.",
    "spool": "Show or verify the requests that wait to be sent.",
    "dead": "List, resend or delete the points that the cloud refused.",
    "cloud": "Run a local cloud that checks requests and injects faults.",
}
"""Name -> summary, in the order in which a new user needs them."""


_OUTPUT_LOST: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""Errors of standard output, if the exception names no file. EPIPE is not among them: a closed pipe is not reported."""
_ROOM: Final = "write it to a disk with room"


class LazyGroup(click.Group):
    """A click group that imports a command from `relay.cli.<name>` when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands."""
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Print the list of commands without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a command; for an unknown one, name the most similar."""
        for near in () if args[0] in COMMANDS else difflib.get_close_matches(args[0], COMMANDS, n=1):
            ctx.fail(f"no such command {args[0]}: did you mean {near}?")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command's module."""
        if cmd_name not in COMMANDS:
            return None
        name = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        command: click.Command = getattr(importlib.import_module(f"relay.cli.{name}"), name)
        return command


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's signature
    if wanted:
        from relay.hotpath.factory import choose_name  # noqa: PLC0415 - healthcheck must not pay for it

        hotpath = choose_name("auto")
        say(f"statsd-relay {__version__}  hot path: {hotpath}  Python {sys.version.split()[0]}")
        ctx.exit(0)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Print version and hot path."
)
def cli() -> None:
    """StatsD in, JD Cloud Cloud Monitor out, every line accounted for."""


def main(worker: object = None) -> None:
    """Run the command line; `worker` is passed to `run` and holds the inherited sockets."""
    finish(lambda: cli.main(standalone_mode=False, obj=worker))


def _discard_output() -> None:
    """Redirect standard output to /dev/null: Python would try to write the buffered rest again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def finish(command: Callable[[], object]) -> None:
    """Run a command; a user's mistake prints one text and ends the process with its exit code, without a traceback."""
    try:
        command()
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        say(shown.getvalue(), err=True, nl=False)
        sys.exit(ExitCode.USAGE)
    except click.Abort:
        sys.exit(130)
    except RelayError as error:
        say(str(error), err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.filename is not None or error.errno not in _OUTPUT_LOST:
            traceback.print_exc()
            sys.exit(ExitCode.INTERNAL)
        _discard_output()
        say(f"error RLY103  standard output cannot be written: {reason_of(error)}\n      fix: {_ROOM}", err=True)
        sys.exit(ExitCode.UNREACHABLE)
    except Exception:  # noqa: BLE001 - our own mistake: loud, and with its own exit code
        traceback.print_exc()
        sys.exit(ExitCode.INTERNAL)
