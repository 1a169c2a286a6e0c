"""Who may send: networks from `[listen] allow`."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_PEERS_REMEMBERED: Final = 4_096


class Sources:
    """State: the networks that may send, and what was decided for hosts seen lately."""

    def __init__(self, cidrs: Iterable[str]) -> None:
        self._networks = [ip_network(cidr, strict=False) for cidr in cidrs]
        self._decided: dict[str, bool] = {}

    def __repr__(self) -> str:
        """Report the networks."""
        return f"<Sources {[str(network) for network in self._networks]}>"

    def admit(self, peer: tuple[str, int] | None) -> bool:
        """Say whether `peer` may send; one that is not known came by a Unix socket, and its file's mode has decided."""
        if peer is None:
            return True
        decided = self._decided.get(peer[0])
        if decided is None:
            if len(self._decided) >= _PEERS_REMEMBERED:
                self._decided.clear()
            decided = self._decided[peer[0]] = self._is_inside(peer[0])
        return decided

    def _is_inside(self, host: str) -> bool:
        address = ip_address(host.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped in network for network in self._networks)
