"""Which relay a command asks, and which file it reads: real relays on one machine, of one user and of another."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress

import pytest

from relay import config
from relay.cli.running.places import find_places
from relay.delivery.state.directory import Holder, StateDirectory, encode_place, holder
from tests.cli.test_surroundings import AS_IT, finish
from tests.support.command import call
from tests.support.relay import RelayProcess, environment, free_port, relay_process, run

RELAY = (sys.executable, "-m", "relay")


@contextmanager
def running(tmp_path, name="a", *arguments, command=(), **settings):
    """Run a relay without a cloud, with a window that does not close, and its state and log named after it."""
    environ = environment("http://127.0.0.1:1", tmp_path / name, WINDOW_SECONDS="3600", **settings)
    with relay_process(environ, tmp_path / f"{name}.log", command=(*command, *run(*arguments))) as relay:
        yield relay


def admin_of(relay: RelayProcess) -> dict[str, str]:
    return {"STATSD_RELAY_ADMIN_LISTEN": relay.admin}


def write(path, text: str):
    path.write_text(text)
    return path


def test_each_of_two_relays_is_asked_by_its_address_its_file_and_its_directory(tmp_path):
    with running(tmp_path, "a", TAGS="host=a") as a, running(tmp_path, "b", TAGS="host=b") as b:
        for relay, name in ((a, "a"), (b, "b")):
            file = write(tmp_path / f"{name}.toml", f'[admin]\nlisten = "{relay.admin}"\n')
            ways = (("--admin", relay.admin), ("-c", file))
            source = f"relay {relay.admin} {name} pid {relay.process.pid}, no file generation 1\n"
            for way in ways:
                done = call("dead", "list", *way)
                assert (done.returncode, done.stderr) == (0, source)
                assert done.stdout.startswith(f"0 dead letters in {tmp_path / name}, ")
            assert call("healthcheck", env=admin_of(relay)) == (0, "ok\n", source)
            # Its port is not known here, and its state directory is.
            found = json.loads(
                call("spool", "stat", "--json", env={"STATSD_RELAY_SPOOL_PATH": str(tmp_path / name)}).stdout
            )
            assert (found["pid"], found["source"]["relay"]) == (relay.process.pid, relay.admin)


def test_another_relay_is_not_asked_in_place_of_the_one_that_is_named(tmp_path):
    """The usual port has a relay, the named one has none."""
    with running(tmp_path) as relay:
        silent = f"127.0.0.1:{free_port()}"
        file = write(tmp_path / "b.toml", f'[admin]\nlisten = "{silent}"\n[spool]\npath = "{tmp_path / "b"}"\n')
        for way, env in ((("--admin", silent), {}), (("-c", file), {}), ((), {"STATSD_RELAY_ADMIN_LISTEN": silent})):
            done = call("healthcheck", *way, env={**env, "STATSD_RELAY_DEFAULT_ADMIN_LISTEN": relay.admin})
            assert done.returncode == 69
            assert f"no relay answers on {silent} (Connection refused)" in done.stderr
        drop = call("dead", "drop", "--yes", "-c", file, env={"STATSD_RELAY_DEFAULT_ADMIN_LISTEN": relay.admin})
        assert (drop.returncode, f"no state directory {tmp_path / 'b'}" in drop.stderr) == (71, True)


def test_letters_are_changed_for_the_relay_of_the_named_file_only(tmp_path):
    with running(tmp_path) as relay:
        other = write(tmp_path / "other.toml", "")
        for command in (("drop", "--yes"), ("replay",)):
            done = call("dead", *command, "-c", other, env=admin_of(relay))
            assert done.returncode == 64
            assert f"it runs with no file, not with {other}" in done.stderr
        assert call("dead", "list", "-c", other, env=admin_of(relay)).returncode == 0, "the rest is for the relay"


def test_the_configuration_of_the_relay_is_used_and_not_that_of_the_shell(tmp_path):
    rules = json.dumps([{"match": "debug.**", "action": "drop"}])
    with running(tmp_path, RULE=rules, CLOUD_NAMESPACE="shop") as relay:
        here = {**admin_of(relay), "STATSD_RELAY_RULE": "[]", "STATSD_RELAY_CLOUD_NAMESPACE": "of_the_shell"}
        dropped = json.loads(call("explain", "debug.x:1|c", "--json", env=here).stdout)
        assert (dropped["reason"], dropped["source"]["relay"]) == ("rule", relay.admin)
        assert "shop/web" in call("explain", "web:1|c", env=here).stdout
        # A change is tried with the file that has it.
        change = write(tmp_path / "change.toml", '[[rule]]\nmatch = "web"\nmetric = "shop.web"\n')
        tried = call("explain", "web:1|c", "-c", change, env=admin_of(relay))
        assert "statsd/shop.web" in tried.stdout
        assert (
            tried.stderr
            == f"file {change}, not in force; relay {relay.admin} test pid {relay.process.pid}, no file generation 1\n"
        )


def test_what_is_in_force_has_its_origin_and_shows_no_secret(tmp_path):
    file = write(
        tmp_path / "relay.toml",
        '[cloud]\nnamespace = "shop"\naccess_key = "JDC_0123456789AB4F2A"\nsecret_key = "c4n4ry-hunter2"\n'
        'proxy = "http://u:c4n4ry-hunter2@127.0.0.1:9"\n'
        '[limits]\nseries = 5000\n[[rule]]\nmatch = "a.*"\n[tags]\nenv = "x"\n',
    )
    file.chmod(0o600)
    with running(tmp_path, "a", "-c", file) as relay:
        done = call("config", "show", env=admin_of(relay))
        assert done.stderr == f"relay {relay.admin} test pid {relay.process.pid}, {file} generation 1\n"
        answer = json.loads(call("config", "show", "--json", env=admin_of(relay)).stdout)
        api = json.loads(urllib.request.urlopen(f"http://{relay.admin}/api/v1/config").read())
        everything = json.loads(call("config", "show", "--all", "--json", env=admin_of(relay)).stdout)
    assert "c4n4ry" not in json.dumps(api) + done.stdout
    assert everything.pop("source")["sha256"] == answer["source"]["sha256"] != ""
    assert everything == api
    lines = done.stdout.splitlines()
    assert [line for line in lines if len(line) > 80 and "#" in line] == [], "a long value has its origin below it"
    assert [line for line in lines if line.startswith("limits.")] == [
        next(line for line in lines if "series = 5000" in line)
    ]
    assert re.search(r'^cloud.access_key = "JDC_..4F2A" +# relay.toml:3$', done.stdout, re.MULTILINE)
    assert re.search(r'^cloud.region = "cn-north-1" +# JDCLOUD_REGION_ID$', done.stdout, re.MULTILINE)
    rows = {row["key"]: row for row in answer["values"]}
    assert (rows["limits.series"]["value"], rows["limits.series"]["origin"]) == (5000, f"{file}:7")
    assert rows["rule.1.match"]["value"] == "a.*"
    assert rows["spool.path"]["value"] == str(tmp_path / "a")
    assert "limits.memory" not in rows


def test_the_key_in_force_has_its_variable(tmp_path):
    with running(tmp_path) as relay:
        shown = call("config", "show", env=admin_of(relay)).stdout
    assert re.search(r'^cloud.access_key = "[*]{3}" +# JDCLOUD_ACCESS_KEY_ID$', shown, re.MULTILINE)


def test_a_client_without_access_sees_the_version_alone(tmp_path):
    with running(tmp_path) as relay:
        foreign = urllib.request.Request(f"http://{relay.admin}/api/v1/", headers={"Host": "evil.example"})
        assert json.loads(urllib.request.urlopen(foreign).read()).keys() == {"version", *EMPTY}
        answer = json.loads(urllib.request.urlopen(foreign).read())
        assert {name: answer[name] for name in EMPTY} == EMPTY
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(f"http://{relay.admin}/api/v1/?x=1")
        foreign = urllib.request.Request(f"http://{relay.admin}/api/v1/config", headers={"Host": "evil.example"})
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(foreign)


EMPTY = {"host": "", "pid": 0, "worker": 0, "started": "", "file": "", "generation": 0, "since": "", "sha256": ""}
EMPTY = {**EMPTY, "state_directory": "", "refusals": 0, "refused": ""}


def test_a_relay_without_an_admin_port_is_found_by_its_directory(tmp_path):
    environ = environment("http://127.0.0.1:1", tmp_path / "a", ADMIN_LISTEN="")
    process = subprocess.Popen(run(), env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    here = {"STATSD_RELAY_SPOOL_PATH": str(tmp_path / "a")}
    try:
        while not (held := holder(tmp_path / "a")) or not held.main:
            time.sleep(0.02)
        source = f"relay pid {process.pid}, has no admin port\n"
        assert call("dead", "list", env=here).stderr == source
        done = call("healthcheck", env=here)
        assert done.returncode == 69
        assert f"the relay with pid {process.pid}: has no admin port" in done.stderr
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert "no relay answers" in call("dead", "list", env=here).stderr


def test_a_relay_that_hangs_is_told_apart_from_none(tmp_path):
    with running(tmp_path) as relay:
        os.kill(relay.worker_pid, signal.SIGSTOP)
        done = call("healthcheck", env={"STATSD_RELAY_SPOOL_PATH": str(tmp_path / "a"), **admin_of(relay)})
        assert done.returncode == 69
        assert f"the relay with pid {relay.process.pid}: does not answer on {relay.admin}" in done.stderr
        assert call("spool", "stat", env={"STATSD_RELAY_SPOOL_PATH": str(tmp_path / "a")}).returncode == 0


def test_a_relay_of_an_earlier_release_is_found_and_told_apart(tmp_path):
    """Its lock has the pid alone, as here."""
    with running(tmp_path) as relay:
        here = {"STATSD_RELAY_SPOOL_PATH": str(tmp_path / "a")}
        (tmp_path / "a" / "lock").write_text(f"{relay.worker_pid}\n")
        done = call("spool", "stat", env=here)
        assert done.stderr == f"relay pid {relay.process.pid}, an earlier release, which does not say its admin port\n"
        assert call("explain", "a:1|c", env=here).stderr.startswith("defaults, no file, not in force; relay pid ")
        assert call("explain", env=here).returncode == 69
        assert f"asked process {relay.process.pid} to reload" in call("reload", env=here).stdout


def test_the_lock_of_an_earlier_release_has_the_pid_alone(tmp_path):
    held = StateDirectory.open(tmp_path / "new", encode_place(["127.0.0.1:8126"], None))
    try:
        assert holder(tmp_path / "new") == Holder(os.getpid(), None, ("127.0.0.1:8126",), "")
        assert (tmp_path / "new" / "lock").read_bytes()[:20].strip() == str(os.getpid()).encode(), "as it reads it"
        (tmp_path / "new" / "lock").write_text("4711\n")
        assert holder(tmp_path / "new") == Holder(4711, None, None, "")
    finally:
        held.close()


@pytest.fixture
def open_folder(tmp_path):
    """A folder that every user can reach."""
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o711)
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o777)
    return tmp_path / "data"


def needs_root() -> None:
    if os.geteuid() or not shutil.which("setpriv"):
        assert "CI" not in os.environ, "root is expected here"
        pytest.skip("this user cannot become another one")


def test_root_and_another_user_ask_the_relay_of_a_service(open_folder):
    """It answers both; its state directory is for root and its own user."""
    needs_root()
    with running(open_folder, command=AS_IT) as relay:
        done = call("dead", "list", env=admin_of(relay))
        assert (done.returncode, done.stdout[:15]) == (0, "0 dead letters ")
        nobody = ("setpriv", "--reuid", "4711", "--regid", "4711", "--clear-groups", *AS_IT[6:])
        for command, code in ((("healthcheck",), 0), (("explain", "a:1|c"), 0), (("config", "show"), 0)):
            assert finish(*nobody, *RELAY, *command, environ=admin_of(relay)).returncode == code
        plain = ("setpriv", "--reuid", "4711", "--regid", "4711", "--clear-groups", "--bounding-set", "-all")
        if not finish(*plain, *RELAY, "--version", environ={}).returncode:
            refused = finish(*plain, *RELAY, "dead", "list", environ=admin_of(relay))
            assert refused.returncode == 71
            assert "as the relay's user or as root" in refused.stderr
            # As a missing file, one that cannot be read is an error of the configuration.
            closed = write(open_folder / "closed.toml", "")
            closed.chmod(0o600)
            for command in (("check",), ("explain", "a:1|c", "-c")):
                assert finish(*plain, *RELAY, *command, str(closed), environ=admin_of(relay)).returncode == 78


def test_a_directory_of_the_relay_that_is_not_on_this_machine(tmp_path):
    """As behind a published port of a container: the same path may be another directory here."""
    needs_root()
    with running(tmp_path) as relay:
        shutil.copytree(tmp_path / "a", tmp_path / "copy", ignore=shutil.ignore_patterns("*-shm"))
        mount = f'mount --bind {tmp_path / "copy"} {tmp_path / "a"} && exec "$@"'
        words = ("unshare", "--mount", "sh", "-c", mount, "sh", *RELAY, "dead", "list")
        done = finish(*words, environ=admin_of(relay))
    assert done.returncode == 71
    assert f"the relay on test does not use {tmp_path / 'a'} of this machine" in done.stderr


IN_A_CONTAINER = """
mount -t tmpfs none /etc && mkdir /etc/statsd-relay && cp "$0" /etc/statsd-relay/relay.toml && exec "$@"
"""


def in_a_container(file, *command: str, **environ: str):
    """Run a command where `file` is the default file."""
    own = {"PATH": os.environ["PATH"], **environ}
    words = ("unshare", "--mount", "sh", "-c", IN_A_CONTAINER, file, *RELAY, *command)
    return subprocess.run(words, env=own, capture_output=True, text=True, timeout=60, check=False)


def test_the_default_file_is_that_of_every_command(tmp_path):
    needs_root()
    file = write(tmp_path / "x.toml", f'[cloud]\nnamespace = "shop"\n[admin]\nlisten = "127.0.0.1:{free_port()}"\n')
    shown = in_a_container(file, "explain", "a:1|c")
    assert "shop/a" in shown.stdout
    assert shown.stderr.startswith("file /etc/statsd-relay/relay.toml; no relay answers on 127.0.0.1:")
    rows = json.loads(in_a_container(file, "config", "show", "--json").stdout)
    assert rows["source"]["file"] == "/etc/statsd-relay/relay.toml"
    write(file, "[cloud]\nregio = 1\n")
    for command in ("run", "check", "config show"):
        done = in_a_container(file, *command.split())
        assert done.returncode == 78
        said = done.stdout + done.stderr
        assert "/etc/statsd-relay/relay.toml:2:1 error RLY102  unknown key regio in [cloud]" in said


def test_a_default_file_that_cannot_be_looked_at_is_not_taken_for_none(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "DEFAULT_FILE", tmp_path / "nowhere.toml")
    assert config.find_file(None) is None
    assert find_places(None, {}).addresses == (("127.0.0.1", 8126), ("::1", 8126))
    monkeypatch.setattr(config, "DEFAULT_FILE", tmp_path)
    assert config.find_file(None) == tmp_path
    assert find_places(None, {}).unreadable == f"cannot read {tmp_path}: Is a directory"


SHIPPED = """
[cloud]
region = "cn-north-1"
access_key = "${ACCESS_KEY}"
secret_key_file = "${CREDENTIALS_DIRECTORY}/jdcloud"
[spool]
path = "%s"
"""


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("explain", "a:1|c"), 0),
        (("config", "show"), 0),
        (("dead", "list"), 0),
        (("spool", "stat"), 0),
        (("reload",), 69),
        (("healthcheck",), 69),
        (("explain",), 69),
        (("capture", "x.pcap"), 69),
        (("compare",), 69),
        (("check",), 78),
        (("run",), 78),
    ],
)
def test_credentials_of_the_service_are_not_needed_to_send_nothing(tmp_path, command, code):
    with running(tmp_path):
        pass
    file = write(tmp_path / "relay.toml", SHIPPED % (tmp_path / "a"))
    way = (str(file),) if command == ("check",) else ("-c", str(file))
    done = finish(*RELAY, *command, *way, environ={})
    assert done.returncode == code, done.stdout + done.stderr
    if code == 78:
        assert "variable CREDENTIALS_DIRECTORY is not set" in done.stdout + done.stderr


def test_another_variable_that_is_not_set_stays_an_error(tmp_path):
    file = write(tmp_path / "relay.toml", '[cloud]\nnamespace = "${NAMESPACE}"\n')
    done = call("config", "show", "-c", file)
    assert (done.returncode, "variable NAMESPACE is not set" in done.stderr) == (78, True)


def test_an_error_in_the_file_does_not_keep_a_command_from_the_relay(tmp_path):
    with running(tmp_path) as relay:
        file = write(tmp_path / "relay.toml", f'[admin]\nlisten = "{relay.admin}"\n[cloud]\nregio = 1\n')
        assert call("dead", "list", "-c", file).returncode == 0
        assert call("healthcheck", "-c", file).returncode == 0
        assert call("config", "show", "-c", file).returncode == 78, "it answers for the file"
        write(file, f'[cloud]\nregion = cn-north-1\n[admin]\nlisten = "{relay.admin}"\n[spool]\npath = [\n')
        assert call("status", "-c", file).returncode == 0, "tables beside the mistake are read"
        write(file, f'[admin]\nlisten = "{relay.admin}"\nhosts = [\n')
        assert call("status", "-c", file).returncode == 0, "lines beside the mistake are read"
    assert call("dead", "list", "-c", tmp_path / "nowhere").returncode == 78


def test_a_shell_without_home_finds_a_relay(tmp_path):
    with running(tmp_path) as relay, suppress(KeyError):
        done = finish(*AS_IT[:0], *RELAY, "healthcheck", environ=admin_of(relay))
        assert done.returncode == 0
