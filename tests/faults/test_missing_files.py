"""Row 45: a file that a worker needs at its start is missing when the worker before it is killed.

The first worker had accepted the file, so the next one starts without it: it is ready, windows are stored, and requests
are sent once the file can be used again. Each file is removed, or a directory, a pipe or a full device is in its place.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import stat
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.oracle import conserve, judge
from tests.support.relay import ACCESS, SECRET, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RATE = 200
HARMS = {
    "removed": lambda _: None,
    "directory": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "full": lambda path: path.symlink_to("/dev/full"),
}
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


@contextmanager
def harmed(path: Path, how: str) -> Iterator[None]:
    """Replace a file by something else."""
    away = path.with_name(f"{path.name}-away")
    path.rename(away)
    HARMS[how](path)
    yield
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    away.rename(path)


async def killed(relay) -> None:
    """Kill the worker; return when another one is ready."""
    count = len(relay.events("started"))
    await relay.gone(relay.signal_worker(signal.SIGKILL))
    deadline = time.monotonic() + 30
    while len(relay.events("started")) <= count:
        assert relay.process.poll() is None, relay.text()[-3000:]
        assert time.monotonic() < deadline, relay.text()[-3000:]
        await asyncio.sleep(0.05)


def mode_of(path: Path) -> int:
    return path.lstat().st_mode if path.exists() else 0


def given_file(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


NEEDS = {
    "secret": lambda start, path: start(
        CLOUD_ACCESS_KEY=ACCESS, CLOUD_SECRET_KEY_FILE=str(given_file(path, SECRET)), environ=_without_keys()
    ),
    "certificates": lambda start, path: start(CLOUD_CA_FILE=str(_copy(path))),
    "configuration": lambda start, path: start(
        command=run("-c", given_file(path, "[limits]\nseries = 5000\n")), CONFIG_WATCH="false"
    ),
    "temporary directory": lambda start, path: start(environ={"TMPDIR": str(_folder(path))}),
}
FAST = [("secret", "removed"), ("certificates", "pipe")]


def _without_keys() -> dict[str, str]:
    return {"JDCLOUD_ACCESS_KEY_ID": "", "JDCLOUD_SECRET_ACCESS_KEY": ""}


def _copy(path: Path) -> Path:
    if not os.path.exists(CERTIFICATES):  # noqa: PTH110
        pytest.skip(f"{CERTIFICATES} is not there to be copied")
    shutil.copy(CERTIFICATES, path)
    return path


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param((need, how), id=f"{need}-{how}", marks=[] if (need, how) in FAST else [pytest.mark.full])
        for need in NEEDS
        for how in HARMS
    ],
)
async def test_row_45_what_a_worker_needs_is_taken_before_it_is_replaced(harm, start, load, emulator, figure, tmp_path):
    need, how = harm
    path = tmp_path / "needed"
    relay = NEEDS[need](start, path)
    generator = load(relay, rate=RATE, seconds=120)
    await asyncio.sleep(2)
    with harmed(path, how):
        await killed(relay)
        count = len(relay.windows())
        while len(relay.windows()) < count + 3:
            await asyncio.sleep(0.1)
    verdict = await conserve(relay, emulator, await generator.stop(), lost=RATE * 4, fresh_within=60)
    figure(45, f"{need}, {how}, worker killed: {verdict}")


@pytest.mark.parametrize(
    "how", ["removed", *(pytest.param(one, marks=pytest.mark.full) for one in HARMS if one != "removed")]
)
@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "running"])
async def test_row_45_a_file_of_requests_is_taken(how, is_killed, start, load, figure, tmp_path):
    """Requests wait until the file can be opened; none is written into a removed file."""
    path = tmp_path / "requests.ndjson"
    relay = start(CLOUD_PROVIDER="file", CLOUD_FILE=str(path))
    generator = load(relay, rate=RATE, seconds=120)
    await asyncio.sleep(2)
    with harmed(path, how):
        if is_killed:
            await killed(relay)
        await asyncio.sleep(3)
        written = path.read_text() if stat.S_ISREG(mode_of(path)) else ""
    sent = await generator.stop()
    await asyncio.sleep(2)
    metrics = await relay.wait_for(**{'relay_points_total{outcome="delivered"}': 1})
    deadline = time.monotonic() + 60
    while metrics['relay_points{state="spooled"}'] + metrics['relay_points{state="in_flight"}']:
        assert time.monotonic() < deadline, relay.text()[-3000:]
        await asyncio.sleep(0.2)
        metrics = await asyncio.to_thread(relay.metrics)
    assert relay.process.poll() is None
    lines = (written + path.read_text()).splitlines()
    verdict = judge([point for line in lines for point in json.loads(line)["metricDataList"]], sent)
    assert (verdict.duplicated, verdict.invented, verdict.conflicts) == (0, 0, [])
    assert verdict.lost <= RATE * 4 * is_killed
    figure(45, f"file of requests, {how}, {'killed' if is_killed else 'running'}: {verdict}")


async def test_row_45_a_worker_uses_the_state_directory_of_the_one_before(start, load, emulator, figure, tmp_path):
    """The default path depends on existing files: here a file of an earlier release appears."""
    relay = start(SPOOL_PATH="", environ={"STATE_DIRECTORY": str(_folder(tmp_path / "given"))})
    generator = load(relay, rate=RATE, seconds=120)
    await asyncio.sleep(2)
    (tmp_path / "given" / "spool.db").touch()
    await killed(relay)
    states = {event["state"] for event in relay.events("started")}
    assert states == {str(tmp_path / "given" / "state")}
    verdict = await conserve(relay, emulator, await generator.stop(), lost=RATE * 2)
    figure(45, f"another default of the state directory: {verdict}")
