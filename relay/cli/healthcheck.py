"""`statsd-relay healthcheck`: for containers; small imports, since it runs every few seconds."""

from __future__ import annotations

import json
import os
from typing import Final

import click

from relay.cli.admin_port import ask, parse_admin
from relay.errors import ExitCode

_FIX: Final = "start it, or name its [admin] listen with --admin"


@click.command()
@click.option("--admin", metavar="HOST:PORT", help="Admin port; default: STATSD_RELAY_ADMIN_LISTEN, or 127.0.0.1:8126.")
@click.option("--ready", is_flag=True, help="Ask for readiness instead of liveness.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def healthcheck(admin: str | None, *, ready: bool, as_json: bool) -> None:
    """Ask a running relay whether it is healthy; exit 0 if it is."""
    listen = admin or os.environ.get("STATSD_RELAY_ADMIN_LISTEN") or "127.0.0.1:8126"
    try:
        address = parse_admin(listen)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--admin") from error
    status, sentence = ask(address, "/-/ready" if ready else "/-/healthy", fix=_FIX)
    said = {"ready" if ready else "healthy": status == 200, "status": status, "sentence": sentence}
    click.echo(json.dumps(said) if as_json else sentence)
    raise SystemExit(ExitCode.OK if status == 200 else ExitCode.UNREACHABLE)
