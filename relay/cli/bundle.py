"""`statsd-relay bundle`: one file with what a bug report needs, of a running relay or without one."""

from __future__ import annotations

import io
import json
import secrets
import socket
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from relay.cli.running.admin_client import ask
from relay.cli.running.effective import find_effective
from relay.cli.running.find import RunningRelay, find_relay, say_source
from relay.cli.shared.options import json_option, relay_options
from relay.cli.shared.output import say
from relay.cli.shared.output_file import check_place, writable
from relay.config.addresses import parse_address
from relay.daemon.lifecycle.problems import find_problems
from relay.errors import RelayError
from relay.tools.bundle.machine import system_files, versions
from relay.tools.bundle.names import NameHider
from relay.wording import as_size, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.cli.running.admin_client import Address
    from relay.cli.running.find import Found

_ANSWERS: Final = {
    "series": "/api/v1/series?top=1000",
    "tags": "/api/v1/tags",
    "rules": "/api/v1/rules",
    "senders": "/api/v1/senders?top=1000",
    "dead-letters": "/api/v1/dead-letters",
    "windows": "/api/v1/windows/last?count=60",
    "history": "/api/v1/history",
    "status": "/api/v1/status",
    "log": "/api/v1/log?lines=1000",
}
"""File -> endpoint; those with names come before those whose sentences may repeat them."""
_BYTES_MOST: Final = 16 * 2**20
_TIMEOUT: Final = 10.0
_README: Final = """\
A bundle of statsd-relay, made at {now}.

source.json     which relay answered, or what was tried
versions.json   of this program, its libraries, Python, the kernel
config.json     the configuration in force; secrets and passwords in URLs are masked
check.txt       what `check` says of the file in the environment of this shell
api/            answers of the running relay; metrics.txt: /metrics
kernel/, process-PID/   limits of the kernel and the control group, the relay's own UDP sockets

{names}
Not in it: {missing}
"""
_HIDDEN: Final = (
    "Names of metrics, lines and addresses of senders are hashes with a key of this bundle alone; rules of the\n"
    "configuration and keys of tags are as they are. Sentences of the log may still have a name: read before you send."
)
_SHOWN: Final = "Names of metrics, lines and addresses of senders are as they are (--names)."


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File; default: statsd-relay-HOST-TIME.tar.gz.")
@click.option("--names", "shows_names", is_flag=True, help="Names, lines and senders as they are, not as hashes.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@relay_options
@json_option("Print what was written as JSON.")
def bundle(
    output: Path | None,
    *,
    shows_names: bool,
    force: bool,
    admin: Sequence[Address] | None,
    path: Path | None,
    as_json: bool,
) -> None:
    """Write one file for a bug report: status, configuration, metrics, log, windows, series, rules, versions, limits.

    It holds no secret, and works without a relay too. The file is readable by you only.
    """
    output = output or Path(f"statsd-relay-{socket.gethostname()}-{time.strftime('%Y%m%d-%H%M%S')}.tar.gz")
    check_place(output, force=force)
    found = find_relay(admin, path)
    say_source(found, as_json=as_json)
    hider = None if shows_names else NameHider(secrets.token_bytes(16))
    collected = Collected(found, hider)
    collected.collect(admin, path)
    with writable(output) as fd, open(fd, "wb", closefd=False) as file:
        file.write(collected.archive())
    size = output.stat().st_size
    if as_json:
        files = {"files": sorted(collected.files), "missing": collected.missing}
        say(json.dumps({"file": str(output), "bytes": size, **files, "source": found.as_json()}, indent=2))
    else:
        for name, reason in collected.missing.items():
            say(f"not in it: {name}: {reason}", err=True)
        say(f"wrote {output}: {plural(len(collected.files), 'file')}, {as_size(size)}; read it before you send it")


class Collected:
    """State: the files of the bundle so far, and the reason for each that is missing."""

    def __init__(self, found: Found, hider: NameHider | None) -> None:
        self._found = found
        self._hider = hider
        self.files: dict[str, str] = {}
        self.missing: dict[str, str] = {}

    def collect(self, admin: Sequence[Address] | None, path: Path | None) -> None:
        """Ask the relay and the system for everything."""
        self._add_json("source.json", self._found.as_json())
        self._add_json("versions.json", versions())
        ports: list[int] = []
        try:
            effective = find_effective(admin, path)
            self._add_json("config.json", msgspec.to_builtins(effective.values))
            ports = [parse_address(text)[1] for text in effective.config.listen.udp]
        except RelayError as error:
            self.missing["config.json"] = error.brief()
        problems = find_problems(self._file(path))
        self.files["check.txt"] = "\n".join(map(str, problems)) or "ok"
        self._collect_answers()
        self.files |= dict(system_files(self._pids(), ports))

    def _collect_answers(self) -> None:
        if not isinstance(self._found, RunningRelay) or self._found.address is None:
            self.missing["api/"] = "no relay answers"
            return
        address = self._found.address
        for name, endpoint in _ANSWERS.items():
            try:
                status, body = ask(address, endpoint, most=_BYTES_MOST, timeout=_TIMEOUT)
            except RelayError as error:
                self.missing[f"api/{name}.json"] = error.brief()
                continue
            if status == 200:
                self._add_answer(name, body)
            else:
                self.missing[f"api/{name}.json"] = f"answer {status}"
        try:
            self.files["metrics.txt"] = ask(address, "/metrics", most=_BYTES_MOST, timeout=_TIMEOUT)[1]
        except RelayError as error:
            self.missing["metrics.txt"] = error.brief()

    def _add_answer(self, name: str, body: str) -> None:
        answer = msgspec.json.decode(body)
        if self._hider:
            lines = [self._hide_line(line) for line in answer["lines"]] if name == "log" else None
            answer = self._hider.hide(answer) | ({} if lines is None else {"lines": lines})
            text = self._hider.hide_in_text(json.dumps(answer, indent=1))
        else:
            text = json.dumps(answer, indent=1)
        self.files[f"api/{name}.json"] = text

    def _hide_line(self, line: str) -> str:
        """Return a line of the log without names; a line of text has no fields, so known names alone are hidden."""
        assert self._hider is not None  # noqa: S101 - the only caller has asked
        try:
            return json.dumps(self._hider.hide(msgspec.json.decode(line)))
        except msgspec.DecodeError:
            return self._hider.hide_in_text(line)

    def _file(self, path: Path | None) -> Path | None:
        """Return the file of the relay, or the one that a command would use."""
        if isinstance(self._found, RunningRelay):
            return Path(self._found.index.file) if self._found.index.file else None
        return path or self._found.places.file

    def _pids(self) -> list[int]:
        if not isinstance(self._found, RunningRelay):
            return []
        return sorted({pid for pid in (self._found.index.pid, self._found.index.worker) if pid})

    def _add_json(self, name: str, value: Any) -> None:  # noqa: ANN401 - any JSON
        self.files[name] = json.dumps(value, indent=1)

    def archive(self) -> bytes:
        """Return the bundle as a compressed tar file."""
        names = _HIDDEN if self._hider else _SHOWN
        missing = "; ".join(f"{name} ({reason})" for name, reason in self.missing.items()) or "nothing is missing"
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.files["README.txt"] = _README.format(now=now, names=names, missing=missing)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            for name, text in sorted(self.files.items()):
                content = text.encode("utf-8", "backslashreplace")
                info = tarfile.TarInfo(f"statsd-relay-bundle/{name}")
                info.size, info.mtime, info.mode = len(content), int(time.time()), 0o600
                tar.addfile(info, io.BytesIO(content))
        return buffer.getvalue()
