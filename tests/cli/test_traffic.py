"""`capture`, `replay` and `load` with real processes, sockets and files."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from relay.cli.capture import Captured, find_losses
from relay.tools.traffic import pcap
from relay.tools.traffic.packet import Endpoint
from relay.tools.traffic.pcap import PcapReader, Received
from relay.tools.traffic.recording import Recording
from relay.tools.traffic.temporary_tee import Copied
from tests.support.command import call
from tests.support.relay import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENDS = Endpoint(bytes(4), 1), Endpoint(bytes(4), 8125)
NOW = 1_795_651_742_000_000_000


def read(path: Path) -> list[Received]:
    with path.open("rb") as file:
        reader = PcapReader(file, Counter())
        found = list(reader)
    assert reader.damage == ""
    return found


def write(path: Path, *datagrams: bytes, spacing: float = 0.0) -> Path:
    records = [
        pcap.record(NOW + int(number * spacing * 1e9), datagram, *ENDS) for number, datagram in enumerate(datagrams)
    ]
    path.write_bytes(pcap.begin() + b"".join(records))
    return path


class Capturing:
    """State: a running `capture`."""

    def __init__(self, file: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "relay", "capture", str(file), "--json", *arguments]
        base = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
        self.process = subprocess.Popen(
            command, env={**base, **(env or {})}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.said = self.process.stderr.readline()

    def wait(self) -> dict:
        """Wait for the end of the capture; return its summary."""
        output, self.errors = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, self.said + self.errors
        return json.loads(output)


@contextmanager
def capturing(file: Path, *arguments: str, env: dict[str, str] | None = None) -> Iterator[Capturing]:
    found = Capturing(file, *arguments, env=env)
    try:
        yield found
    finally:
        found.process.kill()
        found.process.communicate()


def test_what_is_captured_is_replayed_and_captured_again(tmp_path):
    """The bytes and their order are equal, the spacing about; after Ctrl-C the file is complete."""
    port = free_port()
    datagrams = [b"a:1|c", b"", b"b:1|c\nc:2|ms\n", b"\xff\x00" * 30_000, *(b"n:%d|g" % number for number in range(50))]
    source = write(tmp_path / "source.pcap", *datagrams, spacing=0.02)
    with capturing(tmp_path / "x.pcap", "--listen", f"127.0.0.1:{port}") as found:
        done = call("replay", str(source), "--to", f"127.0.0.1:{port}", "--json")
        found.process.send_signal(signal.SIGINT)
        summary = found.wait()
    assert done.returncode == 0
    replayed = json.loads(done.stdout)
    assert (replayed["datagrams"], replayed["lines"], replayed["errors"]) == (54, 54, {})
    assert 53 * 0.02 <= replayed["seconds"] < 20
    assert 0 <= replayed["late_seconds"] < 20
    received = read(tmp_path / "x.pcap")
    assert [one.payload for one in received] == datagrams
    times = [one.time for one in received]
    assert times == sorted(times)
    assert times[-1] - times[0] > (53 * 0.02 - replayed["late_seconds"] - 0.01) * 1e9
    assert (summary["datagrams"], summary["lines"], summary["kernel_drops"], summary["full"]) == (54, 54, 0, False)
    assert summary["bytes"] == (tmp_path / "x.pcap").stat().st_size
    assert (summary["first_ns"], summary["last_ns"]) == (times[0], times[-1])
    assert (tmp_path / "x.pcap").stat().st_mode & 0o777 == 0o600


def test_speed(tmp_path):
    source = write(tmp_path / "x.pcap", b"a:1|c", b"b:1|c", b"c:1|c", spacing=10)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        sink.settimeout(5)
        to = f"127.0.0.1:{sink.getsockname()[1]}"
        fast = json.loads(call("replay", str(source), "--to", to, "--speed", "100", "--json").stdout)
        assert fast["seconds"] >= 0.2
        fastest = json.loads(call("replay", str(source), "--to", to, "--speed", "max", "--json").stdout)
        assert (fastest["seconds"] < 5, fastest["late_seconds"]) == (True, 0)
        assert [sink.recv(100) for _ in range(6)] == [b"a:1|c", b"b:1|c", b"c:1|c"] * 2


def test_a_load_arrives_as_it_says(tmp_path):
    port = free_port()
    with capturing(tmp_path / "x.pcap", "--listen", f"127.0.0.1:{port}", "--for", "20s") as found:
        to = ["--to", f"127.0.0.1:{port}"]
        done = call("load", "--rate", "2k", "--for", "500ms", "--types", "c,s", "--tags", "env:test", *to, "--json")
        found.process.send_signal(signal.SIGTERM)
        summary = found.wait()
    assert done.returncode == 0
    sent = json.loads(done.stdout)
    assert (sent["datagrams"], sent["lines"], sent["planned_lines"]) == (100, 1_000, 1_000)
    assert (summary["datagrams"], summary["lines"]) == (100, 1_000)
    lines = [line for one in read(tmp_path / "x.pcap") for line in one.payload.decode().split("\n")]
    counters = [line for line in lines if line.endswith("|c|#env:test")]
    members = {line.removesuffix("|s|#env:test") for line in lines if line.endswith("|s|#env:test")}
    values = [int(line.partition(":")[2].partition("|")[0]) for line in counters]
    assert sent["types"] == {
        "c": {"lines": 500, "series": 500, "sum": sum(values)},
        "s": {"lines": 500, "series": 500, "sum": len(members)},
    }


def test_unix_sockets(tmp_path):
    source = write(tmp_path / "x.pcap", *[b"a:1|c"] * 3)
    code, _, errors = call("replay", str(source), "--to", f"unix:{tmp_path}/socket")
    assert (code, "cannot send to unix:" in errors) == (69, True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sink:
        sink.bind(str(tmp_path / "socket"))
        sink.settimeout(5)
        said = call("replay", str(source), "--to", f"unix:{tmp_path}/socket")[1]
        assert said.startswith(f"3 datagrams, 3 lines to unix:{tmp_path}/socket in ")
        assert call("send", "b:1|c", "--to", f"unix:{tmp_path}/socket")[0] == 0
        assert [sink.recv(100) for _ in range(4)] == [b"a:1|c"] * 3 + [b"b:1|c"]


@pytest.mark.parametrize("count", [1, 100])
def test_nobody_listens(tmp_path, count):
    to = f"127.0.0.1:{free_port()}"
    source = write(tmp_path / "x.pcap", *[b"a:1|c"] * count)
    for arguments in (["replay", str(source)], ["load", "--rate", str(10 * count), "--for", "1s"]):
        code, said, errors = call(*arguments, "--to", to)
        assert code == 69
        assert said.startswith("1 datagram, ")
        assert f"error RLY101  no process listens on {to}" in errors


def test_interrupted(tmp_path):
    source = write(tmp_path / "x.pcap", b"a:1|c", b"b:1|c", spacing=60)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        sink.settimeout(20)
        command = [sys.executable, "-m", "relay", "replay", str(source), "--json"]
        with subprocess.Popen(
            [*command, "--to", f"127.0.0.1:{sink.getsockname()[1]}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            sink.recv(100)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert (json.loads(output)["datagrams"], json.loads(output)["interrupted"]) == (1, True)
    assert b"Traceback" not in errors


def test_what_is_left_out_is_said(tmp_path):
    source = write(tmp_path / "x.pcap", *[b"a:1|c"] * 3)
    whole = source.read_bytes()
    size = (len(whole) - 24) // 3
    source.write_bytes(whole[: 24 + size] + whole[24 + size :].replace(b"\x11", b"\x06", 1)[:-2])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        to = ["--to", f"127.0.0.1:{sink.getsockname()[1]}"]
        done = call("replay", str(source), *to)
        assert done.returncode == 0
        assert done.stdout.startswith("1 datagram, 1 line to ")
        assert done.stderr.splitlines() == [
            "1 packet skipped: not UDP",
            f"{source} ends within a packet at byte {24 + 2 * size}: the last {size - 2} bytes were not used",
        ]
        summary = json.loads(call("replay", str(source), *to, "--port", "53", "--json").stdout)
    assert summary["skipped"] == {"other_port": 1, "not_udp": 1}
    assert summary["damage"] == f"ends within a packet at byte {24 + 2 * size}"
    assert summary["datagrams"] == 0


def test_a_file_is_never_overwritten_unasked(tmp_path):
    file, port = tmp_path / "x.pcap", free_port()
    file.write_text("precious")
    arguments = ["--listen", f"127.0.0.1:{port}", "--for", "0s"]
    code, _, errors = call("capture", str(file), *arguments)
    assert code == 71
    assert f"error RLY101  {file} exists" in errors
    assert file.read_text() == "precious"
    (tmp_path / "link").symlink_to(file)
    for other in ("link", "", "nowhere/x.pcap"):
        assert call("capture", str(tmp_path / other), *arguments, "--force")[0] == 64
    assert file.read_text() == "precious"
    assert call("capture", str(file), *arguments, "--force")[0] == 0
    assert read(file) == []


def test_a_capture_ends_at_its_bound(tmp_path):
    port = free_port()
    with capturing(tmp_path / "x.pcap", "--listen", f"127.0.0.1:{port}", "--max-size", "1KiB") as found:
        call("load", "--rate", "1k", "--for", "30ms", "--lines", "1", "--to", f"127.0.0.1:{port}")
        summary = found.wait()
    assert summary["full"]
    assert summary["bytes"] == (tmp_path / "x.pcap").stat().st_size <= 1024
    assert 0 < len(read(tmp_path / "x.pcap")) == summary["datagrams"] < 30


@pytest.mark.parametrize(
    "arguments",
    [
        ["capture"],
        ["capture", "{file}.new", "--listen", "nowhere"],
        ["capture", "{file}.new", "--for", "soon", "--listen", "127.0.0.1:0"],
        ["capture", "{file}.new", "--max-size", "much", "--listen", "127.0.0.1:0"],
        ["replay"],
        ["replay", "{file}", "--speed", "fast"],
        ["replay", "{file}", "--speed", "-1"],
        ["replay", "{file}", "--speed", "nan"],
        ["replay", "{file}", "--to", "nowhere"],
        ["replay", "{file}", "--port", "0"],
        ["load"],
        ["load", "--rate", "fast"],
        ["load", "--rate", "0"],
        ["load", "--rate", "-5"],
        ["load", "--rate", "1k", "--for", "soon"],
        ["load", "--rate", "1k", "--types", "c,x"],
        ["load", "--rate", "1k", "--types", ""],
        ["load", "--rate", "1k", "--name", "a:b"],
        ["load", "--rate", "1k", "--tags", "a|b"],
        ["load", "--rate", "1k", "--lines", "0"],
        ["load", "--rate", "1k", "--lines", "5000"],
        ["load", "--rate", "1k", "--series", "0"],
        ["load", "--rate", "1k", "--to", "127.0.0.1"],
    ],
)
def test_wrong_input_ends_with_64(tmp_path, arguments):
    file = write(tmp_path / "x.pcap", b"a:1|c")
    code, _, errors = call(*(argument.format(file=file) for argument in arguments))
    assert code == 64
    assert "Error: " in errors
    for option in ("--for", "--max-size", "--listen"):
        wrong = dict(pairwise(arguments)).get(option) in ("soon", "much", "nowhere")
        assert (f"Invalid value for '{option}': " in errors) == wrong
    assert list(tmp_path.iterdir()) == [file]


def test_pcapng_is_refused_with_the_fix(tmp_path):
    file = tmp_path / "x.pcapng"
    file.write_bytes(b"\x0a\x0d\x0d\x0a" + bytes(100))
    code, _, errors = call("replay", str(file))
    assert code == 78
    assert errors == f"error RLY103  {file} is pcapng\n      fix: editcap -F nsecpcap {file} {file}.pcap\n"


@pytest.mark.parametrize("file", ["/nowhere.pcap", "/", __file__])
def test_a_file_that_cannot_be_read_is_78_as_a_configuration_is(file):
    code, _, errors = call("replay", file)
    assert code == 78
    assert errors.startswith("error RLY103  ")
    assert file in errors


def test_a_host_that_cannot_be_looked_up_is_not_reachable(tmp_path):
    file = write(tmp_path / "x.pcap", b"a:1|c")
    for command in (("replay", str(file)), ("load", "--rate", "1k"), ("send", "a:1|c")):
        code, _, errors = call(*command, "--to", "nowhere.invalid:8125")
        assert code == 69
        assert errors.startswith("error RLY101  cannot look up the host of nowhere.invalid:8125: ")


def test_a_port_in_use(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        code, _, errors = call("capture", str(tmp_path / "x.pcap"), "--listen", f"127.0.0.1:{holder.getsockname()[1]}")
    assert code == 71
    assert "in use by" in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_off", [False, True])
def test_no_relay_to_ask(tmp_path, is_off):
    listen = "" if is_off else f"127.0.0.1:{free_port(socket.SOCK_STREAM)}"
    code, _, errors = call("capture", tmp_path / "x.pcap", env={"STATSD_RELAY_ADMIN_LISTEN": listen})
    assert code == 69
    assert ("no admin port is configured" if is_off else f"no relay answers on {listen}") in errors
    assert "--listen" in errors
    assert list(tmp_path.iterdir()) == []


def test_losses_are_said(tmp_path):
    fd = os.open(tmp_path / "x.pcap", os.O_WRONLY | os.O_CREAT)
    recording = Recording(fd, limit=1_000)
    os.close(fd)
    captured = Captured(recording=recording, seconds=1, is_full=False, kernel_drops=0)
    assert list(find_losses(captured)) == []
    lossy = replace(captured, kernel_drops=3, copied=Copied(datagrams=10, dropped=1), gaps=2)
    assert [problem.message.partition(":")[0] for problem in find_losses(lossy)] == [
        "the kernel dropped 3 datagrams",
        "the relay could not copy 1 datagram",
        "the relay did not answer, or was replaced, 2 times",
    ]


async def test_a_copy_of_what_a_relay_receives(tmp_path):
    """A server in place of the relay copies one datagram at each request."""
    asked = []

    async def tee(request: web.Request) -> web.Response:
        asked.append(await request.json())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            host, _, port = asked[-1]["to"].rpartition(":")
            sock.sendto(b"copy:%d|c" % len(asked), (host, int(port)))
        return web.json_response({"datagrams": len(asked), "dropped": 4})

    async def index(_: web.Request) -> web.Response:
        return web.json_response({"version": "0.1.0"})

    application = web.Application()
    application.router.add_post("/api/v1/tee", tee)
    application.router.add_get("/api/v1/", index)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    file = tmp_path / "relay.toml"
    file.write_text(f'[admin]\nlisten = "0.0.0.0:{runner.addresses[0][1]}"\n')
    try:
        summary, errors = await asyncio.to_thread(capture_copies, tmp_path, file)
    finally:
        await runner.cleanup()
    assert 2 <= summary["datagrams"] < len(asked), "it was renewed, and its end was wished for"
    assert [one.payload for one in read(tmp_path / "x.pcap")] == [
        b"copy:%d|c" % number for number in range(1, summary["datagrams"] + 1)
    ]
    assert (summary["copy_drops"], summary["copy_gaps"]) == (4, 0)
    assert [wish["seconds"] for wish in asked] == [10] * (len(asked) - 1) + [1]
    assert "RLY202  the relay could not copy 4 datagrams" in errors


def capture_copies(tmp_path: Path, file: Path) -> tuple[dict, str]:
    with capturing(tmp_path / "x.pcap", "-c", str(file), "--for", "1.5s") as found:
        assert found.said == f"capturing from the relay to {tmp_path / 'x.pcap'}\n"
        return found.wait(), found.errors


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}])
def test_a_bar_on_a_terminal_alone(tmp_path, variables):
    source = write(tmp_path / "x.pcap", *[b"a:1|c"] * 50, spacing=0.01)
    ours, theirs = pty.openpty()
    shown = bytearray()

    def watch() -> None:
        try:
            while chunk := os.read(ours, 1000):
                shown.extend(chunk)
        except OSError:
            return  # the other side is closed

    watcher = threading.Thread(target=watch)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        command = [sys.executable, "-m", "relay", "replay", str(source), "--to", f"127.0.0.1:{sink.getsockname()[1]}"]
        environ = {"PATH": os.environ["PATH"], "TERM": "xterm", **variables}
        with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=theirs) as process:
            os.close(theirs)
            watcher.start()
            output = process.stdout.read()
        watcher.join(10)
    os.close(ours)
    assert process.returncode == 0
    assert output.startswith(b"50 datagrams, 50 lines to ")
    assert b"replaying" in shown
    assert b"100%" in shown
    assert b"\x1b[3" not in shown, "no colour"
    assert call("replay", str(source), "--to", f"127.0.0.1:{free_port()}").stderr.count("replaying") == 0
