"""Deployment files without a container engine: copied files exist, commands work, ports and users agree."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
import yaml
from packaging.requirements import Requirement

from relay.cli import COMMANDS, cli
from relay.config.environment import DEFAULTS, variables
from relay.config.loading import load

ROOT = Path(__file__).parents[2]
INSTRUCTIONS = [
    line.split(maxsplit=1)
    for line in re.sub(r"\\\n\s*", " ", (ROOT / "deploy/Dockerfile").read_text()).splitlines()
    if line and not line.startswith("#")
]
FINAL = INSTRUCTIONS[max(n for n, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM") :]
ENV = dict(pair.split("=", 1) for word, rest in FINAL if word == "ENV" for pair in shlex.split(rest))
VOLUME = ENV["STATSD_RELAY_DEFAULT_SPOOL_PATH"].rpartition("/")[0]
COMPOSE = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())


def one(word: str) -> str:
    [rest] = [rest for instruction, rest in FINAL if instruction == word]
    return rest


def test_every_copied_path_exists_and_is_not_ignored():
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    for word, rest in INSTRUCTIONS:
        if word == "COPY" and "--from" not in rest:
            for source in shlex.split(rest)[:-1]:
                assert (ROOT / source).exists()
                assert f"!{source}" in ignore


def test_the_image_is_made_of_what_has_a_digest_or_a_hash():
    """The image has the project's packages only, each file fixed by its hash."""
    [base] = [rest.partition("=")[2] for word, rest in INSTRUCTIONS if word == "ARG"]
    assert re.fullmatch(r"python:[\w.-]+@sha256:[0-9a-f]{64}", base)
    assert {rest.split()[0] for word, rest in INSTRUCTIONS if word == "FROM"} == {"${BASE}"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {
        "requirements.txt": [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["re2"]],
        "requirements-build.txt": project["build-system"]["requires"],
    }
    for name, needed in wanted.items():
        pins = re.split(r"^(?=\w)", re.sub(r"(?m)^#.*\n", "", (ROOT / "deploy" / name).read_text()), flags=re.MULTILINE)
        pinned = {Requirement(pin.partition(" ")[0]).name: pin for pin in pins if pin}
        assert all(re.search(r"==\S+ \\\n +--hash=sha256:[0-9a-f]{64}", pin) for pin in pinned.values())
        for one_needed in map(Requirement, needed):
            version = pinned[one_needed.name].partition("==")[2].split()[0]
            assert version in one_needed.specifier, one_needed
    steps = [part for word, rest in INSTRUCTIONS if word == "RUN" for part in rest.split("&&")]
    installs = [step for step in steps if "pip install" in step]
    assert installs
    assert all("--require-hashes" in part or "--no-index" in part for part in installs)


def test_every_file_of_the_kernel_is_built_and_in_the_source_distribution():
    [extension] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["ext-modules"]
    kernel = ROOT / "relay/hotpath/native/kernel"
    listed = {ROOT / path for path in (*extension["sources"], *extension["depends"])}
    assert {*kernel.glob("*.c"), *kernel.glob("*.h")} == {path for path in listed if path.parent == kernel}


def test_the_final_stage_is_small_and_not_root():
    assert one("USER") == "65532:65532"
    text = "\n".join(" ".join(instruction) for instruction in FINAL)
    assert not re.search(r"apt-get|pip|gcc|build-essential|npm", text)
    assert json.loads(one("VOLUME")) == [VOLUME]


def test_ports_and_variables_agree_with_the_code():
    settings = {name: value for name, value in ENV.items() if name.startswith("STATSD_RELAY_")}
    assert {name.replace("_DEFAULT_", "_") for name in settings} <= variables().keys()
    assert all(name.startswith(DEFAULTS) for name in settings), "a mounted file is above them"
    config = load(None, settings).config
    udp, admin = config.listen.udp[0].rpartition(":")[2], config.admin.addresses()[0].rpartition(":")[2]
    assert one("EXPOSE").split() == [f"{udp}/udp", f"{admin}/tcp"]
    health = json.loads(one("HEALTHCHECK").partition("CMD ")[2])
    assert health[0] == "statsd-relay"
    assert health[1] in COMMANDS
    assert json.loads(one("ENTRYPOINT"))[-1] == "/usr/local/bin/entrypoint.sh"
    assert json.loads(one("CMD"))[0] in COMMANDS


@pytest.mark.parametrize(
    ("arguments", "code", "output"),
    [
        (["--version"], 0, "statsd-relay"),
        (["check"], 78, "2 errors"),
        (["check", "--without-credentials"], 0, "1 warning"),
        (["sh", "-c", "echo from a shell"], 0, "from a shell"),
        (["/bin/echo", "a path"], 0, "a path"),
        (["-c", "/nowhere.toml"], 78, "RLY103"),
        (["run", "-c", "/nowhere.toml"], 78, "RLY103"),
        ([], 78, "RLY110"),
        (["healthcheck", "--admin", "127.0.0.1:1"], 69, "no relay answers"),
    ],
)
def test_the_entry_point_takes_a_command_flags_or_a_shell(arguments, code, output, tmp_path):
    environ = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    command = ["/bin/sh", str(ROOT / "deploy/entrypoint.sh"), *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == code
    assert output in done.stdout + done.stderr


def test_compose_is_hardened_and_keeps_its_state():
    services = COMPOSE["services"]
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["build"] == {"context": "..", "dockerfile": "deploy/Dockerfile"}
    relay = services["relay"]
    assert relay["volumes"] == [f"state:{VOLUME}"]
    assert all(port.startswith("127.0.0.1:") for port in relay["ports"])
    environ = {name: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value) for name, value in relay["environment"].items()}
    config = load(None, {name: value for name, value in environ.items() if name.startswith("STATSD")}).config
    assert config.tags == {"host": "compose"}


def test_the_commands_of_compose_are_commands():
    for service in COMPOSE["services"].values():
        command = service.get("command", ["run"])
        if command[0] == "sh":
            command = shlex.split(command[2].partition("statsd-relay ")[2].partition(";")[0])
        assert command[0] in COMMANDS
        context = cli.get_command(click.Context(cli), command[0]).make_context(command[0], list(command[1:]))
        assert context.params
