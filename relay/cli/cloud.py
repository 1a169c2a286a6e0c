"""`statsd-relay cloud`: the local cloud, to develop and to try things out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import click

from relay.clock import SystemClock
from relay.config.addresses import parse_address
from relay.config.types import Seconds
from relay.errors import ExitCode, Problem, RelayError
from relay.jdcloud.emulator import Emulator, Fault

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

REPORT_SECONDS = 10.0


@click.command()
@click.option("--listen", default="127.0.0.1:8080", show_default=True, help="HOST:PORT.")
@click.option("--access-key", default="demo", show_default=True, help="Access key that requests must be signed with.")
@click.option("--secret-key", default="demo", show_default=True, help="Its secret.")
@click.option("--region", default="cn-north-1", show_default=True, help="Region of the signature.")
@click.option("--fail", multiple=True, metavar="FAULT", help="Such as 429:5% or 500:1%; may be repeated.")
@click.option("--latency", metavar="DURATION", default="0s", help="Delay of every answer, such as 200ms.")
def cloud(listen: str, access_key: str, secret_key: str, region: str, *, fail: tuple[str, ...], latency: str) -> None:
    """Run a local putMetricData that checks signatures and enforces every limit."""
    asyncio.run(serve(listen, access_key, secret_key, region, fail=fail, latency=latency))


async def serve(
    listen: str, access_key: str, secret_key: str, region: str, *, fail: tuple[str, ...], latency: str
) -> None:
    """Serve until cancelled, telling every ten seconds what arrived."""
    emulator = Emulator(
        access_key=access_key,
        secret_key=secret_key,
        region=region,
        clock=SystemClock(),
        latency=_read("--latency", Seconds.parse, latency),
    )
    for fault in fail:
        emulator.add_fault(_read("--fail", Fault.parse, fault))
    host, port = _read("--listen", parse_address, listen)
    try:
        url = await emulator.start(host, port)
    except OSError as error:
        problem = Problem(
            code="RLY101", message=f"cannot bind {listen}: {error.strerror}", fix="choose another --listen"
        )
        raise RelayError(problem, exit_code=ExitCode.BIND_OR_STATE) from error
    click.echo(f"local cloud on {url}/v1/customMetrics  region {region}  access key {access_key}")
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        click.echo(f"{emulator.requests} requests, {len(emulator.received)} points")


def _read(option: str, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from error
