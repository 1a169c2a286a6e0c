"""The JSON Schema accepts the files that load, and refuses those with unknown keys and wrong types."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config import render
from relay.config.json_schema import json_schema
from relay.config.loading import examine, load
from relay.config.types import to_toml
from relay.errors import ConfigError
from relay.tools.importers import convert
from tests.config.test_messages import BROKEN, MISTYPED
from tests.support.command import call

SCHEMA = json_schema()
ALL = [*render.keys()]
VALID = jsonschema_rs.Draft202012Validator(SCHEMA)
ROOT = Path(__file__).parents[2]
UNCOMMENTED = re.sub(r"^#(?: (\[\[)|  ( \w+ = )| (\w+ = ))", r"\1\2\3", render.example(), flags=re.MULTILINE)


def test_it_is_a_schema_of_its_dialect():
    jsonschema_rs.meta.validate(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_command_prints_it():
    done = call("config", "schema")
    assert (done.returncode, json.loads(done.stdout)) == (0, SCHEMA)


@pytest.mark.parametrize("text", ["", render.example(), UNCOMMENTED], ids=["empty", "example", "uncommented"])
def test_the_example_is_valid(text):
    assert not [str(error) for error in VALID.iter_errors(tomllib.loads(text))]


def test_every_key_has_its_help_default_and_choices():
    for key in ALL:
        table = SCHEMA["properties"][key.table]
        if not key.name:
            assert table["description"] == key.help
            continue
        found = table.get("items", table)["properties"][key.name]
        assert found["description"] == key.help
        assert found["default"] == tomllib.loads(f"x = {to_toml(key.default)}")["x"]
        assert all(json.dumps(choice) in json.dumps(found) for choice in key.choices)


DOCUMENTS = "\n".join(path.read_text() for path in (ROOT / "README.md", *ROOT.glob("deploy/*.md")))
BLOCKS = re.findall(r"^```toml\n(.*?)^```", DOCUMENTS, re.MULTILINE | re.DOTALL)
SAMPLES = [path for path in (ROOT / "tests/tools/importers/samples").iterdir() if path.is_file()]


@pytest.mark.parametrize("text", BLOCKS, ids=range(len(BLOCKS)))
def test_every_file_of_the_documents_is_valid(text):
    assert not [str(error) for error in VALID.iter_errors(tomllib.loads(text))]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_every_imported_file_is_valid(path):
    try:
        text = convert(path.read_text(), source=path.name).toml()
    except ConfigError:
        pytest.skip("no configuration of a daemon by itself")
    assert not [str(error) for error in VALID.iter_errors(tomllib.loads(text))]


CASES = [
    *((key, value, False) for key, (value, _) in MISTYPED.items()),
    *((k, v, True) for k, (v, _) in BROKEN.items()),
]


@pytest.mark.parametrize(("key", "value", "is_valid"), CASES)
def test_a_value_of_the_wrong_type_is_refused_and_one_that_breaks_a_rule_is_left_to_check(key, value, is_valid):
    table, name = key.split(".")
    assert VALID.is_valid(tomllib.loads(f"[{table}]\n{name} = {to_toml(value)}")) == is_valid


@pytest.mark.parametrize(
    "text",
    [
        "[clod]\n",
        "[cloud]\nregio = 'x'\n",
        "[tags]\na = 5\n",
        "[tags]\n'a b' = 'x'\n",
        "[rule]\nmatch = 'a'\n",
        "[[rule]]\nmach = 'a'\n",
        "[[rule]]\nmatch = 'a'\ntype = 'meter'\n",
        "[window]\nhistogram = [{ metric = 'a' }]\n",
        "[listen]\nudp = 'x'\n",
        "[listen]\ndialects = ['nagios']\n",
    ],
)
def test_what_does_not_load_by_its_shape_is_refused(text):
    assert not VALID.is_valid(tomllib.loads(text))
    with pytest.raises(ConfigError):
        load(Path("relay.toml"), {}, text=text)


WORDS = st.sampled_from(["", "auto", "native", "10s", "5 m", "8MiB", "1.5 kB", "${X:-info}", "info", "v2", "none"])
NUMBERS = st.integers(0, 70_000) | st.floats(0, 1e4)
VALUES = st.one_of(WORDS, NUMBERS, st.booleans(), st.lists(WORDS, max_size=2), st.lists(NUMBERS, max_size=2))
KEYS = [f"{key.table}.{key.name}" for key in ALL if key.table not in ("rule", "tee", "tags")]


@given(st.sampled_from(KEYS), VALUES)
def test_what_loads_is_valid(key, value):
    """The schema never marks a working file as wrong; a rule beyond types may refuse a file that it accepts."""
    table, name = key.split(".")
    text = f"[{table}]\n{name} = {to_toml(value)}\n"
    if not examine(Path("relay.toml"), {}, text=text).errors:
        assert VALID.is_valid(tomllib.loads(text)), text
