"""A log whose reader is slow or gone: no line blocks, and lost lines are reported."""

from __future__ import annotations

import io
import json
import os

import pytest

from relay.supervisor.log import LogStream
from relay.wording import number


@pytest.fixture
def pipe():
    reads, writes = os.pipe()
    stream = open(writes, "w")  # noqa: PTH123, SIM115 - a descriptor, closed below
    yield reads, stream
    os.close(reads)
    stream.close()


@pytest.mark.parametrize("is_text", [True, False])
def test_a_full_pipe_does_not_block_and_lost_lines_are_reported(pipe, is_text):
    reads, stream = pipe
    log = LogStream(stream, is_text=is_text)
    for at in range(3000):
        log.write(f"line {at:04} {'x' * 90}\n")
    lines = os.read(reads, 1 << 20).decode().splitlines()
    assert len(lines) < 3000
    log.write("now\n")
    told, now = os.read(reads, 1 << 20).decode().splitlines()
    assert now == "now"
    lost = 3000 - len(lines)
    assert (
        (told[10:] == f"warning  log lines are lost, their reader is too slow  log lines {number(lost)}")
        if is_text
        else (json.loads(told)["log_lines"] == lost)
    )


def test_a_closed_pipe_or_full_disk_ends_no_process():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        LogStream(full, is_text=True).write("lost\n")
    other, writes = os.pipe()
    os.close(other)
    with open(writes, "w") as broken:  # noqa: PTH123
        LogStream(broken, is_text=True).write("lost\n")


def test_every_character_is_written_whatever_the_encoding_of_the_stream(pipe):
    reads, stream = pipe
    stream.reconfigure(encoding="ascii")
    LogStream(stream, is_text=True).write("hot path native · uvloop \udcff\n")
    assert os.read(reads, 100) == "hot path native · uvloop \\udcff\n".encode()


def test_a_stream_in_memory_loses_nothing():
    stream = io.StringIO()
    LogStream(stream, is_text=True).write("a\nb\nc")
    assert stream.getvalue() == "a\nb\n"
