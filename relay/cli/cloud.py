"""`statsd-relay cloud`: a local cloud for development and trials (relay.tools.emulator)."""

from __future__ import annotations

import asyncio
import json

import click

from relay.cli.options import ADDRESS, DURATION, Parsed, json_option
from relay.cli.output import say
from relay.clock import SystemClock
from relay.config.addresses import join_address
from relay.errors import reason_of, unusable
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
    help="Fault: STATUS:N% for a share of the requests, STATUS:N for the next N, or hang; may be repeated.",
)
@click.option("--latency", type=DURATION, default="0s", help="Delay of every answer, such as 200ms.")
@json_option("Print the reports as JSON, one per line.")
def cloud(  # noqa: PLR0913 - its options
    listen: Address, access_key: str, secret_key: str, region: str, *, fail: Faults, latency: float, as_json: bool
) -> None:
    """Run a local putMetricData that verifies signatures and enforces every limit of the API."""
    emulator = Emulator(
        access_key=access_key, secret_key=secret_key, region=region, clock=SystemClock(), latency=latency
    )
    for fault in fail:
        emulator.add_fault(fault)
    asyncio.run(serve(emulator, listen, {"region": region, "access_key": access_key}, as_json=as_json))


async def serve(emulator: Emulator, listen: Address, account: dict[str, str], *, as_json: bool) -> None:
    """Serve until cancelled; print the counts every ten seconds."""
    try:
        url = await emulator.start(*listen)
    except OSError as error:
        message = f"cannot bind {join_address(*listen)}: {reason_of(error)}"
        raise unusable(message, "choose another --listen") from error
    endpoint = f"{url}/v1/customMetrics"
    text = f"local cloud on {endpoint}  region {account['region']}  access key {account['access_key']}"
    say(json.dumps({"endpoint": endpoint, **account}) if as_json else text)
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        counts = {"requests": emulator.requests, "points": len(emulator.received)}
        say(json.dumps(counts) if as_json else "{requests} requests, {points} points".format_map(counts))
