"""A command in this process: its output and exit code, without the second that a process needs to start.

It serves commands that end by themselves; relay.py starts `run` as a process.
"""

from __future__ import annotations

import io
import os
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple
from unittest import mock

import structlog

from relay.cli import cli, finish


class Done(NamedTuple):
    """The result of a command."""

    returncode: int
    stdout: str
    stderr: str


def call(*arguments: object, env: dict[str, str] | None = None, stdin: str = "") -> Done:
    """Run a command with the environment `env` only; its log is part of the output."""
    out, err, log = io.StringIO(), io.StringIO(), structlog.get_config()
    base = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    words = list(map(str, arguments))
    with (
        mock.patch.dict(os.environ, {**base, **(env or {})}, clear=True),
        mock.patch("sys.stdin", io.StringIO(stdin)),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        code = _finish(words)
    structlog.configure(**log)
    assert "Traceback" not in out.getvalue() + err.getvalue()
    return Done(code, out.getvalue(), err.getvalue())


def _finish(words: list[str]) -> int:
    try:
        finish(lambda: cli.main(words, prog_name="statsd-relay", standalone_mode=False))
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0
