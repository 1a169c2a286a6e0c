"""`statsd-relay healthcheck`: the health check of a container; it imports little, since it runs every few seconds."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

import click

from relay.cli.admin_client import Address, ask, find_admin, parse_admin
from relay.cli.options import config_option, json_option
from relay.cli.output import say
from relay.errors import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

_FIX: Final = "start the relay, or name its admin port with --admin"


@click.command()
@click.option(
    "--admin",
    metavar="HOST:PORT",
    help="Admin port of the relay; default: STATSD_RELAY_ADMIN_LISTEN, or 127.0.0.1:8126.",
)
@config_option("Configuration file of the relay, which names the admin port; instead of --admin.")
@click.option("--ready", is_flag=True, help="Ask for readiness instead of liveness.")
@json_option()
def healthcheck(admin: str | None, path: Path | None, *, ready: bool, as_json: bool) -> None:
    """Ask a running relay whether it is healthy; exit 0 if it is."""
    address = _of_file(path) if path and not admin else _parse(admin or _from_environment())
    status, sentence = ask(address, "/-/ready" if ready else "/-/healthy", fix=_FIX)
    said = {"ready" if ready else "healthy": status == 200, "status": status, "sentence": sentence}
    say(json.dumps(said) if as_json else sentence)
    raise SystemExit(ExitCode.OK if status == 200 else ExitCode.UNREACHABLE)


def _from_environment() -> str:
    names = ("STATSD_RELAY_ADMIN_LISTEN", "STATSD_RELAY_DEFAULT_ADMIN_LISTEN")
    return next(filter(None, map(os.environ.get, names)), "127.0.0.1:8126")


def _parse(listen: str) -> Address:
    try:
        return parse_admin(listen)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--admin") from error


def _of_file(path: Path) -> Address:
    from relay.config.loading import load  # noqa: PLC0415 - a check without a file does not pay for it

    return find_admin(load(path, os.environ).config.admin, fix=_FIX)
