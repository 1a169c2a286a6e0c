"""Writes a first configuration from four answers: what differs from the defaults, and nothing else. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, Final, Literal

from relay.config.types import to_toml, toml_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Source = Literal["environment", "file", "profile"]
SOURCES: Final[tuple[Source, ...]] = ("environment", "file", "profile")
LOCAL: Final = "local"
"""Answer to who sends: the programs of this machine."""
_LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
_EVERYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 - written for senders on other machines, who are named
_PORT: Final = 8125
_HEAD: Final = "# Written by statsd-relay init: what differs from the defaults. Every key: statsd-relay config example"
_COMMENTS: Final[dict[Source, str]] = {
    "environment": "the key is in JDCLOUD_ACCESS_KEY_ID and JDCLOUD_SECRET_ACCESS_KEY",
    "file": "each file holds one value; replace it at any time, it is read again when the cloud refuses the key",
    "profile": "the key is in ~/.jdc/config of the relay's user",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The answers of an operator."""

    region: str
    credentials: Source
    senders: Sequence[str]
    """Networks (CIDR) of the senders; empty: the programs of this machine."""
    environment: str
    """Value of the dimension `env`; "": none."""


def parse_senders(text: str) -> list[str]:
    """Parse `local`, or networks separated by commas.

    Raises:
        ValueError: an entry is no network; the message is the rule.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if words == [LOCAL]:
        return []
    try:
        networks = [str(ip_network(word, strict=False)) for word in words]
    except ValueError as error:
        raise ValueError(f'must be "{LOCAL}", or networks such as 172.16.0.0/12,10.0.0.0/8') from error
    if not networks:
        raise ValueError(f'must be "{LOCAL}", or networks such as 172.16.0.0/12,10.0.0.0/8')
    return networks


def secret_files(directory: Path) -> dict[str, Path]:
    """Return the keys of `[cloud]` that name the files of the credentials, and these files."""
    return {f"{name}_file": directory / name for name in ("access_key", "secret_key")}


def first_file(answers: Answers, directory: Path) -> str:
    """Return the configuration file; `directory` is where the files of the credentials are."""
    lines = [_HEAD]
    if answers.senders:
        addresses = [f"[{host}]:{_PORT}" if ":" in host else f"{host}:{_PORT}" for host in _EVERYWHERE]
        allow = [*_LOOPBACK, *(network for network in answers.senders if network not in _LOOPBACK)]
        lines += ["", *_table("listen", {"udp": addresses, "allow": allow})]
    if answers.environment:
        lines += ["", *_table("tags", {"env": answers.environment})]
    cloud: dict[str, Any] = {"region": answers.region}
    if answers.credentials == "file":
        cloud |= {key: str(path) for key, path in secret_files(directory).items()}
    first, *rest = _table("cloud", cloud)
    lines += ["", f"{first}   # {_COMMENTS[answers.credentials]}", *rest]
    return "\n".join(lines) + "\n"


def _table(name: str, values: dict[str, Any]) -> list[str]:
    return [f"[{name}]", *(f"{toml_key(key)} = {to_toml(value)}" for key, value in values.items())]
