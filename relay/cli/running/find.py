"""Finds the running relay that a command is about, and says from where an answer comes.

The first that answers is asked: `--admin`; else the address that the file or a variable names; else the usual ports;
else what the `lock` of a usual state directory says. The relay then tells its own file, state directory and
configuration, which the environment of a shell need not have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from relay.admin.answers.index import IndexAnswer
from relay.cli.running.admin_client import ask, parse_places
from relay.cli.running.places import Places, places_of_this_shell
from relay.cli.shared.output import say
from relay.config.addresses import join_address
from relay.delivery.state.directory import holder
from relay.errors import RelayError, unreachable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from relay.cli.running.admin_client import Address

_ANSWER_BYTES: Final = 65_536
_BUILD: Final = re.compile(r'^relay_build_info\{[^}]*version="([^"]*)"', re.MULTILINE)
"""What every release has on its admin port."""
_NO_PORT_FIX: Final = "name its admin port with --admin; without one, set [admin] listen and restart the relay"
_FIX: Final = "start the relay; or name its admin port with --admin HOST:PORT, or its file with -c FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningRelay:
    """A relay that runs on this machine, or that answers."""

    address: Address | None
    """Its admin port; None if that does not answer: then the lock of its state directory has told of it."""
    index: IndexAnswer
    trouble: str = ""
    """Why there is no address."""

    def __str__(self) -> str:
        """Return what a command says on standard error."""
        index = self.index
        words = ["relay", *([join_address(*self.address)] if self.address else []), index.host]
        words += [f"pid {index.pid}"] if index.pid else []
        return ", ".join(filter(None, (" ".join(filter(None, words)), self._runs_with(), self.trouble)))

    def _runs_with(self) -> str:
        """Return its file and generation, as far as they are known; else its version."""
        index = self.index
        if index.generation:
            return f"{index.file or 'no file'} generation {index.generation}"
        return index.file or (f"version {index.version}" if index.version else "")

    def as_json(self) -> dict[str, Any]:
        """Return the `source` of `--json`."""
        address = join_address(*self.address) if self.address else ""
        return {"relay": address, **msgspec.to_builtins(self.index)}

    def reached(self) -> Address:
        """Return the address of its admin port.

        Raises:
            RelayError: RLY101, its admin port does not answer.
        """
        if self.address is None:
            raise unreachable(f"the relay with pid {self.index.pid or self.index.worker}: {self.trouble}", _NO_PORT_FIX)
        return self.address


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRelay:
    """No relay was found."""

    places: Places
    reasons: tuple[str, ...]
    """Each address with the reason why no relay answers there."""

    def __str__(self) -> str:
        """Return what a command that goes on with the file says on standard error."""
        file = f"file {self.places.file}" if self.places.file else "defaults, no file"
        return f"{file}; no relay answers{self._where()}"

    def as_json(self) -> dict[str, Any]:
        """Return the `source` of `--json`."""
        tried = [join_address(*address) for address in self.places.addresses]
        return {"relay": None, "file": str(self.places.file or ""), "tried": tried}

    def error(self, fix: str = _FIX) -> RelayError:
        """Return the error of a command that needs a relay: every place that was tried."""
        places = self.places
        message = f"no relay answers on {', '.join(self.reasons)}" if self.reasons else "no admin port is configured"
        if places.directories:
            message += f"; none holds the state directory {' or '.join(map(str, places.directories))}"
        if places.unreadable:
            message += f"; {places.unreadable}"
        return unreachable(message, fix)

    def _where(self) -> str:
        tried = [join_address(*address) for address in self.places.addresses]
        return f" on {', '.join(tried)}" if tried else ""


Found = RunningRelay | NoRelay


def find_relay(admin: Sequence[Address] | None, path: Path | None) -> Found:
    """Return the relay that a command is about.

    Args:
        admin: of `--admin`; only these are asked.
        path: of `-c`.

    Raises:
        RelayError: RLY101, nothing answers on the address of `--admin`; RLY103, the file cannot be read.
    """
    if admin:
        found = _ask_all(Places(file=path, addresses=tuple(admin)))
        if isinstance(found, NoRelay):
            raise found.error("start the relay, or name its admin port: the one of [admin] listen")
        return found
    places = places_of_this_shell(path)
    found = _ask_all(places)
    return found if isinstance(found, RunningRelay) else find_holder(places) or found


def need_relay(admin: Sequence[Address] | None, path: Path | None, *, fix: str = _FIX) -> RunningRelay:
    """Return the relay that a command is about.

    Raises:
        RelayError: RLY101, there is none; every place that was tried. RLY103, the file cannot be read.
    """
    found = find_relay(admin, path)
    if isinstance(found, NoRelay):
        raise found.error(fix)
    found.reached()
    return found


def say_source(source: object, *, as_json: bool = False) -> None:
    """Print from where an answer comes on standard error; with `--json` the answer has it."""
    if not as_json:
        say(str(source), err=True)


def _ask_all(places: Places) -> Found:
    reasons = []
    for address in places.addresses:
        try:
            return identify(address)
        except RelayError as error:
            reasons.append(f"{join_address(*address)} ({error.problems[0].message.rpartition(': ')[2]})")
    return NoRelay(places=places, reasons=tuple(reasons))


def identify(address: Address) -> RunningRelay:
    """Ask which relay answers.

    Raises:
        RelayError: RLY101, none.
    """
    status, body = ask(address, "/api/v1/", most=_ANSWER_BYTES, fix="")
    if status == 200:
        try:
            return RunningRelay(address=address, index=msgspec.json.decode(body, type=IndexAnswer))
        except msgspec.MsgspecError:
            pass  # another service
    _, body = ask(address, "/metrics", most=_ANSWER_BYTES, fix="")
    build = _BUILD.search(body)
    if build is None:
        raise unreachable(f"{join_address(*address)}: not a relay")
    return RunningRelay(address=address, index=IndexAnswer(version=build[1]))


def find_holder(places: Places) -> RunningRelay | None:
    """Return the relay that holds one of the usual state directories."""
    for directory in places.directories:
        held = holder(directory)
        if held is None:
            continue
        found = _ask_all(Places(file=places.file, addresses=tuple(_places_of(held.admin or ()))))
        if isinstance(found, RunningRelay):
            return found
        index = IndexAnswer(
            version="", pid=held.main or 0, worker=held.worker, file=held.file, state_directory=str(directory)
        )
        return RunningRelay(address=None, index=index, trouble=_trouble(held.admin))
    return None


def _trouble(admin: Sequence[str] | None) -> str:
    """Return why a relay that holds its state directory has no address."""
    if admin is None:
        return "an earlier release, which does not say its admin port"
    return f"does not answer on {', '.join(admin)}" if admin else "has no admin port"


def _places_of(texts: Sequence[str]) -> list[Address]:
    try:
        return parse_places(",".join(texts))
    except ValueError:
        return []
