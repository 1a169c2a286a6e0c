"""The npm packages that tests and benchmarks compare with, installed once beside the sources."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

CLIENTS = Path(__file__).parents[1] / "clients"
DIRECTORY = CLIENTS.parents[1] / ".clients"


def has_node() -> bool:
    return shutil.which("npm") is not None


def expect_node() -> None:
    """Skip the test without node, or fail if node is expected."""
    import pytest  # benchmarks have none

    if not has_node():
        assert "RELAY_EXPECT_NODE" not in os.environ, "node is expected here and absent"
        pytest.skip("node is not installed")


def install() -> Path:
    """Return node_modules; install the packages of package.json if they are missing.

    Only unix-dgram, which hot-shots needs for Unix sockets, may run its script: it compiles.
    """
    modules, wanted, had = DIRECTORY / "node_modules", CLIENTS / "package.json", DIRECTORY / "package.json"
    DIRECTORY.mkdir(exist_ok=True)
    with (DIRECTORY / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        _install(modules, wanted, had)
    return modules


def _install(modules: Path, wanted: Path, had: Path) -> None:
    if not modules.is_dir() or not had.is_file() or had.read_bytes() != wanted.read_bytes():
        quiet = ("--no-audit", "--no-fund", "--no-package-lock")
        shutil.copy(wanted, had)
        _npm("install", "--ignore-scripts", *quiet)
        _npm("rebuild", "unix-dgram")


def _npm(*arguments: str) -> None:
    subprocess.run(("npm", *arguments), cwd=DIRECTORY, check=True, capture_output=True, timeout=300)
