"""`statsd-relay cloud`: a local cloud for development and trials (relay.tools.emulator)."""

from __future__ import annotations

import asyncio
import json

import click

from relay.cli.options import ADDRESS, DURATION, Parsed, json_option
from relay.cli.output import say
from relay.clock import SystemClock
from relay.config.addresses import join_address
from relay.errors import ExitCode, Problem, RelayError, reason_of
from relay.tools.emulator import Emulator, Fault

REPORT_SECONDS = 10.0
_FAULT = Parsed("fault", Fault.parse)
Faults = tuple[Fault, ...]
Address = tuple[str, int]


@click.command()
@click.option("--listen", default="127.0.0.1:8080", show_default=True, type=ADDRESS, help="Address to listen on.")
@click.option("--access-key", default="demo", show_default=True, help="Access key of the signatures.")
@click.option("--secret-key", default="demo", show_default=True, help="Secret key of the signatures.")
@click.option("--region", default="cn-north-1", show_default=True, help="Region of the signatures.")
@click.option(
    "--fail",
    multiple=True,
    type=_FAULT,
    help="Fault to inject: 429:5% of the requests, 500:3 requests, or hang; may be repeated.",
)
@click.option("--latency", type=DURATION, default="0s", help="Delay of every answer, such as 200ms.")
@json_option("Print the reports as JSON, one per line.")
def cloud(  # noqa: PLR0913 - its options
    listen: Address, access_key: str, secret_key: str, region: str, *, fail: Faults, latency: float, as_json: bool
) -> None:
    """Run a local putMetricData that verifies signatures and enforces every limit of the API."""
    asyncio.run(serve(listen, access_key, secret_key, region, fail=fail, latency=latency, as_json=as_json))


async def serve(  # noqa: PLR0913 - the options of its command
    listen: Address, access_key: str, secret_key: str, region: str, *, fail: Faults, latency: float, as_json: bool
) -> None:
    """Serve until cancelled; print the counts every ten seconds."""
    emulator = Emulator(
        access_key=access_key,
        secret_key=secret_key,
        region=region,
        clock=SystemClock(),
        latency=latency,
    )
    for fault in fail:
        emulator.add_fault(fault)
    try:
        url = await emulator.start(*listen)
    except OSError as error:
        problem = Problem(
            code="RLY101",
            message=f"cannot bind {join_address(*listen)}: {reason_of(error)}",
            fix="choose another --listen",
        )
        raise RelayError(problem, exit_code=ExitCode.BIND_OR_STATE) from error
    endpoint = f"{url}/v1/customMetrics"
    head = {"endpoint": endpoint, "region": region, "access_key": access_key}
    say(json.dumps(head) if as_json else f"local cloud on {endpoint}  region {region}  access key {access_key}")
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        requests, points = emulator.requests, len(emulator.received)
        counts = {"requests": requests, "points": points}
        say(json.dumps(counts) if as_json else f"{requests} requests, {points} points")
