"""Credentials: the order, halves, files, profiles."""

from __future__ import annotations

import pytest

from relay.config.credentials import find_credentials
from relay.config.schema import CloudConfig, SpoolConfig
from relay.config.types import Secret
from relay.delivery.state.directory import state_directory
from relay.errors import ConfigError, ExitCode

ENV = {"JDCLOUD_ACCESS_KEY_ID": "env-ak", "JDCLOUD_SECRET_ACCESS_KEY": "env-sk", "JDCLOUD_REGION_ID": "cn-east-2"}
CLOUD = CloudConfig(access_key="conf-ak", secret_key=Secret("conf-sk"), region="cn-north-1")


@pytest.fixture
def home(tmp_path):
    (tmp_path / ".jdc").mkdir()
    path = tmp_path / ".jdc/config"
    path.write_text(
        "[default]\naccess_key = p-ak\nsecret_key = p%sk\nregion_id = cn-south-1\n"
        "[other]\naccess_key = o-ak\nsecret_key = o-sk\n"
    )
    path.chmod(0o600)
    return tmp_path


def found(cloud, environ, home):
    credentials = find_credentials(cloud, environ, home)
    return credentials.access_key, credentials.secret_key.reveal(), credentials.region


def test_the_order(home):
    assert found(CLOUD, ENV, home) == ("conf-ak", "conf-sk", "cn-north-1")
    assert found(CloudConfig(), ENV, home) == ("env-ak", "env-sk", "cn-east-2")
    assert found(CloudConfig(), {}, home) == ("p-ak", "p%sk", "cn-south-1")
    assert found(CloudConfig(region="cn-north-1"), {}, home) == ("p-ak", "p%sk", "cn-north-1")
    assert found(CloudConfig(profile="other", region="r"), {}, home) == ("o-ak", "o-sk", "r")
    (home / ".jdc/current").write_text("other\n")
    assert found(CloudConfig(region="r"), {}, home) == ("o-ak", "o-sk", "r")


def test_aliases_and_files(home, tmp_path):
    secret = tmp_path / "sk"
    secret.write_text("file-sk\n")
    secret.chmod(0o600)
    environ = {"JDCLOUD_ACCESS_KEY": "a", "JDCLOUD_SECRET_KEY_FILE": str(secret), "JDCLOUD_REGION": "r"}
    assert found(CloudConfig(), environ, home) == ("a", "file-sk", "r")
    assert found(CloudConfig(access_key="x", secret_key_file=str(secret), region="r"), {}, home) == (
        "x",
        "file-sk",
        "r",
    )


def test_a_secret_file_that_all_users_can_read_warns(home, tmp_path):
    secret = tmp_path / "sk"
    secret.write_text("x")
    secret.chmod(0o644)
    [warning] = find_credentials(
        CloudConfig(access_key="x", secret_key_file=str(secret), region="r"), {}, home
    ).warnings
    assert (warning.code, warning.severity) == ("RLY121", "warning")


@pytest.mark.parametrize(
    ("cloud", "environ", "words"),
    [
        (CloudConfig(), {}, "no credentials"),
        (CloudConfig(access_key="a", region="r"), ENV, "secret_key is missing"),
        (CloudConfig(), {"JDCLOUD_SECRET_ACCESS_KEY": "x", "JDCLOUD_REGION_ID": "r"}, "access_key is missing"),
        (CloudConfig(access_key="a", secret_key=Secret("b")), {}, "cloud.region is missing"),
        (CloudConfig(access_key="a", secret_key_file="/nowhere", region="r"), {}, "cannot read /nowhere"),
    ],
)
def test_what_is_missing_is_named(cloud, environ, words, tmp_path):
    with pytest.raises(ConfigError, match=words) as caught:
        find_credentials(cloud, environ, tmp_path)
    assert caught.value.exit_code == ExitCode.CONFIGURATION
    assert "demo" in str(caught.value) or "missing" in words or "read" in words


ILLEGAL = {
    "CANARY\nAK": 2,
    "CANARY\r\nAK": 2,
    "\n\nCANARY\nAK\n": 4,
    "CANARY\0AK": 1,
    "CANARY\tAK": 1,
    "\x1bCANARY": 1,
    "\ufeffCANARY": 1,
    "CANARY\u00e9": 1,
    "": 1,
    " \n": 1,
}
"""Contents of a file, and the line of the error."""


@pytest.mark.parametrize("key", ["access_key_file", "secret_key_file", "session_token_file"])
@pytest.mark.parametrize("content", ILLEGAL, ids=repr)
def test_a_file_that_holds_no_credential_is_refused_where_it_is_read(key, content, tmp_path):
    paths = {name: tmp_path / name for name in ("access_key_file", "secret_key_file", "session_token_file")}
    for path in paths.values():
        path.write_text("fine\n")
    paths[key].write_bytes(content.encode())
    with pytest.raises(ConfigError) as caught:
        find_credentials(CloudConfig(region="r", **{name: str(path) for name, path in paths.items()}), {}, tmp_path)
    [problem] = caught.value.problems
    assert (problem.code, problem.source, problem.line) == ("RLY103", str(paths[key]), ILLEGAL[content])
    assert caught.value.exit_code == ExitCode.CONFIGURATION
    assert "CANARY" not in str(caught.value) + caught.value.brief()


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * 70_000])
def test_a_file_that_is_no_text_or_has_no_end_is_refused(content, tmp_path):
    (tmp_path / "sk").write_bytes(content)
    with pytest.raises(ConfigError, match="RLY103"):
        find_credentials(CloudConfig(access_key="a", secret_key_file=str(tmp_path / "sk"), region="r"), {}, tmp_path)
    with pytest.raises(ConfigError, match="RLY103"):
        find_credentials(CloudConfig(access_key="a", secret_key_file="a\0b", region="r"), {}, tmp_path)


@pytest.mark.parametrize("name", ["JDCLOUD_ACCESS_KEY_ID", "JDCLOUD_SECRET_ACCESS_KEY", "JDCLOUD_SESSION_TOKEN"])
@pytest.mark.parametrize("value", ["CANARY\nAK", "CANARY\x7f", "\udcffCANARY"], ids=repr)
def test_a_variable_that_holds_no_credential_is_refused_by_its_name(name, value, tmp_path):
    with pytest.raises(ConfigError, match=f"RLY103  {name}") as caught:
        find_credentials(CloudConfig(), {**ENV, name: value}, tmp_path)
    assert "CANARY" not in str(caught.value) + caught.value.brief()
    assert find_credentials(CloudConfig(), {**ENV, name: "fine\n"}, tmp_path).access_key in ("fine", "env-ak")


@pytest.mark.parametrize("region", ["cn north", "cn/../x", "cn\nx"])
def test_a_region_that_is_no_part_of_a_host_is_refused(region, tmp_path):
    with pytest.raises(ConfigError, match=r"(?i)region"):
        find_credentials(CloudConfig(), {**ENV, "JDCLOUD_REGION_ID": region}, tmp_path)


def test_a_profile_is_checked_too_and_its_lines_are_never_shown(home):
    path = home / ".jdc/config"
    for text, line in (
        ("[default]\naccess_key = a\nsecret_key = CANARY\n  CANARY\n", 3),
        ("[default]\naccess_key = a\nCANARY without a sign\n", 3),
        ("secret_key = CANARY\n", 1),
        ("[default]\nsecret_key = CANARY\nsecret_key = CANARY\n", 3),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError) as caught:
            find_credentials(CloudConfig(region="r"), {}, home)
        [problem] = caught.value.problems
        assert (problem.code, problem.source, problem.line) == ("RLY103", str(path), line)
        assert "CANARY" not in str(caught.value) + caught.value.brief()


def test_a_profile_that_is_not_there(home):
    with pytest.raises(ConfigError, match="RLY103"):
        find_credentials(CloudConfig(profile="nope"), {}, home)
    (home / ".jdc/config").write_text("not ini")
    with pytest.raises(ConfigError, match="RLY103"):
        find_credentials(CloudConfig(), {}, home)


def test_the_state_directory(tmp_path):
    assert state_directory(SpoolConfig(path="none"), {}, tmp_path) is None
    assert state_directory(SpoolConfig(path=str(tmp_path)), {"STATE_DIRECTORY": "/x"}, tmp_path) == tmp_path
    given = {"STATE_DIRECTORY": f"{tmp_path}:/y"}
    assert state_directory(SpoolConfig(), given, None) == tmp_path / "state"
    (tmp_path / "spool.db").touch()
    assert state_directory(SpoolConfig(), given, None) == tmp_path, "an earlier release kept it there"
