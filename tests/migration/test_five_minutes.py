"""The five minutes of deploy/MIGRATING.md, with the real npm statsd as the old daemon and an application that goes on.

Nothing in the application changes, and at the end every line it sent was counted once: by the old daemon until the
relay took its place, by the relay from then on. RELAY_SHOW_STORY=1 prints the transcript.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from tests.support.relay import RelayProcess, environment, free_port, make_emulator
from tests.support.statsd import GRAPHITE, running

DOCUMENT = Path(__file__).parents[2] / "deploy" / "MIGRATING.md"
FLUSH = 1.0
"""Seconds between two flushes of statsd; windows have two."""
IMPORTED = ("STATSD_RELAY_LISTEN_UDP", "STATSD_RELAY_ADMIN_LISTEN")
"""Of the usual settings of tests, what comes from the imported file here."""


class Application:
    """A thread that sends a counter and a timer, again and again, but while it is paused."""

    def __init__(self, to: tuple[str, int]) -> None:
        self.sent = 0
        """Lines of each kind."""
        self._to = to
        self._sends, self._ends = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Application:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _run(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(self._to)
            while not self._ends.is_set():
                if self._sends.wait(0.05):
                    sock.send(b"shop.orders:1|c\nshop.time:%d|ms" % (self.sent % 100))
                    self.sent += 1
                    time.sleep(0.002)

    def go_on(self) -> None:
        self._sends.set()

    def pause(self) -> None:
        self._sends.clear()


class Graphite:
    """Totals by name, as the old daemon's back end sent them."""

    def __init__(self) -> None:
        self.totals: dict[str, float] = {}
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._read, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            name, value, _ = line.decode().split()
            self.totals[name] = self.totals.get(name, 0) + float(value)
        writer.close()

    def stop(self) -> None:
        self._server.close()


class Story:
    """The commands of the document, in its order, and a transcript of their output."""

    def __init__(self, env: dict[str, str], values: dict[str, str]) -> None:
        self._env = env
        self._values = values
        """The test's own places for those of the document."""
        self._left = re.findall(r"^    (statsd-relay .+?)(?: +#.*)?$", section(), re.MULTILINE)
        self.transcript: list[str] = []

    def next(self) -> tuple[str, ...]:
        """Return the function that runs the next command."""
        command = self._left.pop(0)
        self.transcript.append(f"$ {command}")
        return (sys.executable, "-m", "relay", *self.own(command).split()[1:])

    def own(self, text: str) -> str:
        """Replace the document's values by the test's."""
        for value, own in self._values.items():
            text = text.replace(value, own)
        return text

    async def call(self) -> int:
        """Run the next command to its end, recording its output; return its exit code."""
        pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.STDOUT}
        process = await asyncio.create_subprocess_exec(*self.next(), env=self._env, **pipes)
        while line := await asyncio.wait_for(process.stdout.readline(), 60):
            self.transcript.append(line.decode().rstrip())
        self.transcript.append(f"(exit {await process.wait()})")
        return process.returncode

    async def until(self, words: str) -> None:
        """Wait until a text was printed."""
        await until(lambda: any(words in line for line in self.transcript))

    def show(self) -> str:
        """Return the transcript in the form of the document."""
        text = "\n".join(["", *self.transcript, ""])
        for value, own in self._values.items():
            text = text.replace(own, value)
        return text


def section() -> str:
    """Return the document's five minutes."""
    return DOCUMENT.read_text().partition("## Five minutes\n")[2].partition("\n## ")[0]


async def until(condition) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


async def test_every_line_is_counted_once(tmp_path, capsys):
    graphite, cloud = Graphite(), make_emulator()
    url, port = await cloud.start(), await graphite.start()
    try:
        with ExitStack() as stack:
            story, sent = await replace(stack, tmp_path, url=url, graphite=port)
    finally:
        graphite.stop()
        await cloud.stop()
    old, new = graphite.totals["stats_counts.shop.orders"], cloud.total("shop.orders")
    story.transcript.append(
        f"{sent} lines sent: {old:.0f} counted by statsd, {new:.0f} by the relay, {sent - old - new:.0f} lost"
    )
    if os.environ.get("RELAY_SHOW_STORY"):
        with capsys.disabled():
            sys.stdout.write(story.show())
    assert min(old, new) > 100
    assert old + new == sent
    assert graphite.totals["stats.timers.shop.time.count"] + cloud.total("shop.time", "count") == sent
    assert cloud.duplicates() == []
    assert any("2 equal, none differ" in line or "3 equal, none differ" in line for line in story.transcript)


async def replace(stack: ExitStack, directory: Path, *, url: str, graphite: int) -> tuple[Story, int]:
    """Follow the document; return the transcript, and how many lines of each kind were sent."""
    often, copies, flushes = {**GRAPHITE, "flushInterval": FLUSH * 1000}, free_port(), free_port(socket.SOCK_STREAM)
    old = await asyncio.to_thread(stack.enter_context, running(directory, graphitePort=graphite, **often))
    env = environment(url, directory / "state", WINDOW_SECONDS="2")
    env = {name: value for name, value in env.items() if name not in IMPORTED}
    file = directory / "relay.toml"
    values = {
        "/etc/statsd/config.js": str(old.config),
        "relay.toml": str(file),
        "127.0.0.1:8135": f"127.0.0.1:{copies}",
        "compare": f"compare --graphite 127.0.0.1:{flushes}",
        "10m": "6s",
    }
    story, application = Story(env, values), stack.enter_context(Application(old.address))
    application.go_on()

    assert await story.call() == 0, "import"
    assert await story.call() == 0, "check"
    imported = file.read_text()
    tee = re.search(r"^    (\[\[tee\]\])\n    (to = .+)$", section(), re.MULTILINE)
    file.write_text(f"{imported}\n{tee[1]}\n{story.own(tee[2])}\n")
    second = running(directory, graphitePort=flushes, port=copies, **often)
    second = await asyncio.to_thread(stack.enter_context, second)
    start = asyncio.to_thread(RelayProcess, env, directory / "log", command=story.next())
    relay = await start
    stack.callback(relay.kill)
    await asyncio.sleep(2.5 * FLUSH)
    await asyncio.to_thread(old.stop)
    await until(lambda: relay.events("the admin port is free, listening"))

    application.pause()
    comparing = asyncio.create_task(story.call())
    await story.until("comparing")
    await asyncio.sleep(2.2 * FLUSH)
    application.go_on()
    await asyncio.sleep(0.8)
    application.pause()
    assert await comparing == 0, story.transcript
    application.go_on()
    file.write_text(imported)
    assert await story.call() == 0, "reload"
    await until(lambda: relay.events("reloaded"))
    await asyncio.to_thread(second.stop)
    await asyncio.sleep(1)
    application.pause()
    assert await relay.stop() == 0
    for event in (*relay.events("address taken over"), relay.stopped()):
        story.transcript.append(" ".join(f"{key}={value}" for key, value in event.items()))
    assert relay.stopped()["losses"] == "nothing lost"
    return story, application.sent
