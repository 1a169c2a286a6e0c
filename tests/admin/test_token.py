"""The file with the token of the admin port, and who gets in with it."""

from __future__ import annotations

import asyncio
import stat

import pytest

from relay.admin.token import TOKEN_FILE, ensure_token, read_token, token_path
from relay.config.schema import AdminConfig
from tests.support.inprocess import open_relay


def test_the_first_start_makes_a_private_file(tmp_path):
    path = tmp_path / TOKEN_FILE
    token = ensure_token(path)
    assert (len(token), stat.S_IMODE(path.stat().st_mode)) == (43, 0o600)
    assert (ensure_token(path), read_token(path)) == (token, token)
    assert [one.name for one in tmp_path.iterdir()] == [TOKEN_FILE]


def test_a_token_of_ones_own(tmp_path):
    path = tmp_path / "given"
    path.write_text("  0123456789abcdef\n")
    assert ensure_token(path) == "0123456789abcdef"


@pytest.mark.parametrize("content", [b"", b"\n", b"0123456789abcde", b"0123456789 abcdef", b"\xff" * 20, b"x" * 300])
def test_a_file_that_cannot_be_a_token_is_refused_and_stays(tmp_path, content):
    path = tmp_path / "given"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="must have 16 to 256 characters"):
        ensure_token(path)
    assert path.read_bytes() == content


def test_the_place_of_the_file(tmp_path):
    given = AdminConfig(token_file="/run/secrets/token")
    assert str(token_path(given, tmp_path)) == "/run/secrets/token"
    assert token_path(AdminConfig(), tmp_path) == tmp_path / TOKEN_FILE
    assert token_path(AdminConfig(), None) is None


async def test_a_relay_has_the_token_of_its_state_directory(tmp_path):
    async with open_relay(tmp_path) as running:
        first = await asyncio.to_thread(read_token, tmp_path / TOKEN_FILE)
        assert running.relay.admin.guard.has_token
    async with open_relay(tmp_path):
        assert await asyncio.to_thread(read_token, tmp_path / TOKEN_FILE) == first


async def test_without_a_state_directory_there_is_no_token():
    async with open_relay(None) as running:
        assert not running.relay.admin.guard.has_token


async def test_a_bad_token_file_does_not_end_a_start(tmp_path, capsys):
    admin = AdminConfig(listen="127.0.0.1:0", token_file=str(tmp_path))
    async with open_relay(tmp_path / "state", admin=admin) as running:
        assert not running.relay.admin.guard.has_token
    assert "no admin token" in capsys.readouterr().out
