"""No error of a configuration file shows a secret in it, for any mistake and any key (I10)."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.config import render
from relay.config.loading import load
from relay.config.schema import CloudConfig
from relay.errors import ConfigError

CANARY = "c4n4ry-hunter2"
KEYS = [*CloudConfig.__struct_fields__]
MISSPELT = ["secretkey", "secret_access_key", "secret-key", "Secret_Key", "password", "token", "api_key", "prxy"]

LINES = (
    '{key} = "{secret}',
    "{key} = '{secret}",
    "{key} = {secret}",
    "{key} {secret}",
    '{key}: "{secret}"',
    '{key} = "{secret}" x',
    '{key} = ["{secret}"',
    '{key} = """\n{secret}\n',
    '{key} = """\n{secret}=\nx" y',
    '{key} = """x"""\n{secret} = 5 5\n',
    '{key} = "x"\n{secret}\n',
    '{key} = "x"\n[{secret}\n',
    '{key} = "\\q{secret}"',
    '{key} = "{secret}"\n{key} = "{secret}"',
    '"{key}" = "{secret}',
    '{key} = ["{secret}"]',
    '{key} = {{ a = "{secret}" }}',
    '{key} = """\n{secret}\n"""',
    "{key} = 5 # {secret}",
)
"""Mistakes on a line; the last ones are valid TOML."""
TABLES = (
    "[cloud]\n{}\n",
    "[clud]\n{}\n",
    "{}\n",
    "[[cloud]]\n{}\n",
    "[tags]\n{}\n",
    "[log]\n{}\n",
    "cloud.{}\n",
    "log.{}\n",
)


def told(tmp_path, text: str, environ=None) -> str:
    """Every message about a file, in every form."""
    path = tmp_path / "relay.toml"
    path.write_text(text)
    try:
        loaded = load(path, environ or {})
    except ConfigError as error:
        return str(error) + error.brief() + json.dumps([asdict(problem) for problem in error.problems])
    return "".join(str(problem) + problem.brief() for problem in loaded.warnings)


@pytest.mark.parametrize("table", TABLES, ids=repr)
@pytest.mark.parametrize("line", LINES, ids=repr)
def test_no_problem_of_a_file_shows_the_secret(table, line, tmp_path):
    for key in ("secret_key", "proxy", "timeout", "region", *MISSPELT):
        text = table.format(line.format(key=key, secret=CANARY))
        assert CANARY not in told(tmp_path, text), text


@pytest.mark.parametrize("key", KEYS)
def test_no_key_of_the_cloud_shows_what_stands_in_its_line(key, tmp_path):
    for line in ('{key} = "{secret}', "{key} = {secret}", '{key} = ["{secret}"]', '{key} = "{secret}\\u0000"'):
        text = f"[cloud]\n{line.format(key=key, secret=CANARY)}\n"
        assert CANARY not in told(tmp_path, text), text


GOOD = f'[cloud]\nregion = "r"\nsecret_key = "{CANARY}"\nproxy = "http://u:{CANARY}@h:1"\ntimeout = "2s"\n'
SIGNS = st.sampled_from(["", '"', "'", "=", "\n", "[", "]", ".", "#", ",", "{", " ", '"""'])
PARTS = [CANARY[at : at + 6] for at in range(len(CANARY) - 5)]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 3), SIGNS), min_size=1, max_size=4))
def test_no_mutation_of_a_file_shows_the_secret(changes):
    """A valid file with some characters removed or added; no part of the secret is shown."""
    text = GOOD
    for at, cut, sign in changes:
        text = text[:at] + sign + text[at + cut :]
    with tempfile.TemporaryDirectory() as directory:
        said = told(Path(directory), text)
    assert not [part for part in PARTS if part in said], text


URLS = (f"http://u:{CANARY}@127.0.0.1:9", f"http://{CANARY}@h:1", f"http://u:{CANARY}@x@h:1")


@pytest.mark.parametrize("url", URLS)
def test_user_and_password_of_a_url_are_masked(url, tmp_path):
    path = tmp_path / "relay.toml"
    path.write_text(f'[cloud]\nproxy = "{url}"\n[tags]\nrepository = "{url}"\n')
    loaded = load(path, {})
    shown = json.dumps(render.in_force(loaded.config, loaded.origins))
    assert CANARY not in shown
    assert "***@" in shown
    assert CANARY not in told(tmp_path, f'[log]\nlevel = "{url}"\n')
    assert CANARY not in told(tmp_path, "", {"STATSD_RELAY_CLOUD_ENDPOINT": url, "STATSD_RELAY_LOG_LEVEL": url})
