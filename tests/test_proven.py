"""The last configuration file that worked, in memory."""

from __future__ import annotations

import os

import pytest

from relay.proven import PROVEN, Proven

TEXT = '[cloud]\r\nsecret_key = "canary-s3cret"\n# ünïcode\n'


@pytest.fixture
def descriptor():
    descriptor = os.memfd_create("test")
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("text", [TEXT, "", "# long\n" * 100_000], ids=["short", "empty", "long"])
def test_what_was_written_last_is_read_as_it_was(text, descriptor):
    proven = Proven(descriptor)
    assert proven.read() is None
    for written in ("before that", "# longer, before that\n" * 1000, text):
        proven.write(written)
        assert Proven(descriptor).read() == written
    proven.write(None)
    assert proven.read() == text


def test_a_text_that_is_half_written_is_none(descriptor):
    proven = Proven(descriptor)
    proven.write(TEXT)
    whole = os.pread(descriptor, 1000, 0)
    for length in range(len(whole)):
        os.ftruncate(descriptor, length)
        assert proven.read() is None, length
    for changed in range(len(whole)):
        os.pwrite(descriptor, whole[:changed] + bytes([whole[changed] ^ 1]) + whole[changed + 1 :], 0)
        assert proven.read() is None, changed
    os.pwrite(descriptor, whole, 0)
    assert proven.read() == TEXT


def test_where_none_is_given_none_is_kept():
    for environ in ({}, {PROVEN: ""}, {PROVEN: "x"}, {PROVEN: "-1"}, {PROVEN: "99999"}):
        proven = Proven.take(environ)
        proven.write(TEXT)
        assert proven.read() is None
        assert PROVEN not in environ


def test_where_the_system_allows_no_such_file_nothing_is_kept(monkeypatch):
    def refuse(name: str) -> int:
        raise PermissionError(name)

    monkeypatch.setattr(os, "memfd_create", refuse)
    proven, environ = Proven.create(), {}
    proven.write(TEXT)
    proven.give(environ, above=3)
    assert (proven.read(), environ) == (None, {})
    proven.close()


def test_it_does_not_show_what_it_keeps(descriptor):
    proven = Proven(descriptor)
    proven.write(TEXT)
    assert repr(proven) == f"<Proven {descriptor}>"
