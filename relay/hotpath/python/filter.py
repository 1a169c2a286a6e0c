"""Checks on whole datagrams before parsing (the allow-list), and taps of lines.

Bounded (I6): four taps of 1,000 lines each, decisions for 4,096 hosts. Does not know: the grammar, series.
"""

from __future__ import annotations

import re
from collections import deque
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final

from relay import limits
from relay.hotpath.line import BLANKS
from relay.hotpath.tap import Allowance, TapCounts, TapFilter, TappedLine, regex_of_glob, tag_texts

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
            decided = self._decided[peer[0]] = _is_inside(peer[0], self._networks)
        return decided


def _is_inside(host: str, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    address = ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None) or address
    return any(mapped in network for network in networks)


class Admission:
    """State: the allow-list; None while it is off.

    Args:
        deny: rejects the lines of a datagram; none of them is blank.
    """

    def __init__(self, deny: Callable[[Sequence[bytes], Peername], None]) -> None:
        self._deny = deny
        self._allow_list: AllowList | None = None

    def admit(self, batch: Sequence[tuple[bytes, Peername]]) -> Sequence[tuple[bytes, Peername]]:
        """Return the datagrams of allowed senders, and reject the lines of the others."""
        return batch if self._allow_list is None else [one for one in batch if self._admit_one(*one)]

    def _admit_one(self, datagram: bytes, peer: Peername) -> bool:
        if self.admits(peer):
            return True
        self._deny([line for raw in datagram.split(b"\n") if (line := raw.rstrip(BLANKS))], peer)
        return False

    def admits(self, peer: Peername) -> bool:
        """Return whether a sender is allowed."""
        return self._allow_list is None or self._allow_list.admit(peer)

    def allow(self, cidrs: Iterable[str]) -> None:
        """Set the allowed networks; all senders are allowed if `cidrs` is empty."""
        networks = list(cidrs)
        self._allow_list = AllowList(networks) if networks else None


# --- taps: kernel/taps.h describes the rules --------------------------------------------------------------------------


class _Tap:
    """State: a filter, its ring of lines, the counts."""

    def __init__(self, wanted: TapFilter, *, separators: bytes, before: int, now: float) -> None:
        if max(len(wanted.pattern), len(wanted.tag)) > limits.TAP_TEXT or b"\0" in wanted.pattern + wanted.tag:
            raise ValueError(f"at most {limits.TAP_TEXT} bytes, and no NUL")
        self.of = wanted.of
        self.before = before
        self._name = re.compile(regex_of_glob(wanted.pattern), re.DOTALL) if wanted.pattern else None
        self._end_of_name = re.compile(b"[%b]" % re.escape(separators)) if separators else None
        self._tag = re.compile(_regex_of_tag(wanted.tag)) if wanted.tag else None
        self._network = ip_network(wanted.sender, strict=False) if wanted.sender else None
        self._shown, self._undecided = Allowance(wanted.rate, now), Allowance(wanted.rate, now)
        self._lines: deque[TappedLine] = deque()
        self._bytes = 0
        self._matched = self._hidden = self._lost = self._unjudged = 0

    def offer(self, line: TappedLine) -> None:
        """Count and keep a line that matches."""
        if not self._matches(line):
            return
        if line.of == "undecided":
            if self._undecided.use(line.time):
                self._keep(line)
            else:
                self._unjudged += 1
            return
        self._matched += 1
        if self._shown.use(line.time):
            self._keep(line)
        else:
            self._hidden += 1

    def _matches(self, line: TappedLine) -> bool:
        if self._network is not None and (line.host is None or not _is_inside(line.host, [self._network])):
            return False
        if self._name is not None and not self._name_matches(line.line.partition(b":")[0][: limits.TAP_NAME]):
            return False
        return self._tag is None or self._tag.search(line.line) is not None

    def _name_matches(self, name: bytes) -> bool:
        match = self._name.fullmatch if self._name else None
        if match is None or match(name):
            return True
        end = self._end_of_name.search(name) if self._end_of_name else None
        return end is not None and match(name[: end.start()]) is not None

    def _keep(self, line: TappedLine) -> None:
        size = len(line.line)
        while self._lines and (len(self._lines) == limits.TAPPED_LINES or self._bytes + size > limits.TAPPED_BYTES):
            lost = self._lines.popleft()
            self._bytes -= len(lost.line)
            self._lost += lost.of != "undecided"
            self._unjudged += lost.of == "undecided"
        self._lines.append(line)
        self._bytes += size

    def read(self, received: int) -> tuple[list[TappedLine], TapCounts]:
        """Return the kept lines, and start from empty; `received`: lines of any kind since the start."""
        lines, self._lines, self._bytes = list(self._lines), deque(), 0
        return lines, TapCounts(received - self.before, self._matched, self._hidden, self._lost, self._unjudged)


def _regex_of_tag(tag: bytes) -> bytes:
    in_section, in_name = map(re.escape, tag_texts(tag))
    return rb"(?<=[#,])%b(?=[,|]|\Z)|(?<=[;,[])%b(?=[;,\]:]|\Z)" % (in_section, in_name)


class Taps:
    """State: the taps, by number."""

    def __init__(self, separators: str) -> None:
        self._separators = separators.encode()
        self._taps: list[_Tap | None] = [None] * limits.TAPS_MOST
        self.is_open = False
        self.takes_all = False
        """There is a tap of all lines."""

    def open(self, wanted: TapFilter, *, before: int, now: float) -> int | None:
        """Begin a tap; return its number, None if there are too many."""
        if None not in self._taps:
            return None
        number = self._taps.index(None)
        self._taps[number] = _Tap(wanted, separators=self._separators, before=before, now=now)
        self._note_open()
        return number

    def close(self, number: int) -> None:
        """End a tap."""
        self._taps[number] = None
        self._note_open()

    def _note_open(self) -> None:
        open_taps = [tap for tap in self._taps if tap is not None]
        self.is_open = bool(open_taps)
        self.takes_all = any(tap.of == "all" for tap in open_taps)

    def offer(self, line: TappedLine) -> None:
        """Offer a line of a kind to the taps of that kind; an undecided one to those of dropped lines."""
        wanted = "dropped" if line.of == "undecided" else line.of
        for tap in self._taps:
            if tap is not None and tap.of == wanted:
                tap.offer(line)

    def read(self, number: int, received: int) -> tuple[list[TappedLine], TapCounts]:
        """Return the lines of a tap since the last call, and its counts."""
        tap = self._taps[number]
        if tap is None:
            raise ValueError(f"no tap {number}")
        return tap.read(received)
