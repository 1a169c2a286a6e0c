"""Clients from PyPI that each have a module `statsd`, so each is installed in its own folder."""

from __future__ import annotations

import subprocess
import sys

from tests.support.node import DIRECTORY

APART = {"python_statsd": "python-statsd==3.0.0", "statsd_telegraf": "statsd-telegraf==3.2.1.post1"}


def path_of(client: str) -> str:
    """Return where Python finds a client's modules; "" for those of the test requirements. Install it if need be."""
    if client not in APART:
        return ""
    target = DIRECTORY / "pypi" / client
    if not target.is_dir():
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check")
        subprocess.run((*pip, "--target", str(target), APART[client]), check=True, capture_output=True, timeout=300)
    return str(target)
