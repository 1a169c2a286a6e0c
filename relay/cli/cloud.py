"""`statsd-relay cloud`: a local cloud for development and trials (relay.tools.emulator)."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import click

from relay.cli.shared.options import ADDRESS, DURATION, Parsed, json_option
from relay.cli.shared.output import say
from relay.clock import SystemClock
from relay.config.addresses import join_address
from relay.errors import reason_of, unusable
from relay.tools.emulator import Emulator, Fault
from relay.wording import as_hour, number, plural

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
@click.option("--points", "shows_points", is_flag=True, help="Print each point that is stored.")
@json_option("Print the reports as JSON, one per line.")
def cloud(  # noqa: PLR0913 - its options
    listen: Address,
    access_key: str,
    secret_key: str,
    region: str,
    *,
    fail: Faults,
    latency: float,
    shows_points: bool,
    as_json: bool,
) -> None:
    """Run a local putMetricData that verifies signatures and enforces every limit of the API."""
    emulator = Emulator(
        access_key=access_key, secret_key=secret_key, region=region, clock=SystemClock(), latency=latency
    )
    for fault in fail:
        emulator.add_fault(fault)
    if shows_points:
        emulator.on_stored = lambda point: say(json.dumps(point) if as_json else point_in_words(point))
    account = {"region": region, "access_key": access_key, "faults": list(map(str, fail)), "latency": latency}
    asyncio.run(serve(emulator, listen, account, as_json=as_json))


async def serve(emulator: Emulator, listen: Address, account: dict[str, Any], *, as_json: bool) -> None:
    """Serve until cancelled; print the counts every ten seconds, and at the end, if a request has come since."""
    try:
        url = await emulator.start(*listen)
    except OSError as error:
        message = f"cannot bind {join_address(*listen)}: {reason_of(error)}"
        raise unusable(message, "choose another --listen") from error
    endpoint, told = f"{url}/v1/customMetrics", 0
    say(json.dumps({"endpoint": endpoint, **account}) if as_json else in_words(endpoint, account))
    is_over = False
    while not is_over:
        try:
            await asyncio.sleep(REPORT_SECONDS)
        except asyncio.CancelledError:
            is_over = True
        if emulator.requests > told:
            told = emulator.requests
            say(json.dumps(counts(emulator)) if as_json else counts_in_words(emulator))
    await emulator.stop()


def in_words(endpoint: str, account: dict[str, Any]) -> str:
    """Return the first lines: the address, the account, and what is on of faults and latency."""
    faults = ", ".join(account["faults"]) or "none"
    latency = f"; every answer takes {account['latency']:g} s" if account["latency"] else ""
    key = f"region {account['region']}  access key {account['access_key']}"
    return f"local cloud on {endpoint}  {key}\nfaults: {faults}{latency}"


def counts(emulator: Emulator) -> dict[str, Any]:
    """Return the counts since the start."""
    statuses = {str(status): count for status, count in sorted(emulator.statuses.items())}
    return {"requests": emulator.requests, "points": len(emulator.received), "statuses": statuses}


def counts_in_words(emulator: Emulator) -> str:
    """Return the counts as one line."""
    statuses = ", ".join(f"{number(count)} x {status}" for status, count in sorted(emulator.statuses.items()))
    stored = f"{plural(emulator.requests, 'request')}, {plural(len(emulator.received), 'point')} stored"
    return f"{as_hour(time.time())}  {stored}; answers {statuses}" if statuses else stored


def point_in_words(point: dict[str, Any]) -> str:
    """Return a stored point as one line."""
    pairs = " ".join(f"{key}={value}" for key, value in point["dimensions"].items())
    values = " ".join(f"{key} {value:g}" for key, value in point["values"].items())
    return f"{as_hour(point['timestamp'])}  {point['namespace']}/{point['metric']}  {pairs}  {values}"
