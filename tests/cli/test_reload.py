"""`reload`: the relay loads its file in its own environment, and the command waits for what came of it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import closing

import pytest

from relay import __version__
from relay.cli.running.find import identify
from relay.cli.running.token import _is_trusted, find_token
from relay.delivery.state.directory import StateDirectory, encode_place, holder
from relay.errors import RelayError
from tests.cli.test_running import admin_of, running, write
from tests.support.command import call
from tests.support.relay import environment, free_port, relay_process, run


def reload(relay, *arguments: str, **env: str):
    return call("reload", *arguments, env={**admin_of(relay), **env})


def body_of(relay, path: str, **headers: str) -> tuple[int, dict]:
    request = urllib.request.Request(f"http://{relay.admin}{path}", data=b"", headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_what_changes_and_when(tmp_path):
    file = write(tmp_path / "relay.toml", '[log]\nlevel = "info"\n[config]\nwatch = false\n')
    with running(tmp_path, "a", "-c", file, command=("env", "-u", "STATSD_RELAY_LOG_LEVEL")) as relay:
        write(file, '[log]\nlevel = "debug"\n[config]\nwatch = false\n[limits]\nseries = 77\n[[rule]]\nmatch = "a"\n')
        # The variable of this shell is not the relay's.
        done = reload(relay, STATSD_RELAY_LIMITS_SERIES="nonsense")
        assert done.returncode == 0, done.stderr
        when = r"generation 2: at once log.level; from \d\d:00:00 limits.series, rule 1\n"
        assert re.fullmatch(when, done.stdout)
        assert done.stderr.endswith(f"{file} generation 1\n"), "the relay as it was asked"
        rows = {
            row["key"]: row
            for row in json.loads(call("config", "show", "--json", env=admin_of(relay)).stdout)["values"]
        }
        assert (rows["log.level"]["value"], rows["log.level"]["origin"]) == ("debug", f"{file}:2")
        assert "limits.series" not in rows, "until the next window"
        again = json.loads(reload(relay, "--json").stdout)
        assert (again["generation"], again["at_once"], again["at_next_window"]) == (3, [], ["limits.series", "rule 1"])
        assert relay.metrics()["relay_config_generation"] == 3
        os.kill(worker := relay.worker_pid, signal.SIGKILL)
        while relay.metrics().get("relay_config_generation") != 3 or relay.worker_pid == worker:
            time.sleep(0.05)


def test_without_a_change_it_says_so(tmp_path):
    with running(tmp_path) as relay:
        assert reload(relay).stdout == "generation 2: nothing has changed\n"


def test_a_refused_file_is_told_as_check_tells_it(tmp_path):
    file = write(tmp_path / "relay.toml", "[config]\nwatch = false\n")
    with running(tmp_path, "a", "-c", file) as relay:
        write(file, "[limits]\nserie = 1\nseries = true\n[config]\nwatch = false\n")
        done = reload(relay)
        assert (done.returncode, done.stdout) == (78, "")
        checked = call("check", file, env={"JDCLOUD_REGION_ID": "cn-north-1"}).stdout.splitlines()
        problems = "\n".join(line for line in checked[:-1] if "RLY110" not in line and "JDCLOUD" not in line)
        assert f"generation 1\n{problems}\n" in done.stderr
        assert f"{file}:2:1 error RLY102  unknown key serie in [limits]" in problems
        assert relay.metrics()["relay_config_generation"] == 1


def test_a_key_that_needs_a_restart_is_refused_by_name(tmp_path):
    file = write(tmp_path / "relay.toml", "[config]\nwatch = false\n")
    with running(tmp_path, "a", "-c", file) as relay:
        write(file, '[spool]\nmax = "2GiB"\n[config]\nwatch = false\n')
        done = reload(relay)
        assert (done.returncode, "only a restart changes spool.max" in done.stderr) == (78, True)


def test_other_addresses_and_another_program_need_another_worker(tmp_path):
    file = write(tmp_path / "relay.toml", "[config]\nwatch = false\n")
    with running(tmp_path, "a", "-c", file) as relay:
        first = relay.worker_pid
        done = reload(relay, "--upgrade")
        assert done.returncode == 0, done.stderr
        second = relay.worker_pid
        assert done.stdout == f"worker {first} with {__version__} replaced by worker {second} with {__version__}\n"
        tcp = f"127.0.0.1:{free_port(socket.SOCK_STREAM)}"
        write(file, f'[listen]\ntcp = ["{tcp}"]\n[limits]\nseries = 77\n[config]\nwatch = false\n')
        done = reload(relay)
        assert done.stdout.startswith("generation 2: by a new worker limits.series, listen.tcp\nworker ")
        assert relay.worker_pid != second
        with socket.create_connection(tuple(tcp.split(":"))):
            pass


def test_another_address_of_the_admin_port_is_found_by_the_lock(tmp_path):
    old, new = (f"127.0.0.1:{free_port(socket.SOCK_STREAM)}" for _ in range(2))
    text = '[config]\nwatch = false\n[admin]\nlisten = "%s"\n'
    file = write(tmp_path / "relay.toml", text % old)
    environ = environment("http://127.0.0.1:1", tmp_path / "a", WINDOW_SECONDS="3600")
    del environ["STATSD_RELAY_ADMIN_LISTEN"]
    with relay_process(environ, tmp_path / "log", command=run("-c", file)):
        write(file, text % new)
        done = call("reload", "--admin", old)
        assert (done.returncode, done.stdout[:43]) == (0, "generation 2: by a new worker admin.listen\n"), done.stderr
        assert call("healthcheck", "-c", file).returncode == 0


@pytest.mark.parametrize("arguments", [(), ("--upgrade",)])
def test_a_replacement_that_is_refused_says_why(tmp_path, arguments):
    file = write(tmp_path / "relay.toml", "[config]\nwatch = false\n")
    with running(tmp_path, "a", "-c", file) as relay, closing(socket.socket()) as taken:
        worker = relay.worker_pid
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        tcp = f"127.0.0.1:{taken.getsockname()[1]}"
        write(file, f'[listen]\ntcp = ["{tcp}"]\n[config]\nwatch = false\n')
        done = reload(relay, *arguments)
        assert done.returncode == 78
        assert f"cannot bind tcp {tcp}: in use by" in done.stderr
        assert "error RLY502  not replaced, nothing has changed" in done.stderr
        assert relay.worker_pid == worker
        assert reload(relay).returncode == 78, "again, and not the answer of before"


async def test_without_a_token_it_signals_and_says_that_it_cannot_know(tmp_path):
    with running(tmp_path, SPOOL_PATH="none") as relay:
        done = await asyncio.to_thread(reload, relay)
        assert (done.returncode, "over the admin port it does not answer" in done.stdout) == (0, True)
        await relay.told("reloaded")


def has_started(folder) -> bool:
    held = holder(folder / "a")
    return bool(held and held.main and '"event": "started"' in (folder / "log").read_text())


def test_without_an_admin_port_it_signals_and_says_that_it_cannot_know(tmp_path):
    environ = environment("http://127.0.0.1:1", tmp_path / "a", ADMIN_LISTEN="")
    here = {"STATSD_RELAY_SPOOL_PATH": str(tmp_path / "a")}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(run(), env=environ, stdout=log, stderr=log)
        try:
            while not has_started(tmp_path):
                time.sleep(0.02)
            done = call("reload", env=here)
            assert done.returncode == 0
            assert f"asked process {process.pid} to reload; over the admin port it does not answer" in done.stdout
            while '"event": "reloaded"' not in (tmp_path / "log").read_text():
                time.sleep(0.02)
            bad = write(tmp_path / "bad.toml", f'[spool]\npath = "{tmp_path / "a"}"\n[limits]\nserie = 1\n')
            assert call("reload", "-c", bad).returncode == 78
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def test_a_change_needs_the_token(tmp_path):
    with running(tmp_path) as relay:
        status, body = body_of(relay, "/-/reload")
        assert (status, body["error"]["code"]) == (401, "unauthorized")
        assert body_of(relay, "/-/reload", Authorization="Bearer wrong-token-of-another")[0] == 401
        token = (tmp_path / "a" / "admin-token").read_text().strip()
        status, body = body_of(relay, "/-/reload?upgrad=1", Authorization=f"Bearer {token}")
        assert (status, body["error"]["fix"]) == (400, "the parameters are upgrade")
        status, body = body_of(relay, "/-/reload", Authorization=f"Bearer {token}")
        assert (status, body["generation"]) == (200, 2)
        (tmp_path / "a" / "admin-token").unlink()
        done = reload(relay)
        assert done.returncode == 71
        assert f"a change needs the token of the relay: {tmp_path}/a/admin-token: No such file" in done.stderr


def test_a_token_is_no_link_in_a_directory_that_another_user_could_have_named(tmp_path):
    (tmp_path / "lock").touch()
    (tmp_path / "secret").write_text("t" * 43)
    assert _is_trusted(tmp_path / "secret", tmp_path)
    (tmp_path / "admin-token").symlink_to(tmp_path / "secret")
    assert not _is_trusted(tmp_path / "admin-token", tmp_path)
    (tmp_path / "lock").unlink()
    assert not _is_trusted(tmp_path / "secret", tmp_path)


async def test_the_token_goes_to_the_relay_that_holds_the_directory_and_to_no_other(tmp_path):
    """A program on the usual port claims to be the relay of a directory that another one holds."""
    held = await asyncio.to_thread(StateDirectory.open, tmp_path / "a", encode_place(["127.0.0.1:1"], None))
    (tmp_path / "a" / "admin-token").write_text("t" * 43)
    claim = {"version": "9", "pid": os.getpid(), "worker": os.getpid(), "state_directory": str(tmp_path / "a")}

    async def answer(reader, writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps(claim).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        relay = await asyncio.to_thread(identify, server.sockets[0].getsockname())
        with pytest.raises(RelayError, match="its token is not sent there"):
            find_token(relay, None)
    finally:
        server.close()
        held.close()
