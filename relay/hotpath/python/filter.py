"""Checks on whole datagrams before parsing: the allow-list and the tap.

Bounded (I6): 1,000 tapped lines, decisions for 4,096 hosts. Does not know: the grammar, series.
"""

from __future__ import annotations

import fnmatch
import re
from collections import deque
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final

from relay.hotpath.line import BLANKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from relay.hotpath.python.receive import Peername


# --- allow-list: the networks of `[listen] allow` --------------------------------------------------------------------

_DECISIONS_CACHED: Final = 4_096


class AllowList:
    """State: the allowed networks, and the decisions for recently seen hosts."""

    def __init__(self, cidrs: Iterable[str]) -> None:
        self._networks = [ip_network(cidr, strict=False) for cidr in cidrs]
        self._decided: dict[str, bool] = {}

    def admit(self, peer: tuple[str, int] | None) -> bool:
        """Return whether `peer` is allowed. None, a sender on a Unix socket, always is: the file's mode decides."""
        if peer is None:
            return True
        decided = self._decided.get(peer[0])
        if decided is None:
            if len(self._decided) >= _DECISIONS_CACHED:
                self._decided.clear()
            decided = self._decided[peer[0]] = self._is_inside(peer[0])
        return decided

    def _is_inside(self, host: str) -> bool:
        address = ip_address(host.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped in network for network in self._networks)


# --- admission before parsing: allow-list and tap, skipped while both are off ----------------------------------------


class Admission:
    """State: the allow-list and the tap; each is None while it is off.

    Args:
        deny: rejects the lines of a datagram; none of them is blank.
    """

    def __init__(self, deny: Callable[[Sequence[bytes], Peername], None]) -> None:
        self._deny = deny
        self._tap: Tap | None = None
        self._allow_list: AllowList | None = None
        self._is_active = False

    def admit(self, batch: Sequence[tuple[bytes, Peername]]) -> Sequence[tuple[bytes, Peername]]:
        """Offer datagrams to the tap; return those of allowed senders, and reject the lines of the others."""
        return [one for one in batch if self._admit_one(*one)] if self._is_active else batch

    def _admit_one(self, datagram: bytes, peer: Peername) -> bool:
        lines = datagram.split(b"\n")
        if self._tap is not None:
            self._tap.offer(lines)
        if self.admits(peer):
            return True
        self._deny([line for raw in lines if (line := raw.rstrip(BLANKS))], peer)
        return False

    def admits(self, peer: Peername) -> bool:
        """Return whether a sender is allowed."""
        return self._allow_list is None or self._allow_list.admit(peer)

    def allow(self, cidrs: Iterable[str]) -> None:
        """Set the allowed networks; all senders are allowed if `cidrs` is empty."""
        networks = list(cidrs)
        self._allow_list = AllowList(networks) if networks else None
        self._is_active = self._tap is not None or self._allow_list is not None

    def tap(self, pattern: bytes | None) -> None:
        """Keep lines with a name that matches a glob; None stops it."""
        self._tap = None if pattern is None else Tap(pattern)
        self._is_active = self._tap is not None or self._allow_list is not None

    def tapped(self) -> list[bytes]:
        """Return the lines kept since the last call."""
        return self._tap.pop_all() if self._tap is not None else []


_TAPPED_LINES: Final = 1_000


class Tap:
    """State: a pattern, and the lines that matched it since the last `pop_all`."""

    def __init__(self, pattern: bytes) -> None:
        self._match = re.compile(fnmatch.translate(pattern.decode("latin-1"))).match
        self._lines: deque[bytes] = deque(maxlen=_TAPPED_LINES)

    def offer(self, lines: Sequence[bytes]) -> None:
        """Keep the lines with a matching name (the bytes before the first colon); only the newest 1,000."""
        self._lines.extend(line for line in lines if line and self._match(line.partition(b":")[0].decode("latin-1")))

    def pop_all(self) -> list[bytes]:
        """Return the kept lines, and start from empty."""
        lines = list(self._lines)
        self._lines.clear()
        return lines
