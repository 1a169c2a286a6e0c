"""The npm packages that tests and benchmarks compare with, installed once beside the sources."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

CLIENTS = Path(__file__).parents[1] / "clients"
DIRECTORY = CLIENTS.parents[1] / ".clients"


def has_node() -> bool:
    return shutil.which("npm") is not None


def install() -> Path:
    """Return node_modules; install it if it is not there."""
    modules = DIRECTORY / "node_modules"
    if not (modules / "statsd").is_dir():
        DIRECTORY.mkdir(exist_ok=True)
        shutil.copy(CLIENTS / "package.json", DIRECTORY)
        command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
        subprocess.run(command, cwd=DIRECTORY, check=True, capture_output=True, timeout=300)
    return modules
