"""Whether copies would come back: a tee to one of our own addresses sends every datagram round for ever. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
_LOOPBACK = ("127.0.0.1", "::1")


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
        comes_back(one, port, own, is_here=one.startswith("127.") or one in _LOOPBACK) for one in _reached_by(host)
    )


def _reached_by(host: str) -> Sequence[str]:
    """Return the addresses that a host stands for: that of nobody in particular is this machine's."""
    if host.lower() == "localhost":
        return _LOOPBACK
    plain = _plain(host)
    return (_LOOPBACK[":" in plain],) if plain in _EVERYWHERE else (plain,)


def _plain(host: str) -> str:
    """Write an address as the system does, IPv4 within IPv6 as IPv4; a name stays."""
    from ipaddress import IPv6Address, ip_address  # noqa: PLC0415 - a worker that begins to read needs only the above

    try:
        address = ip_address(host)
    except ValueError:
        return host
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
