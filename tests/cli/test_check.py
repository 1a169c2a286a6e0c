"""`check` finds what `run` finds, all of it at once, and no more."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.support.command import call

GOOD = '[cloud]\nregion = "cn-north-1"\naccess_key = "a"\nsecret_key = "b"\n'
KEYS = {"JDCLOUD_ACCESS_KEY_ID": "a", "JDCLOUD_SECRET_ACCESS_KEY": "b"}


def write(tmp_path, text: str):
    path = tmp_path / "relay.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def checked(*arguments, env=None) -> list[dict]:
    return json.loads(call("check", "--json", *arguments, env=env).stdout)["problems"]


def test_nothing_is_wrong(tmp_path):
    done = call("check", write(tmp_path, GOOD))
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


def test_what_was_checked_is_said_if_no_file_was_named():
    assert call("check", env={**KEYS, "JDCLOUD_REGION_ID": "cn-north-1"}) == (
        0, "ok\n", "no file: defaults and the environment\n"
    )  # fmt: skip


def test_a_variable_that_is_misspelt_is_an_error(tmp_path):
    done = call("check", write(tmp_path, GOOD), env={"STATSD_RELAY_CLOUD_REGIO": "x"})
    assert done.returncode == 78
    assert "did you mean STATSD_RELAY_CLOUD_REGION?" in done.stdout


BAD = {
    "no credentials and no region": ("", {}),
    "no region": ("", KEYS),
    "half of the credentials": ("", {"JDCLOUD_ACCESS_KEY_ID": "a", "JDCLOUD_REGION_ID": "cn-north-1"}),
    "a region that cannot be one": ("", {**KEYS, "JDCLOUD_REGION_ID": "cn north"}),
    "a region of the file": ('[cloud]\nregion = "cn north"\n', KEYS),
    "no authorities": ('[cloud]\nregion = "cn-north-1"\nca_file = "/nowhere.pem"\n', KEYS),
    "no place for the output": ('[cloud]\nprovider = "file"\nfile = "/nowhere/out"\n', {}),
    "no output": ('[cloud]\nprovider = "file"\n', {}),
    "a variable that is not set": ('[cloud]\nregion = "cn-north-1"\naccess_key = "${NOPE}"\nsecret_key = "b"\n', {}),
    "a file of a secret that is missing": (
        '[cloud]\nregion = "cn-north-1"\naccess_key = "a"\nsecret_key_file = "/nowhere"\n',
        {},
    ),
    "an unknown profile": ('[cloud]\nregion = "cn-north-1"\nprofile = "nope"\n', {}),
}


@pytest.mark.parametrize(("text", "environ"), BAD.values(), ids=BAD)
def test_what_stops_a_start_fails_a_check_with_the_same_words(text, environ, tmp_path):
    path = write(tmp_path, f'[spool]\npath = "{tmp_path}/state"\n{text}')
    (tmp_path / ".jdc").mkdir()
    (tmp_path / ".jdc/config").write_text("[default]\n" if "profile" in text else "")
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path) if "profile" in text else "/nonexistent", **environ}
    command = [sys.executable, "-m", "relay", "run", "-c", path]
    run = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=50, check=False)
    check = call("check", path, env=environ)
    assert (run.returncode, check.returncode) == (78, 78)
    errors = [line for line in run.stderr.splitlines() if " error RLY" in f" {line}"]
    assert errors
    for error in errors:
        assert error.partition("error ")[2] in check.stdout


def test_every_problem_at_once(tmp_path):
    text = """\
[listen]
allow = ["10.0.0.0/8", "nowhere", "10.0.0.0/33"]
[window]
seconds = 30
[cloud]
timeout = "soon"
[tags]
a = "1"
b = "2"
c = "3"
d = "4"
e = "5"
"""
    found = [(one["severity"], one["code"], one["line"]) for one in checked(write(tmp_path, text))]
    assert found == [
        ("error", "RLY102", 2),
        ("error", "RLY102", 2),
        ("error", "RLY102", 6),
        ("error", "RLY110", 0),
        ("error", "RLY110", 0),
        ("warning", "RLY102", 4),
        ("warning", "RLY303", 12),
    ]


def test_a_tag_that_is_too_long_for_its_place_is_never_sent(tmp_path):
    long = "x" * 200
    [problem] = checked(write(tmp_path, f'{GOOD}[tags]\nhost = "h"\na = "{long}"\nb = "{long}"\n'))
    assert (problem["code"], problem["key"]) == ("RLY303", "tags.b")
    assert problem["message"] == "tags.b is never sent: a, host come before it"
    assert long not in str(problem)


@pytest.mark.parametrize("prefix", ["", "statsd_relay", "a b"])
def test_four_tags_beside_the_host_are_sent(prefix, tmp_path):
    text = f'{GOOD}[names]\nprefix = "{prefix}"\n[tags]\na = "1"\nb = "2"\nc = "3"\nd = "4"\n'
    assert "RLY303" not in {problem["code"] for problem in checked(write(tmp_path, text))}


def test_a_warning_leaves_the_exit_code_at_0(tmp_path):
    done = call("check", write(tmp_path, GOOD.replace("north-1", "nort-1")))
    assert done.returncode == 0
    assert done.stdout.startswith(
        f"{tmp_path}/relay.toml:2:10 warning RLY102  cloud.region is none of the known regions"
    )
    assert done.stdout.endswith("0 errors, 1 warning\n")
    [of_a_variable] = checked(env={**KEYS, "JDCLOUD_REGION_ID": "cn-nort-1"})
    assert of_a_variable["severity"] == "warning"


def test_without_credentials_for_a_machine_that_has_none(tmp_path):
    path = write(tmp_path, '[cloud]\naccess_key = "${NOPE}"\nsecret_key_file = "/nowhere"\nregion = "cn-north-1"\n')
    assert call("check", path).returncode == 78
    done = call("check", "--without-credentials", path)
    assert (done.returncode, done.stdout) == (0, "ok\n")
    assert checked("--without-credentials", env={"JDCLOUD_REGION_ID": "cn north"})[0]["severity"] == "error"
    [region] = checked("--without-credentials")
    assert (region["severity"], region["message"]) == ("warning", "cloud.region is missing")
    broken = write(tmp_path, '[cloud]\ntimeout = "soon"\naccess_key = "${NOPE}"\nregion = "cn-north-1"\n')
    assert [problem["line"] for problem in checked("--without-credentials", broken)] == [2]


def test_the_output_file_is_checked_and_not_made(tmp_path):
    path = write(tmp_path, f'[cloud]\nprovider = "file"\nfile = "{tmp_path}/out"\n')
    assert call("check", path).returncode == 0
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    assert "cloud.file: cannot use" in call("check", path).stdout


def test_the_json_has_the_file_and_the_counts(tmp_path):
    path = write(tmp_path, "[cloud]\nregio = 1\n")
    done = call("check", "--json", path)
    answer = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (78, "")
    assert (answer["file"], answer["errors"], answer["warnings"]) == (str(path), 3, 0)
    problem = answer["problems"][0]
    assert (problem["code"], problem["line"], problem["fix"]) == ("RLY102", 2, "did you mean region?")


def test_a_file_that_cannot_be_read_is_78():
    done = call("check", "/nowhere.toml")
    assert (done.returncode, done.stderr) == (78, "")
    assert done.stdout.startswith("error RLY103  cannot read /nowhere.toml: No such file or directory")
