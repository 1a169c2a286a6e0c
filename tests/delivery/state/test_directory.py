"""The state directory: private, checked, and locked against a second relay."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from relay.delivery.spool.errors import DiskTrouble
from relay.delivery.state.directory import Holder, StateDirectory, holder
from relay.errors import ExitCode, RelayError

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away: not tested")


def refused(path, code: str) -> str:
    with pytest.raises(RelayError, match=code) as caught:
        StateDirectory.open(path)
    assert caught.value.exit_code == ExitCode.BIND_OR_STATE
    return str(caught.value)


def test_it_is_made_private_and_holds_the_pid(tmp_path):
    state = StateDirectory.open(tmp_path / "a/b")
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a/b/lock").stat().st_mode & 0o777 == 0o600
    assert holder(tmp_path / "a/b") == Holder(os.getpid(), None)
    state.close()
    assert holder(tmp_path / "a/b") is None, "the file and its pid are still there"


def test_a_second_relay_is_refused_with_the_pid_of_the_first(tmp_path):
    (tmp_path / "lock").write_text("this is longer than a pid\n")
    first = StateDirectory.open(tmp_path)
    assert f"in use by the relay with pid {os.getpid()}" in refused(tmp_path, "RLY105")
    other = StateDirectory.open(tmp_path / "other")
    other.close()
    first.close()
    StateDirectory.open(tmp_path).close()


def test_the_lock_ends_with_its_process(tmp_path):
    code = (
        "import sys, os, pathlib; from relay.delivery.state.directory import StateDirectory;"
        "state = StateDirectory.open(pathlib.Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"held\n"
        assert f"pid {other.pid}" in refused(tmp_path, "RLY105")
        other.kill()
        other.wait()
        StateDirectory.open(tmp_path).close()


def test_the_lock_is_acquired_although_another_process_tests_it_at_that_moment(tmp_path):
    (tmp_path / "lock").touch()
    with (tmp_path / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        release = threading.Timer(0.015, fcntl.flock, (file, fcntl.LOCK_UN))
        release.start()
        state = StateDirectory.open(tmp_path)
        release.join()
    assert holder(tmp_path) == Holder(os.getpid(), None)
    state.close()


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_directory_that_others_can_write_into_is_refused(tmp_path, mode):
    path = tmp_path / "state"
    path.mkdir()
    path.chmod(mode)
    message = refused(path, "RLY104")
    assert f"{path} belongs to uid {os.geteuid()} and has mode {mode:04o}" in message
    assert f"fix: chmod 700 {path}" in message


def test_a_directory_that_others_can_read_is_accepted(tmp_path):
    tmp_path.chmod(0o755)
    StateDirectory.open(tmp_path).close()


@AS_ROOT
def test_a_directory_of_another_user_is_refused(tmp_path):
    path = tmp_path / "state"
    path.mkdir()
    os.chown(path, 65534, 65534)
    message = refused(path, "RLY104")
    assert f"{path} belongs to uid 65534 and has mode {path.stat().st_mode & 0o7777:04o}" in message
    assert "this relay runs as uid 0" in message
    assert f"chown -R 0 {path}" in message


@pytest.mark.parametrize("name", ["lock", "spool.db", "spool.db-wal", "spool.ballast", "dead-letters.ndjson"])
def test_links_under_names_of_the_relay_are_refused(tmp_path, name):
    target = tmp_path / "victim"
    target.write_text("untouched")
    (tmp_path / name).symlink_to(target)
    assert f"{tmp_path / name} is a symbolic link" in refused(tmp_path, "RLY104")
    assert target.read_text() == "untouched"


def test_foreign_files_are_left_alone(tmp_path):
    (tmp_path / "README").write_text("mine")
    (tmp_path / "link").symlink_to("/nowhere")
    StateDirectory.open(tmp_path).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README", "link", "lock"]


def test_the_directory_itself_may_be_a_link(tmp_path):
    """systemd's DynamicUser makes /var/lib/NAME one."""
    (tmp_path / "private").mkdir(mode=0o700)
    (tmp_path / "state").symlink_to("private")
    StateDirectory.open(tmp_path / "state").close()


def test_a_path_that_cannot_be_a_directory_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot use state directory" in refused(tmp_path / "file", "RLY101")
    assert "No such file or directory" in refused(Path("/proc/nope"), "RLY101")


@AS_ROOT
@pytest.mark.parametrize("name", ["spool.db", "spool.db-wal", "spool.ballast", "checkpoint-1764000000.srp"])
def test_a_file_of_another_user_is_refused(tmp_path, name):
    """It could not be opened, today or later: the relay would keep everything in memory for good."""
    file = tmp_path / name
    file.touch(mode=0o640)
    os.chown(file, 65534, 65534)
    message = refused(tmp_path, "RLY104")
    assert f"{file} belongs to uid 65534 and has mode 0640; this relay runs as uid 0" in message
    assert f"fix: chown 0 {file}" in message


def test_a_file_that_its_owner_may_not_write_is_refused(tmp_path):
    file = tmp_path / "spool.db"
    file.touch(mode=0o400)
    message = refused(tmp_path, "RLY104")
    assert "has mode 0400" in message
    assert f"fix: chmod 600 {file}" in message


@AS_ROOT
def test_files_of_others_that_are_not_needed_are_left_alone(tmp_path):
    for name in ("dead-letters-1.ndjson", "notes.txt"):
        (tmp_path / name).touch()
        os.chown(tmp_path / name, 65534, 65534)
    StateDirectory.open(tmp_path).close()


def trouble(state) -> str:
    with pytest.raises(DiskTrouble) as caught:
        state.check()
    assert str(state.path) in str(caught.value)
    return caught.value.reason


def test_a_renamed_directory_is_moved_until_it_is_back(tmp_path):
    state = StateDirectory.open(tmp_path / "state")
    state.check()
    state.path.rename(tmp_path / "away")
    assert trouble(state) == "moved"
    (tmp_path / "away").rename(state.path)
    state.check()
    state.close()


def test_a_removed_directory_is_certainly_removed(tmp_path):
    state = StateDirectory.open(tmp_path / "state")
    (state.path / "lock").unlink()
    state.path.rmdir()
    assert trouble(state) == "removed"
    state.path.mkdir(mode=0o700)
    assert trouble(state) == "removed", "told once more: what was in the old one is nowhere"
    state.check()
    assert holder(state.path) == Holder(os.getpid(), None)
    assert "in use" in refused(state.path, "RLY105")
    state.close()


def test_another_directory_in_its_place_must_be_as_safe(tmp_path):
    state = StateDirectory.open(tmp_path / "state")
    state.path.rename(tmp_path / "away")
    state.path.mkdir()
    state.path.chmod(0o777)
    assert trouble(state) == "moved"
    state.path.chmod(0o700)
    state.check()
    state.close()


@pytest.mark.parametrize("name", ["spool.db", "spool.db-wal", "spool.ballast", "checkpoint-1764000000.srp"])
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_a_pipe_or_directory_under_the_name_of_a_file_is_refused(tmp_path, name, make):
    """A pipe would keep the start waiting; a directory would keep it degraded for good."""
    make(tmp_path / name)
    assert f"{name} is no file" in refused(tmp_path, "RLY104")


@pytest.mark.parametrize("harm", ["in use", "others write", "a file"])
def test_a_resumed_directory_that_is_unusable_is_tried_again(tmp_path, harm):
    """It was accepted before, so a worker that follows another one does not end because of it."""
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    other = StateDirectory.open(path) if harm == "in use" else None
    if harm == "others write":
        path.chmod(0o777)
    elif harm == "a file":
        path.rmdir()
        path.write_text("")
    state = StateDirectory.resume(path)
    assert trouble(state) == "unusable"
    with pytest.raises(OSError, match="RLY10"):
        state.ensure()
    if other:
        other.close()
    elif harm == "others write":
        path.chmod(0o700)
    else:
        path.unlink()
    state.check()
    state.ensure()
    assert "in use" in refused(path, "RLY105")
    state.close()
    assert trouble(state) == "unusable", "a thread that comes late does not lock it again"
    StateDirectory.open(path).close()
