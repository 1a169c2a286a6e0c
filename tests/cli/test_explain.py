"""`explain` as a user meets it: real processes, exact output."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from relay.cli import COMMANDS
from relay.cli.pages import pages
from relay.config.schema import Config
from relay.errors import CODES
from tests.cli.test_commands import run

if TYPE_CHECKING:
    import subprocess


def explain(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return run("explain", *arguments, env=env)


PAGES = pages()


def test_every_code_has_a_page_and_no_other():
    assert list(PAGES) == list(CODES)
    assert all(page.causes and page.remedies for page in PAGES.values())


def test_pages_name_commands_and_keys_that_exist():
    text = "\n".join(entry for page in PAGES.values() for part in page for entry in part)
    commands = set(re.findall(r"`statsd-relay (\w+)", text))
    assert commands
    assert commands <= set(COMMANDS)
    keys = {(table, key) for table, key in re.findall(r"\[(\w+)\] (\w+)", text) if table != "tags"}
    config = Config()
    assert len(keys) > 10
    assert {(table, key) for table, key in keys if not hasattr(getattr(config, table), key)} == set()


def test_a_code_prints_its_page():
    done = explain("rly121")
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        done.stdout
        == """\
RLY121  A secret file can be read by every user of this machine.

usual causes
  - The file with the secret key has a mode such as 0644.
  - In Kubernetes, a Secret is mounted with the default mode.

what to do
  - chmod 600 FILE, owned by the relay's user.
  - In Kubernetes: defaultMode: 0400 at the volume, and fsGroup or runAsUser for the relay.
"""
    )
    page = json.loads(explain("RLY121", "--json").stdout)
    assert page == {"code": "RLY121", "meaning": CODES["RLY121"], **PAGES["RLY121"]._asdict()}


@pytest.mark.parametrize("code", ["RLY999", "RLY", "rly1"])
def test_a_code_that_does_not_exist(code):
    done = explain(code)
    assert done.returncode == 64
    assert f"there is no code {code.upper()}; there are RLY101, " in done.stderr
