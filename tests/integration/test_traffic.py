"""`load`, `capture` and `replay` with a real relay: their totals are those that arrive."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE

from tests.support.relay import environment, make_emulator, relay_process
from tests.support.state import LONG_WINDOW, recorded

COMMAND = (sys.executable, "-m", "relay")
PER_TYPE = {"c": "sum", "ms": "sum", "g": "last", "s": "last"}
"""Types in the order of `load`, and the statistic of a point that has its total."""


async def command(*arguments: str) -> dict:
    """Run a command; return its summary."""
    process = await asyncio.create_subprocess_exec(*COMMAND, *arguments, "--json", stdout=PIPE, stderr=PIPE)
    output, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    return json.loads(output)


async def test_what_is_loaded_is_captured_replayed_and_delivered(implementation, tmp_path):
    """A window of an hour: the cloud has double totals; sets and gauges are the same once more."""
    emulator, file = make_emulator(), tmp_path / "x.pcap"
    url = await emulator.start()
    try:
        with relay_process(
            environment(url, recorded(tmp_path), WINDOW_SECONDS=str(LONG_WINDOW)), tmp_path / "log"
        ) as relay:
            to = f"{relay.udp[0]}:{relay.udp[1]}"
            environ = {"STATSD_RELAY_ADMIN_LISTEN": relay.admin, "PATH": os.environ["PATH"], "HOME": "/nonexistent"}
            capture = await asyncio.create_subprocess_exec(
                *COMMAND, "capture", str(file), "--json", env=environ, stdout=PIPE, stderr=PIPE
            )
            assert await capture.stderr.readline() == b"capturing from the relay to %b\n" % bytes(file)
            sent = await command("load", "--rate", "20k", "--for", "500ms", "--series", "100", "--to", to)
            await relay.wait_for(relay_received_lines_total=10_000)
            capture.send_signal(signal.SIGINT)
            captured, errors = await capture.communicate()
            assert (capture.returncode, errors) == (0, b"")
            replayed = await command("replay", str(file), "--speed", "2", "--to", to)
            metrics = await relay.wait_for(relay_received_lines_total=20_000)
            assert await relay.stop() == 0
    finally:
        await emulator.stop()
    assert metrics["relay_accepted_lines_total"] == 20_000
    assert sent["lines"] == sent["planned_lines"] == 10_000
    summary = json.loads(captured)
    assert (summary["datagrams"], summary["lines"]) == (sent["datagrams"], sent["lines"])
    assert (summary["copy_drops"], summary["kernel_drops"], summary["copy_gaps"]) == (0, 0, 0)
    assert (replayed["datagrams"], replayed["bytes"]) == (sent["datagrams"], sent["bytes"])
    for first, (kind, stat) in enumerate(PER_TYPE.items()):
        names = [f"load.{kind}.{number}" for number in range(first, 100, 4)]
        total = sent["types"][kind]
        assert (total["lines"], total["series"]) == (2_500, len(names))
        assert all(len(emulator.points(name)) == 1 for name in names)
        twice = 2 if stat == "sum" else 1
        assert sum(emulator.total(name, stat) for name in names) == twice * total["sum"]
    assert emulator.duplicates() == []
    assert relay.stopped()["imbalance"] == 0
