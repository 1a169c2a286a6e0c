"""Parses and writes `HOST:PORT`, and detects a tee that sends to the relay itself.

It imports next to nothing, since a health check uses it every few seconds. It never looks a name up.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


# --- loops of tees ---------------------------------------------------------------------------------------------------

# A tee to one of the relay's own addresses would copy every datagram again and again. These functions are pure.

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
_LOOPBACKS = ("127.0.0.1", "::1")


def loops_back(host: str, port: int, own: Iterable[tuple[str, int]], *, is_here: bool) -> bool:
    """Say whether one of the relay's own UDP addresses receives datagrams sent to an address.

    Args:
        host: a destination address as the system writes it, never 0.0.0.0 or ::.
        port: its port.
        own: the addresses on which the relay listens.
        is_here: whether `host` is an address of this machine; then a socket on 0.0.0.0 or :: receives too.
    """
    heard = (host, _EVERYWHERE[":" in host]) if is_here else (host,)
    return any(own_port == port and own_host in heard for own_host, own_port in own)


def is_loop(host: str, port: int, listen: Sequence[str]) -> bool:
    """Say whether a configured target is the relay itself, judged without the system: from addresses and localhost.

    Args:
        host: an address, or a name.
        port: its port.
        listen: `[listen] udp`; an entry that is not an address is skipped here (validate.py reports it).
    """
    own = []
    for text in listen:
        bound, _, number = text.rpartition(":")
        if number.isdecimal():
            own.append((_plain(bound.strip("[]") or _EVERYWHERE[0]), int(number)))
    return any(
        loops_back(one, port, own, is_here=one.startswith("127.") or one in _LOOPBACKS) for one in _reached_by(host)
    )


def _reached_by(host: str) -> Sequence[str]:
    """Return the addresses that a host stands for; 0.0.0.0 and :: mean loopback."""
    if host.lower() == "localhost":
        return _LOOPBACKS
    plain = _plain(host)
    return (_LOOPBACKS[":" in plain],) if plain in _EVERYWHERE else (plain,)


def _plain(host: str) -> str:
    """Return an address as the system writes it, an IPv4-mapped one as IPv4; a name stays as it is."""
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
"""Bytes of a label, the part of a name between two dots (RFC 1035)."""
_NAME: Final = re.compile(r"(?=.{1,253}$)[0-9A-Za-z_]([0-9A-Za-z_.-]*[0-9A-Za-z_.])?")
_EXAMPLE: Final = "such as 127.0.0.1:8125 or [::1]:8125"
_LOOPBACK: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


def parse_address(text: str) -> tuple[str, int]:
    """Parse an address to listen on: HOST is an address; empty: every IPv4 address.

    Raises:
        ValueError: the text breaks the rule; the message is the rule.
    """
    host, port = _split(text)
    is_host = is_address(host) and (":" in host) == text.startswith("[") if host else text.startswith(":")
    if port == _NONE or not is_host:
        raise ValueError(f'"{text}" must be ADDRESS:PORT, {_EXAMPLE}')
    return host or "0.0.0.0", port  # noqa: S104 - an empty host is asked for


def parse_target(text: str) -> tuple[str, int]:
    """Parse a target to send to: HOST is an address or a name, and the port is not 0.

    Raises:
        ValueError: the text breaks the rule; the message is the rule.
    """
    host, port = _split(text)
    is_host = ":" in host and is_address(host) if text.startswith("[") else _NAME.fullmatch(host)
    if port in (_NONE, 0) or not is_host:
        raise ValueError(f'must be HOST:PORT, {_EXAMPLE}, not "{text}"')
    return host, port


def parse_endpoint(text: str) -> tuple[str, int]:
    """Parse an address given to a command: HOST is any name or address, or empty; the port is not 0.

    Raises:
        ValueError: the text breaks the rule; the message is the rule.
    """
    host, port = _split(text)
    if port in (_NONE, 0):
        raise ValueError(f'"{text}" must be HOST:PORT with a port from 1 to {PORT_MOST}, {_EXAMPLE}')
    if host and not _can_be_looked_up(host):
        raise ValueError(f'"{text}" must be HOST:PORT with a name or an address as HOST, {_EXAMPLE}')
    return host, port


def _can_be_looked_up(host: str) -> bool:
    """Say whether the system can look a host up; Python's IDNA encoder raises UnicodeError for some names."""
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
    """Say whether a host is an IPv4 or IPv6 address without brackets, not a name."""
    from ipaddress import ip_address  # noqa: PLC0415 - see above

    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def join_address(host: str, port: object) -> str:
    """Return HOST:PORT, an IPv6 address in brackets; either may be a reference `${NAME}` of a configuration."""
    return f"[{host}]:{port}" if ":" in host and "$" not in host else f"{host}:{port}"


def connect_host(host: str) -> str:
    """Return the host to connect to for a server that listens on `host`: loopback if that is every address."""
    return _LOOPBACK.get(host, host)
