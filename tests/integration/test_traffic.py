"""`load` beside a real relay: what it says it sent is what arrives."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE

from tests.support.relay import environment, make_emulator, relay_process

PER_TYPE = {"c": "sum", "ms": "sum", "g": "last", "s": "last"}
"""Types in the order of their turns; the statistic of a point that holds what `load` adds up."""


async def command(*arguments: str) -> dict:
    """Run a command; return its summary."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay", *arguments, "--json", stdout=PIPE, stderr=PIPE
    )
    output, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    return json.loads(output)


async def test_a_load_arrives_type_by_type(implementation, tmp_path):
    """Windows of an hour, so that a set's members are counted once."""
    emulator = make_emulator()
    url = await emulator.start()
    try:
        with relay_process(environment(url, tmp_path, WINDOW_SECONDS="3600"), tmp_path / "log") as relay:
            to = f"{relay.udp[0]}:{relay.udp[1]}"
            sent = await command("load", "--rate", "20k", "--for", "500ms", "--series", "200", "--to", to)
            metrics = await relay.wait_for(relay_received_lines_total=10_000)
            assert await relay.stop() == 0
    finally:
        await emulator.stop()
    assert sent["lines"] == sent["planned_lines"] == 10_000
    assert metrics["relay_accepted_lines_total"] == 10_000
    assert {kind: total["lines"] for kind, total in sent["types"].items()} == dict.fromkeys(PER_TYPE, 2_500)
    for first, (kind, stat) in enumerate(PER_TYPE.items()):
        names = [f"load.{kind}.{number}" for number in range(first, 200, 4)]
        assert all(len(emulator.points(name)) == 1 for name in names)
        assert sent["types"][kind]["sum"] == sum(emulator.total(name, stat) for name in names)
    assert emulator.duplicates() == []
    assert relay.stopped()["imbalance"] == 0
