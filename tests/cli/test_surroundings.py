"""Commands in unusual environments: no HOME, no entry in the list of users, closed descriptors, odd volumes."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from relay.cli import COMMANDS
from relay.errors import ExitCode
from tests.meta.test_deploy import ENV, VOLUME
from tests.support.relay import environment, free_port, relay_process, run

UID = 65532
"""Of the image: it has no entry in the list of users."""
RELAY = (sys.executable, "-m", "relay")
ENDING = {
    "bundle": ("-o", "out.tar.gz", "--admin", "127.0.0.1:1"),
    "capture": ("out.pcap", "--for", "1s"),
    "check": (),
    "compare": ("--for", "1s"),
    "config": ("show",),
    "dead": ("list",),
    "explain": ("web.hits:1|c",),
    "healthcheck": (),
    "import": ("-h",),
    "init": ("-o", "new.toml"),
    "load": ("-h",),
    "cloud": ("-h",),
    "demo": ("--for", "1s"),
    "reload": (),
    "replay": ("/nowhere",),
    "run": (),
    "send": ("web.hits:1|c", "--to", "127.0.0.1:1"),
    "series": (),
    "top": ("--once",),
    "spool": ("stat",),
    "tap": (),
    "status": (),
}
"""Each command with arguments of which it ends by itself where there is no relay and no credentials."""


AS_IT = (
    *("setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups"),
    *("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"),
)
"""The sources and the interpreter may lie where only root can read; writing is as for any other user."""


@pytest.fixture(autouse=True)
def _becomes_another_user():
    if os.geteuid() or subprocess.run((*AS_IT, "true"), check=False).returncode:
        assert "CI" not in os.environ, "root with all capabilities is expected here"
        pytest.skip("this user cannot become another one")


def test_the_table_has_every_command():
    assert ENDING.keys() == set(COMMANDS)


def finish(*command: str, environ: dict[str, str], cwd: Path | str = "/") -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], **environ}
    return subprocess.run(command, env=environ, cwd=cwd, capture_output=True, text=True, timeout=50, check=False)


def closing(descriptors: str, command: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command that is started with descriptors closed."""
    return ("/bin/sh", "-c", f'exec "$@" {" ".join(f"{number}>&-" for number in descriptors)}', "sh", *command)


@pytest.mark.parametrize("command", ENDING)
@pytest.mark.parametrize(("closed", "home"), [("", False), ("1", True), ("02", False)])
def test_no_command_shows_a_traceback_or_writes_where_it_is(command, closed, home, tmp_path):
    tmp_path.chmod(0o777)
    environ = {"HOME": str(tmp_path / "home")} if home else {}
    done = finish(*AS_IT, *closing(closed, (*RELAY, command, *ENDING[command])), environ=environ, cwd=tmp_path)
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert done.returncode in {int(code) for code in ExitCode} - {ExitCode.INTERNAL}, said
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == []


@pytest.mark.parametrize("closed", ["0", "1", "2", "01", "012"])
async def test_a_relay_runs_with_closed_descriptors(closed, emulator, tmp_path):
    udp, admin = free_port(), free_port()
    places = {"LISTEN_UDP": f"127.0.0.1:{udp}", "ADMIN_LISTEN": f"127.0.0.1:{admin}"}
    environ = environment(emulator.url, tmp_path / "state", **places)
    process = start(closing(closed, run()), environ)
    try:
        await asyncio.to_thread(wait_until_ready, process, admin)
        asked = ("healthcheck", "--ready", "--admin", f"127.0.0.1:{admin}")
        assert (await asyncio.to_thread(finish, *RELAY, *asked, environ=environ)).returncode == 0
        sent = await asyncio.to_thread(finish, *RELAY, "send", "a:1|c", "--to", f"127.0.0.1:{udp}", environ=environ)
        assert sent.returncode == 0
        await arrival(emulator)
    finally:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 30) == 0


def start(command: tuple[str, ...], environ: dict[str, str]) -> subprocess.Popen:
    return subprocess.Popen(command, env=environ, cwd="/")


async def arrival(emulator) -> None:
    """Wait until the cloud has the one line that was sent."""
    while emulator.total("a") < 1:
        await asyncio.sleep(0.02)
    assert emulator.total("a") == 1


def wait_until_ready(process, admin: int) -> None:
    for _ in range(1500):
        assert process.poll() is None
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{admin}/-/ready", timeout=5):
            return
        time.sleep(0.02)
    raise AssertionError("not ready")


VOLUMES = {
    "emptyDir": (0, 0, 0o777),
    "emptyDir with fsGroup": (0, UID, 0o2777),
    "claim with fsGroup": (0, UID, 0o2775),
    "tmpfs": (0, 0, 0o1777),
    "named volume": (UID, UID, 0o700),
}


@pytest.mark.parametrize(("owner", "group", "mode"), VOLUMES.values(), ids=VOLUMES)
async def test_the_image_keeps_its_state_on_any_volume(owner, group, mode, volume, emulator):
    os.chown(volume, owner, group)
    volume.chmod(mode)
    state = Path(ENV["STATSD_RELAY_DEFAULT_SPOOL_PATH"].replace(VOLUME, str(volume)))
    environ = environment(emulator.url, state)
    environ["STATSD_RELAY_DEFAULT_SPOOL_PATH"] = environ.pop("STATSD_RELAY_SPOOL_PATH")
    del environ["HOME"]
    with relay_process(environ, volume.parent / "log", command=(*AS_IT, *run())) as relay:
        relay.send(b"a:1|c")
        await arrival(emulator)
        assert await relay.stop() == 0
    assert owner_and_mode(state) == (UID, 0o700)


def owner_and_mode(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_uid, stat.S_IMODE(found.st_mode) & 0o777


@pytest.fixture
def volume(tmp_path):
    """A directory that every user can reach."""
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o711)
    tmp_path.chmod(0o711)
    volume = tmp_path / "volume"
    volume.mkdir()
    return volume


def test_a_volume_that_cannot_be_used_says_what_to_do(volume):
    volume.chmod(0o777)
    done = finish(*AS_IT, *run(), environ=environment("http://127.0.0.1:1", volume))
    assert (done.returncode, "RLY104" in done.stderr) == (ExitCode.BIND_OR_STATE, True)
    assert "or name a directory in it, which the relay makes" in done.stderr


def test_without_home_and_user_the_message_says_what_is_missing():
    done = finish(*AS_IT, *run(), environ={})
    assert (done.returncode, "RLY110" in done.stderr) == (ExitCode.CONFIGURATION, True)
    environ = environment("http://127.0.0.1:1", "")
    for name in ("HOME", "STATSD_RELAY_SPOOL_PATH"):
        del environ[name]
    done = finish(*AS_IT, *run(), environ=environ)
    assert (done.returncode, "RLY101" in done.stderr) == (ExitCode.BIND_OR_STATE, True)
    assert "HOME" in done.stderr


def test_the_demo_without_a_temporary_directory_says_so():
    """All usual directories are read-only, and so is the working directory."""
    places = ("/tmp", "/var/tmp")
    mounts = " && ".join(f"mount --bind {place} {place} && mount -o remount,ro,bind {place}" for place in places)
    command = ("unshare", "-m", "sh", "-c", f'{mounts} && exec "$@"', "sh", *AS_IT, *RELAY, "demo", "--for", "1s")
    done = finish(*command, environ={}, cwd="/proc")
    assert (done.returncode, "RLY101" in done.stderr) == (ExitCode.BIND_OR_STATE, True)
    assert "TMPDIR" in done.stderr


def test_a_health_check_asks_where_the_file_says(tmp_path):
    path = tmp_path / "relay.toml"
    path.write_text('[admin]\nlisten = "127.0.0.1:1"\n')
    environ = {"STATSD_RELAY_DEFAULT_ADMIN_LISTEN": "127.0.0.1:2"}
    for arguments, port in ((("-c", str(path)), 1), ((), 2), (("--admin", "127.0.0.1:3"), 3)):
        done = finish(*RELAY, "healthcheck", *arguments, environ=environ)
        assert f"no relay answers on 127.0.0.1:{port}" in done.stderr
