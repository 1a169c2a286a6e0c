"""Reads of a path are bounded: a pipe, a device and an endless file are read up to a limit, or refused."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from relay.config import secret_files
from relay.config.secret_files import read_bounded, read_secret
from relay.config.toml import places
from relay.config.toml.places import read_bytes, read_text
from relay.errors import ConfigError

READERS = {
    "configuration": read_text,
    "secret": lambda path: read_secret(str(path), []),
    "watched": lambda path: read_bytes(path).decode(),
}


@pytest.fixture
def hurried(monkeypatch):
    """The wait for a pipe is short."""
    for module in (places, secret_files):
        monkeypatch.setattr(module, "read_bounded", lambda path, most, **_: read_bounded(path, most, timeout=0.2))


@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_that_nothing_is_written_into_is_not_waited_for_without_end(reader, hurried, tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    began = time.monotonic()
    with pytest.raises(ConfigError, match=r"RLY103.*cannot read .*pipe: it is a pipe"):
        READERS[reader](tmp_path / "pipe")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("reader", READERS)
def test_what_comes_through_a_pipe_is_read(reader, tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("canary",))
    writer.start()
    assert READERS[reader](tmp_path / "pipe") == "canary"
    writer.join()


def test_no_more_is_read_than_was_asked_for():
    assert read_bounded(Path("/dev/zero"), 100_000) == bytes(100_000)
    with pytest.raises(ConfigError, match=r"RLY103.*longer than"):
        read_text(Path("/dev/zero"))
