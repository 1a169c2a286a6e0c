"""`statsd-relay healthcheck`: for containers; small imports, since it runs every few seconds."""

from __future__ import annotations

import http.client
import json
import os
from typing import Final

import click

from relay.errors import ExitCode, Problem, RelayError, reason_of

_FIX: Final = "start it, or name its [admin] listen with --admin"


@click.command()
@click.option("--admin", metavar="HOST:PORT", help="Admin port; default: STATSD_RELAY_ADMIN_LISTEN, or 127.0.0.1:8126.")
@click.option("--ready", is_flag=True, help="Ask for readiness instead of liveness.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def healthcheck(admin: str | None, *, ready: bool, as_json: bool) -> None:
    """Ask a running relay whether it is healthy; exit 0 if it is."""
    listen = admin or os.environ.get("STATSD_RELAY_ADMIN_LISTEN") or "127.0.0.1:8126"
    host, _, port = listen.rpartition(":")
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= PORT_MOST):
        raise click.BadParameter(f'"{listen}" must be HOST:PORT, such as 127.0.0.1:8126', param_hint="--admin")
    status, sentence = ask(host.strip("[]"), port, "/-/ready" if ready else "/-/healthy")
    said = {"ready" if ready else "healthy": status == 200, "status": status, "sentence": sentence}
    click.echo(json.dumps(said) if as_json else sentence)
    raise SystemExit(ExitCode.OK if status == 200 else ExitCode.UNREACHABLE)


def ask(host: str, port: str, path: str, *, most: int = 1000, fix: str = _FIX) -> tuple[int, str]:
    """Return status and body of one request; a relay that listens everywhere is asked on loopback.

    Args:
        host: name or address, without brackets.
        port: of TCP.
        path: of the request.
        most: bytes of the body that are read.
        fix: what to say if nobody answers.

    Raises:
        RelayError: nobody answers.
    """
    here = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    try:
        connection = http.client.HTTPConnection(here, int(port), timeout=TIMEOUT)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(most).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        message = f"no relay answers on {here}:{port}: {reason_of(error)}"
        raise RelayError(Problem(code="RLY101", message=message, fix=fix), exit_code=ExitCode.UNREACHABLE) from error
