"""`HOST:PORT` as people write it: read and written. Imports next to nothing: a health check runs every few seconds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


# --- loops -----------------------------------------------------------------------------------------------------------

# Whether copies would come back: a tee to one of our own addresses sends every datagram round for ever. Pure.

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
_LOOPBACKS = ("127.0.0.1", "::1")


def comes_back(host: str, port: int, own: Iterable[tuple[str, int]], *, is_here: bool) -> bool:
    """Say whether one of our own UDP addresses receives what is sent to an address.

    Args:
        host: an address as the system writes it; one that is sent to, never 0.0.0.0 or ::.
        port: of it.
        own: where we listen.
        is_here: whether it is an address of this machine, all of which 0.0.0.0 or :: hears.
    """
    heard = (host, _EVERYWHERE[":" in host]) if is_here else (host,)
    return any(own_port == port and own_host in heard for own_host, own_port in own)


def is_loop(host: str, port: int, listen: Sequence[str]) -> bool:
    """Say the same of a configuration, as far as it can be seen without asking the system: of addresses and localhost.

    Args:
        host: an address, or a name.
        port: of it.
        listen: `[listen] udp`; an entry that is no address is somebody else's to report.
    """
    own = []
    for text in listen:
        bound, _, number = text.rpartition(":")
        if number.isdecimal():
            own.append((_plain(bound.strip("[]") or _EVERYWHERE[0]), int(number)))
    return any(
        comes_back(one, port, own, is_here=one.startswith("127.") or one in _LOOPBACKS) for one in _reached_by(host)
    )


def _reached_by(host: str) -> Sequence[str]:
    """Return the addresses that a host stands for: that of nobody in particular is this machine's."""
    if host.lower() == "localhost":
        return _LOOPBACKS
    plain = _plain(host)
    return (_LOOPBACKS[":" in plain],) if plain in _EVERYWHERE else (plain,)


def _plain(host: str) -> str:
    """Write an address as the system does, IPv4 within IPv6 as IPv4; a name stays."""
    from ipaddress import IPv6Address, ip_address  # noqa: PLC0415 - a worker that begins to read needs only the above

    try:
        address = ip_address(host)
    except ValueError:
        return host
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


PORT_MOST: Final = 65_535
_NONE: Final = -1
_LABEL_MOST: Final = 63
"""Bytes between two dots of a name (RFC 1035)."""
_NAME: Final = re.compile(r"(?=.{1,253}$)[0-9A-Za-z_]([0-9A-Za-z_.-]*[0-9A-Za-z_.])?")
_EXAMPLE: Final = "such as 127.0.0.1:8125 or [::1]:8125"
_LOOPBACK: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


def parse_address(text: str) -> tuple[str, int]:
    """Read where to listen: HOST is an address, empty for every IPv4 one.

    Raises:
        ValueError: with the rule.
    """
    host, port = _split(text)
    is_host = is_address(host) and (":" in host) == text.startswith("[") if host else text.startswith(":")
    if port == _NONE or not is_host:
        raise ValueError(f'"{text}" must be ADDRESS:PORT, {_EXAMPLE}')
    return host or "0.0.0.0", port  # noqa: S104 - an empty host is asked for


def parse_target(text: str) -> tuple[str, int]:
    """Read where to send to: HOST is an address or a name, and the port is not 0.

    Raises:
        ValueError: with the rule.
    """
    host, port = _split(text)
    is_host = ":" in host and is_address(host) if text.startswith("[") else _NAME.fullmatch(host)
    if port in (_NONE, 0) or not is_host:
        raise ValueError(f'must be HOST:PORT, {_EXAMPLE}, not "{text}"')
    return host, port


def parse_place(text: str) -> tuple[str, int]:
    """Read what a command is told: HOST is whatever the system can look up, and may be empty; the port is not 0.

    Raises:
        ValueError: with the rule.
    """
    host, port = _split(text)
    if port in (_NONE, 0):
        raise ValueError(f'"{text}" must be HOST:PORT with a port from 1 to {PORT_MOST}, {_EXAMPLE}')
    if host and not _can_be_looked_up(host):
        raise ValueError(f'"{text}" must be HOST:PORT with a name or an address as HOST, {_EXAMPLE}')
    return host, port


def _can_be_looked_up(host: str) -> bool:
    """Say whether the system takes it for a name or an address: Python raises UnicodeError for what has no IDNA."""
    try:
        encoded = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return False
    is_plain = all("!" <= char <= "~" for char in encoded)
    return is_plain and all(0 < len(label) <= _LABEL_MOST for label in encoded.removesuffix(".").split("."))


def _split(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    is_port = colon and port.isascii() and port.isdigit() and len(port) <= len(str(PORT_MOST))
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    return bare, int(port) if is_port and int(port) <= PORT_MOST else _NONE


def is_address(host: str) -> bool:
    """Say whether a host is an IPv4 or IPv6 address, without brackets, and no name."""
    from ipaddress import ip_address  # noqa: PLC0415 - see above

    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def join_address(host: str, port: object) -> str:
    """Write them, an IPv6 address in brackets; either may be a reference `${NAME}` of a configuration."""
    return f"[{host}]:{port}" if ":" in host and "$" not in host else f"{host}:{port}"


def where_to_ask(host: str) -> str:
    """Return where somebody answers who listens on `host`, which may be every address of this machine."""
    return _LOOPBACK.get(host, host)
