"""`statsd-relay healthcheck`: the health check of a container; it imports little, since it runs every few seconds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from relay.cli.running.admin_client import ask
from relay.cli.running.find import need_relay, say_source
from relay.cli.shared.options import json_option, relay_options
from relay.cli.shared.output import say
from relay.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from relay.cli.running.admin_client import Address


@click.command()
@relay_options
@click.option("--ready", is_flag=True, help="Ask for readiness instead of liveness.")
@json_option()
def healthcheck(admin: Sequence[Address] | None, path: Path | None, *, ready: bool, as_json: bool) -> None:
    """Ask a running relay whether it is healthy; exit 0 if it is."""
    relay = need_relay(admin, path)
    say_source(relay, as_json=as_json)
    status, sentence = ask(relay.reached(), "/-/ready" if ready else "/-/healthy")
    said = {"ready" if ready else "healthy": status == 200, "status": status, "sentence": sentence}
    say(json.dumps({**said, "source": relay.as_json()}) if as_json else sentence)
    raise SystemExit(ExitCode.OK if status == 200 else ExitCode.UNREACHABLE)
