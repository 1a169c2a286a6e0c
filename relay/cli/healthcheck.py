"""`statsd-relay healthcheck`: for containers; small imports, since it runs every few seconds."""

from __future__ import annotations

import json
import os
from typing import Final

import click

from relay.errors import ExitCode, Problem, RelayError, reason_of

_FIX: Final = "start it, or name its [admin] listen with --admin"


@click.command()
@click.option("--admin", metavar="HOST:PORT", help="Admin port; default: STATSD_RELAY_ADMIN_LISTEN, or 127.0.0.1:8126.")
@click.option("--ready", is_flag=True, help="Ask for readiness instead of liveness.")
def healthcheck(admin: str | None, *, ready: bool) -> None:
    """Ask a running relay whether it is healthy; exit 0 if it is."""
    listen = admin or os.environ.get("STATSD_RELAY_ADMIN_LISTEN") or "127.0.0.1:8126"
    try:
        connection = http.client.HTTPConnection(here, int(port), timeout=TIMEOUT)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(most).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        message = f"no relay answers on {here}:{port}: {reason_of(error)}"
        raise RelayError(Problem(code="RLY101", message=message, fix=fix), exit_code=ExitCode.UNREACHABLE) from error
