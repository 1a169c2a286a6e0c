"""`statsd-relay compare` with the real npm statsd and a relay, which get the same lines, or nearly the same."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, asynccontextmanager, suppress

import pytest

from relay.cli import main
from tests.support.relay import environment, free_port, make_emulator, relay_process
from tests.support.statsd import GRAPHITE, running

COMPARE = (sys.executable, "-m", "relay", "compare")
BASE = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


class Comparing:
    """A relay with windows of a second, a statsd that flushes every second, and `compare` over four windows."""

    def __init__(self, relay, old, process) -> None:
        self.relay = relay
        self.old = old
        self._process = process
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.said: list[str] = []

    async def until(self, words: str) -> None:
        """Wait until `compare` prints these words."""
        while not any(words in line for line in self.said):
            line = await asyncio.wait_for(self._process.stderr.readline(), 30)
            assert line, self.said
            self.said.append(line.decode().rstrip())

    def send(self, *lines: bytes, relay: bool = True, old: bool = True) -> None:
        """Send lines in one datagram: statsd's receive buffer holds 256, which must bear a stall of a second."""
        for address in [self.relay.udp] * relay + [self.old] * old:
            self._socket.sendto(b"\n".join(lines), address)

    async def report(self) -> tuple[int, dict]:
        out, err = await asyncio.wait_for(self._process.communicate(), 30)
        self.said += err.decode().splitlines()
        self._socket.close()
        return self._process.returncode, json.loads(out)


@asynccontextmanager
async def comparing(tmp_path, *options: str, **settings: object):
    emulator, graphite = make_emulator(), free_port(socket.SOCK_STREAM)
    url = await emulator.start()
    try:
        with ExitStack() as stack:
            tmp_path.mkdir(exist_ok=True)
            start = relay_process(environment(url, tmp_path / "state"), tmp_path / "log")
            relay = await asyncio.to_thread(stack.enter_context, start)
            start = running(tmp_path, flushInterval=1000, graphitePort=graphite, **GRAPHITE, **settings)
            old = await asyncio.to_thread(stack.enter_context, start)
            process = await asyncio.create_subprocess_exec(
                *(*COMPARE, "--graphite", f"127.0.0.1:{graphite}", "--admin", relay.admin),
                *("--for", "4s", "--json", *options),
                env=BASE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            try:
                yield Comparing(relay, old.address, process)
            finally:
                with suppress(ProcessLookupError):
                    process.kill()
            assert await relay.stop() == 0
            assert (relay.stopped()["imbalance"], relay.stopped()["losses"]) == (0, "nothing lost")
    finally:
        await emulator.stop()


def totals(report: dict) -> dict[tuple[str, str], tuple]:
    return {
        (row["metric"], f"{row['kind']} {row['what']}".strip()): (row["old"], row["relay"], row["verdict"])
        for row in report["rows"]
    }


async def test_side_by_side(tmp_path):
    """Three comparisons at the same time: each mostly waits."""
    async with asyncio.TaskGroup() as group:
        group.create_task(equal_with_quiet_edges_and_within_the_bound_without(tmp_path / "equal"))
        group.create_task(differences_are_found_under_other_names(tmp_path / "differs"))
        group.create_task(nothing_comes_or_what_nobody_understands(tmp_path / "nothing"))


async def equal_with_quiet_edges_and_within_the_bound_without(tmp_path):
    async with comparing(tmp_path) as both:

        async def load() -> None:
            while True:  # across both edges
                both.send(b"busy.hits:1|c", b"busy.time:2|ms")
                await asyncio.sleep(0.01)

        across = asyncio.create_task(load())
        await both.until("comparing")
        await asyncio.sleep(1.7)
        for number in range(100):
            both.send(
                b"hits:1|c",
                b"down:-2.5|c",
                b"rated:1|c|@0.1",
                b"web time/x-y:%d|ms" % number,
                b"tagged:2|c|#env:prod,page:p%d" % (number % 3),
                b"rated.time:10|ms|@0.5",
                b"users:u%d|s" % (number % 7),
                b"both:1|c",
                b"both:3|ms",
                b"level:%d|g" % number,
            )
            await asyncio.sleep(0.003)
        both.send(b"level:-9|g", b"bad:x|c", b"statsd_relay.mine:1|c", relay=True)
        code, report = await both.report()
        across.cancel()
    rows = totals(report)
    busy = [rows.pop(("busy.hits", "counter sum")), rows.pop(("busy.time", "timer sum"))]
    busy.append(rows.pop(("busy.time", "timer count")))
    assert all(verdict in ("equal", "within the edges") and old > 20 for old, _, verdict in busy)
    assert rows == {
        ("hits", "counter sum"): (100, 100, "equal"),
        ("down", "counter sum"): (-250, -250, "equal"),
        ("rated", "counter sum"): (1000, 1000, "equal"),
        ("web_time_x_y", "timer count"): (100, 100, "equal"),
        ("web_time_x_y", "timer sum"): (4950, 4950, "equal"),
        ("tagged", "counter sum"): (200, 200, "equal"),
        ("rated.time", "timer count"): (200, 200, "equal"),
        ("rated.time", "timer sum"): (1000, 2000, "not comparable"),
        ("users", "set most"): (7, 7, "not comparable"),
        ("both", "counter sum"): (100, 100, "equal"),
        ("both", "timer count"): (100, 100, "equal"),
        ("both", "timer sum"): (300, 300, "equal"),
        ("level", "gauge last"): (90, 90, "equal"),
    }
    bounds = {row["metric"]: (row["low"], row["high"]) for row in report["rows"]}
    assert bounds["hits"] == bounds["tagged"] == (0, 0)
    assert bounds["busy.hits"][0] < 0 < bounds["busy.hits"][1]
    assert (code, report["fine"]) == (0, True)
    assert (report["windows"], report["flushes"], report["end"] - report["start"]) == (4, 4, 4)
    assert report["left_out"]["reserved for the relay"] == 1
    assert report["left_out"]["of the old daemon itself"] >= 3
    assert both.said[-1].startswith("waiting for")


async def differences_are_found_under_other_names(tmp_path):
    names = {"legacyNamespace": False, "globalPrefix": "old", "prefixCounter": "c", "globalSuffix": "h1"}
    async with comparing(tmp_path, "--map", "timers=old.timers", graphite={**names}) as both:
        await both.until("comparing")
        await asyncio.sleep(1.7)
        both.send(b"hits:1|c", b"time:5|ms", b"level:3|g", b"few:1|c")
        both.send(b"hits:1|c", b"mine:1|c", relay=True, old=False)
        both.send(b"few:1|c", b"yours:1|c", relay=False)
        code, report = await both.report()
    assert totals(report) == {
        ("hits", "counter sum"): (1, 2, "differs"),
        ("few", "counter sum"): (2, 1, "differs"),
        ("mine", "sum"): (None, 1, "differs"),
        ("yours", "counter sum"): (1, None, "differs"),
        ("time", "timer count"): (1, 1, "equal"),
        ("time", "timer sum"): (5, 5, "equal"),
        ("level", "gauge last"): (3, 3, "equal"),
    }
    assert (code, report["fine"]) == (1, False)
    why = {row["metric"]: row["why"] for row in report["rows"]}
    assert "the old daemon received no line of it" in why["mine"]
    assert "the relay received no line of it" in why["yours"]


# --- what a person does wrong -----------------------------------------------------------------------------------------


async def run(*options: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(*COMPARE, *options, env=BASE, stderr=subprocess.PIPE)
    _, err = await asyncio.wait_for(process.communicate(), 30)
    assert b"Traceback" not in err
    return process.returncode, err.decode()


async def connect(port: int) -> asyncio.StreamWriter:
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            return writer
        await asyncio.sleep(0.02)


async def nothing_comes_or_what_nobody_understands(tmp_path):
    tmp_path.mkdir()
    emulator, silent, strange = make_emulator(), free_port(socket.SOCK_STREAM), free_port(socket.SOCK_STREAM)
    url = await emulator.start()
    try:
        with ExitStack() as stack:
            start = relay_process(environment(url, tmp_path / "state"), tmp_path / "log")
            relay = await asyncio.to_thread(stack.enter_context, start)
            both = [
                asyncio.create_task(run("--graphite", f"127.0.0.1:{port}", "--admin", relay.admin, "--for", "1s"))
                for port in (silent, strange)
            ]
            writer = await connect(strange)
            writer.write(b"telegraf.\x1b[2J.hits 1 %d\n" % time.time())
            code, said = await both[0]
            assert code == 69
            assert "the old daemon has not sent anything yet" in said
            assert "RLY101  no flush came from the old daemon" in said
            assert "graphiteHost and graphitePort" in said
            code, said = await both[1]
            writer.close()
            assert code == 69
            assert r"the naming scheme of the old daemon is not detected: 'telegraf.\x1b[2J.hits'" in said
            assert "--prefix" in said
            assert "\x1b" not in said
    finally:
        await emulator.stop()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--for", "soon"], 64, "must be a duration"),
        (["--graphite", "nowhere"], 64, "must be HOST:PORT"),
        (["--admin", "127.0.0.1:99999"], 64, "must be HOST:PORT"),
        (["--admin", ""], 64, "must be HOST:PORT"),
        (["--map", "sizes=a.b"], 64, "must be counters=..."),
        (["--admin", "127.0.0.1:1"], 69, "no relay answers on 127.0.0.1:1"),
    ],
)
def test_options_that_cannot_be(options, code, words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["statsd-relay", "compare", *options])
    monkeypatch.setenv("STATSD_RELAY_ADMIN_LISTEN", "")
    with pytest.raises(SystemExit) as caught:
        main()
    said = capsys.readouterr().err
    assert (caught.value.code, words in said) == (code, True), said
