"""Metrics are missing, and it is three in the morning: what `status` says in each situation, and that its fix ends it.

Each test is a row of the table "three in the morning". A real relay sends to the local cloud, with windows of 1 s. The
finding must have the right code, level and figures, its fix as printed ends it, and the exit codes follow.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import time
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from relay.clock import SystemClock
from relay.tools.emulator import Fault
from tests.support.command import Done, call
from tests.support.relay import ACCESS, REGION, SECRET, RelayProcess, free_port, make_emulator, run
from tests.support.tools import SickDisk

if TYPE_CHECKING:
    from collections.abc import Callable

LONG_KEY = "JDC_0123456789AB4F2A"


async def status(relay: RelayProcess, *arguments: str) -> Done:
    return await asyncio.to_thread(call, "status", "--admin", relay.admin, *arguments)


async def findings(relay: RelayProcess) -> dict[str, dict]:
    """The worst finding of each code; and each by code and subject, if it has one."""
    done = await status(relay, "--json")
    if done.returncode:  # a worker is being replaced
        return {}
    all_ = json.loads(done.stdout)["findings"]
    named = {f"{one['code']} {one['subject']}": one for one in all_ if one["subject"]}
    return {one["code"]: one for one in reversed(all_)} | named


async def found(relay: RelayProcess, code: str, *, level: str = "", while_: Callable[[], object] = bool) -> dict:
    """Wait for a finding, doing `while_` meanwhile; return it."""
    ends = time.monotonic() + 40
    while True:
        while_()
        all_ = await findings(relay)
        if code in all_ and level in ("", all_[code]["level"]):
            assert all_[code]["fix"]
            assert all_[code]["next"]
            await in_log(relay, code.split(maxsplit=1)[0])
            return all_[code]
        assert time.monotonic() < ends, f"{code} {level} not among {all_}\n{relay.text()[-2000:]}"
        await asyncio.sleep(0.1)


async def in_log(relay: RelayProcess, code: str) -> None:
    """Wait until the log has the code, which may come a moment after the answer."""
    ends = time.monotonic() + 10
    while not any(event.get("code") == code for event in relay.events()):
        assert time.monotonic() < ends, f"{code} is not in the log:\n{relay.text()[-2000:]}"
        await asyncio.sleep(0.05)


async def ended(relay: RelayProcess, code: str, *, while_: Callable[[], object] = bool) -> None:
    ends = time.monotonic() + 60
    while code in (all_ := await findings(relay)) or not (await status(relay, "--json")).stdout:
        assert time.monotonic() < ends, all_[code]
        while_()
        await asyncio.sleep(0.2)


async def check(relay: RelayProcess, code: str, *, exit_code: int = 2) -> None:
    """The problem is what `--check` says, and the relay is not ready if asked deeply."""
    done = await status(relay, "--check")
    assert done.returncode == exit_code, done
    assert code in done.stdout


def hits(relay: RelayProcess) -> Callable[[], None]:
    return lambda: relay.send(b"web.hits:1|c")


async def test_the_quota_is_used_up(start, emulator):
    relay = start()
    emulator.add_fault(Fault("429", headers={"retry-after": "2"}))
    finding = await found(relay, "RLY401", level="warning", while_=hits(relay))
    assert "HTTP 429" in finding["cloud"]
    assert finding["next"] == "series"
    finding = await found(relay, "RLY401", level="problem", while_=hits(relay))
    assert "wait" in finding["safe"]
    await check(relay, "RLY401")
    done = await status(relay, "--wait", "1s")
    assert done.returncode == 1
    emulator.clear_faults()  # the quota is raised
    assert (await status(relay, "--wait", "30s")).returncode == 0
    await ended(relay, "RLY401")


async def test_the_credentials_are_refused(start, emulator, tmp_path):
    key, secret = tmp_path / "access-key", tmp_path / "secret-key"
    key.write_text(LONG_KEY)
    secret.write_text("wrong")
    key.chmod(0o600)
    secret.chmod(0o600)
    relay = start(CLOUD_ACCESS_KEY_FILE=str(key), CLOUD_SECRET_KEY_FILE=str(secret), CLOUD_REGION=REGION)
    finding = await found(relay, "RLY120", level="problem", while_=hits(relay))
    assert "nothing has reached the cloud since the start at " in finding["sentence"]
    assert "the signature does not match" in finding["cloud"] or "HTTP 401" in finding["cloud"]
    assert "this clock is right" in finding["cloud"]
    assert finding["fix"] == f"replace key JDC_..4F2A in {key}; it is read every 5 s"
    assert "on disk" in finding["safe"]
    await check(relay, "RLY120")
    assert (await status(relay, "--wait", "30s")).returncode == 77
    deep = await asyncio.to_thread(_ready, relay)
    assert deep[0] == 503
    assert "RLY120" in deep[1]
    assert (await asyncio.to_thread(call, "healthcheck", "--ready", "--admin", relay.admin)).returncode == 0
    key.write_text(ACCESS)
    secret.write_text(SECRET)
    await ended(relay, "RLY120", while_=hits(relay))
    assert (await asyncio.to_thread(_ready, relay))[0] == 200
    await emulator_has(emulator, "web.hits")


def _ready(relay: RelayProcess) -> tuple[int, str]:
    try:
        with urlopen(f"http://{relay.admin}/-/ready?deep=1", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def emulator_has(emulator, metric: str) -> None:
    ends = time.monotonic() + 30
    while not emulator.points(metric):
        assert time.monotonic() < ends
        await asyncio.sleep(0.05)


class AheadClock(SystemClock):
    """The cloud's clock, so that of this machine is behind; tests cannot set the machine's."""

    ahead = 2000.0

    def wall(self) -> float:
        return super().wall() + self.ahead


async def test_this_clock_is_wrong(start):
    clock = AheadClock()
    emulator = make_emulator(clock=clock)
    url = await emulator.start()
    try:
        relay = start(endpoint=url)
        finding = await found(relay, "RLY120", level="problem", while_=hits(relay))
        assert "this clock is" in finding["sentence"]
        assert "s behind the cloud's (RLY122)" in finding["sentence"]
        assert finding["fix"] == "timedatectl set-ntp true"
        assert "RLY122" in await findings(relay)
        clock.ahead = 0.0  # the clock is synchronised
        await ended(relay, "RLY120", while_=hits(relay))
        await ended(relay, "RLY122")
    finally:
        await emulator.stop()


async def test_one_metric_is_refused(start, emulator):
    relay = start()
    emulator.poison.add("bad.metric")
    finding = await found(
        relay, "RLY402", level="warning", while_=lambda: relay.send(b"bad.metric:1|c\nweb.hits:1|c\nweb.a:1|c")
    )
    assert "bad.metric" in finding["sentence"]
    assert "something is wrong with some point" in finding["cloud"]
    assert finding["next"] == "dead show --metric bad.metric"
    await check(relay, "RLY402", exit_code=1)
    emulator.poison.clear()
    await ended(relay, "RLY402")


async def test_every_point_is_refused(start, emulator):
    relay = start()
    emulator.add_fault(Fault("refused"))
    finding = await found(relay, "RLY402", level="problem", while_=hits(relay))
    assert "the cloud refuses every point" in finding["sentence"]
    assert "emulated refusal" in finding["cloud"]
    await check(relay, "RLY402")
    emulator.clear_faults()
    await ended(relay, "RLY402", while_=hits(relay))


async def test_the_cloud_cannot_be_reached(start):
    port = free_port(socket.SOCK_STREAM)
    relay = start(endpoint=f"http://127.0.0.1:{port}")
    finding = await found(relay, "RLY405", while_=hits(relay))
    assert "127.0.0.1: no connection (connect)" in finding["sentence"]
    finding = await found(relay, "RLY405", level="problem", while_=hits(relay))
    assert "nothing has reached the cloud since the start" in finding["sentence"]
    assert f"curl -sv http://127.0.0.1:{port}/v1/customMetrics" in finding["fix"]
    assert "on disk" in finding["safe"]
    await check(relay, "RLY405")
    emulator = make_emulator()
    await emulator.start(port=port)  # the way is open
    try:
        await ended(relay, "RLY405", while_=hits(relay))
        assert (await status(relay, "--wait", "20s")).returncode == 0
    finally:
        await emulator.stop()


async def test_a_tag_explodes(start, tmp_path):
    file = tmp_path / "relay.toml"
    file.write_text("")
    relay = start(LIMITS_SERIES_PER_METRIC="50", TAGS="", command=run("-c", file))
    number = iter(range(1_000_000))

    def explode() -> None:
        relay.send(*(b"web.req:1|c|#request_id:%d" % next(number) for _ in range(100)))

    finding = await found(relay, "RLY310", level="warning", while_=explode)
    while "request_id" not in finding["sentence"]:  # the tag is searched in the next window
        explode()
        finding = await found(relay, "RLY310")
    assert "web.req" in finding["sentence"]
    assert 'drop_tags = ["request_id"]' in finding["fix"]
    assert finding["next"] == "series"
    file.write_text('[[rule]]\nmatch = "web.req"\ndrop_tags = ["request_id"]\n')
    done = await asyncio.to_thread(call, "reload", "--admin", relay.admin)
    if done.returncode:  # the file is watched, too
        await asyncio.sleep(5)
    await ended(relay, "RLY310", while_=explode)


async def test_a_tag_grows_towards_the_limit(start):
    relay = start(LIMITS_SERIES_PER_METRIC="5000", TAGS="")
    began = time.monotonic()

    def grow() -> None:
        ids = range(int((time.monotonic() - began) * 60))
        for first in ids[::50]:
            relay.send(b"\n".join(b"web.req:1|c|#request_id:%d" % one for one in ids[first : first + 50]))

    finding = await found(relay, "RLY311 web.req", level="warning", while_=grow)
    assert "web.req has " in finding["sentence"]
    assert " more a minute since " in finding["sentence"]
    assert "the limit of 5 000 is reached in " in finding["sentence"]
    assert finding["next"] == "series"
    assert "RLY310" not in await findings(relay)
    await ended(relay, "RLY311")  # the rule is in force: the metric has no such tag any more


async def test_the_kernel_drops_packets(start):
    relay = start(LISTEN_RECEIVE_BUFFER="64KiB")
    pid = relay.signal_worker(signal.SIGSTOP)
    for _ in range(3000):
        relay.send(b"web.hits:1|c")
    os.kill(pid, signal.SIGCONT)
    finding = await found(relay, "RLY202", level="problem")
    assert "packets at udp://127.0.0.1:" in finding["sentence"]
    assert "its buffer has" in finding["sentence"]
    assert "sysctl -w net.core.rmem_max=" in finding["fix"]
    await found(relay, "RLY202", level="warning")
    await ended(relay, "RLY202")


async def test_the_port_is_wrong(start):
    relay = start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(20):
            sock.sendto(b"web.hits:1|c", ("127.0.0.1", 9))
    finding = await found(relay, "RLY203", level="warning")
    assert "no packet has come since the start at " in finding["sentence"]
    ends = time.monotonic() + 20
    while "packets came for closed ports" not in finding["sentence"]:
        assert time.monotonic() < ends
        finding = await found(relay, "RLY203")
        await asyncio.sleep(0.2)
    assert f"udp://127.0.0.1:{relay.udp[1]}" in finding["fix"]
    relay.send(b"web.hits:1|c")  # the client's port is corrected
    await ended(relay, "RLY203")


async def test_a_rule_takes_the_metric(start):
    relay = start(RULE='[{"match": "debug.**", "action": "drop"}]')
    relay.send(b"debug.sql:3|ms\nweb.hits:1|c")
    assert (await status(relay, "--wait", "20s")).returncode == 0
    done = await status(relay)
    assert '"debug.**" dropped 1 sample' in done.stdout
    assert "RLY305" not in done.stdout


async def test_lines_are_bad(start):
    relay = start()
    relay.send(b"web.time:abc|ms\nweb.hits:1|c")
    finding = await found(relay, "RLY301", level="warning")
    assert '"web.time:>>abc|ms", from 127.0.0.1:' in finding["sentence"]
    assert finding["next"] == "tap --rejected"
    await ended(relay, "RLY301")


async def test_a_file_is_refused(start, tmp_path):
    file = tmp_path / "relay.toml"
    file.write_text("")
    relay = start(command=run("-c", file))
    file.write_text("[window]\npercentiles = 7\n")
    finding = await found(relay, "RLY502", level="warning")
    assert str(file) in finding["sentence"]
    assert "percentiles" in finding["sentence"]
    assert finding["next"] == f"check {file}"
    file.write_text("[window]\npercentiles = [99]\n")
    await ended(relay, "RLY502")


async def test_a_worker_dies(start):
    relay = start()
    assert (await status(relay, "--wait", "20s")).returncode == 0
    await relay.gone(relay.signal_worker(signal.SIGKILL))
    await relay.revived()
    finding = await found(relay, "RLY501", level="warning")
    assert "a worker died" in finding["sentence"]
    assert "killed by SIGKILL" in finding["sentence"]
    assert "memory" in finding["fix"]
    await ended(relay, "RLY501")


async def test_the_disk_is_full(start, emulator, tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    disk = SickDisk(tmp_path, under=tmp_path / "state")
    relay = start(environ=disk.environment)
    assert (await status(relay, "--wait", "20s")).returncode == 0
    with disk.failing(errno.ENOSPC):
        finding = await found(relay, "RLY411", level="warning", while_=hits(relay))
        assert str(tmp_path / "state") in finding["sentence"]
        assert "make room on the disk" in finding["fix"]
        emulator.add_fault(Fault("503"))
        finding = await found(relay, "RLY411", level="problem", while_=hits(relay))
        assert "in memory alone" in finding["safe"]
        await check(relay, "RLY4")
        emulator.clear_faults()
    await ended(relay, "RLY411", while_=hits(relay))


async def test_packets_stop(start):
    relay = start()
    relay.send(b"web.hits:1|c")
    finding = await found(relay, "RLY204", level="warning")
    assert "no packet has come since " in finding["sentence"]
    relay.send(b"web.hits:1|c")
    await ended(relay, "RLY204", while_=hits(relay))


@pytest.mark.parametrize("deep", ["?deep=2", "?other=1"])
async def test_a_wrong_parameter_of_readiness_is_an_error(deep, start):
    relay = start()
    with pytest.raises(HTTPError) as raised:
        await asyncio.to_thread(urlopen, f"http://{relay.admin}/-/ready{deep}")
    with raised.value as error:
        assert error.code == 400
