"""The pcap file: ours (nanoseconds, bare IP packets), and what tcpdump wrote. Pure; a file is an object to read from.

Format: a header of 24 bytes; then records, each with 16 bytes before it: seconds, fraction, bytes that are here, bytes
the packet had. Byte order and fraction are told by the magic number. It was chosen over a format of our own because
Wireshark and tcpdump open it; over a library, because the maintained one (dpkt) keeps times as floats of microsecond
precision and ends with an exception of its own making wherever a file is damaged.

Source: draft-ietf-opsawg-pcap.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from relay.tools.traffic.packet import LINKS, RAW, Datagram, Endpoint, build, find_datagram

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

_NANO: Final = 0xA1B23C4D
_MICRO: Final = 0xA1B2C3D4
_UNITS: Final = {_NANO: 1, _MICRO: 1000}
"""Nanoseconds of a fraction's unit."""
_RECORD_MOST: Final = 262_144
"""MAXIMUM_SNAPLEN of tcpdump; a longer record is damage."""
_FIELDS: Final = "IHHiIII"
_RECORD: Final = "IIII"
_OUT: Final = struct.Struct(f"<{_RECORD}")
_OTHERS: Final = {
    b"\x0a\x0d\x0d\x0a": ("pcapng", "editcap -F nsecpcap {file} {file}.pcap"),
    b"\xa1\xb2\xcd\x34": ("a modified pcap", "editcap -F nsecpcap {file} {file}.pcap"),
    b"\x34\xcd\xb2\xa1": ("a modified pcap", "editcap -F nsecpcap {file} {file}.pcap"),
    b"\x1f\x8b": ("compressed", "gunzip it first"),
    b"\x28\xb5\x2f\xfd": ("compressed", "unzstd it first"),
}
"""Beginnings of files that are not taken: what they are, and the fix."""


class Readable(Protocol):
    """A buffered binary file: fewer bytes than asked for are its last."""

    def read(self, size: int, /) -> bytes:
        """Return so many bytes, or what is left."""
        ...


class FormatError(ValueError):
    """A file that cannot be read at all; `fix` is a command with `{file}` in it, or a hint."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


class Received(NamedTuple):
    """A datagram of a file, and when it arrived."""

    time: int
    """Nanoseconds since 1970."""
    payload: bytes


def begin() -> bytes:
    """Return what a file of ours begins with."""
    return struct.pack(f"<{_FIELDS}", _NANO, 2, 4, 0, 0, _RECORD_MOST, RAW)


def record(time: int, payload: bytes, source: Endpoint, target: Endpoint) -> bytes:
    """Return one datagram as it stands in a file; `time` in nanoseconds since 1970."""
    packet = build(payload, source, target)
    seconds, rest = divmod(time, 1_000_000_000)
    return _OUT.pack(seconds, rest, len(packet), len(packet)) + packet


def count_lines(payload: bytes) -> int:
    """Return how many lines a datagram has; blank ones are none."""
    return sum(map(bool, payload.split(b"\n")))


class PcapReader:
    """State: how far a file has been read, which packets gave no datagram, what is damaged.

    Args:
        file: at its beginning.
        port: take datagrams that went to this port alone; 0: all.

    Raises:
        FormatError: it is not a file of packets that can be read here.
    """

    def __init__(self, file: Readable, skipped: Counter[str], *, port: int = 0) -> None:
        head = file.read(24)
        order, magic = _read_magic(head)
        self._file, self._port, self.skipped = file, port, skipped
        """Reasons of `packet.Skip`, and `other_port`."""
        self._record = struct.Struct(order + _RECORD)
        self._unit = _UNITS[magic]
        self._link = struct.unpack(order + _FIELDS, head)[6] & 0xFFFF
        if self._link not in LINKS:
            raise FormatError(
                f"has packets of link type {self._link}", "capture on an interface of IP or Ethernet: tcpdump -i any"
            )
        self.offset = len(head)
        """Bytes read, up to the end of the last whole packet."""
        self.damage = ""
        """What is wrong from `offset` on; empty: nothing."""

    def __repr__(self) -> str:
        """Report the position."""
        return f"<PcapReader at byte {self.offset}, {self.skipped.total()} skipped{self.damage and ', damaged'}>"

    def __iter__(self) -> Iterator[Received]:
        """Yield datagrams in the order of the file, up to its end or to what is damaged."""
        while head := self._file.read(self._record.size):
            if len(head) < self._record.size:
                self.damage = "ends within the head of a packet"
                return
            seconds, fraction, here, size = self._record.unpack(head)
            if here > _RECORD_MOST or fraction * self._unit >= 1_000_000_000:
                self.damage = "holds no packet"
                return
            packet = self._file.read(here)
            if len(packet) < here:
                self.damage = "ends within a packet"
                return
            self.offset += len(head) + here
            payload = self._take(packet, is_cut=size > here)
            if payload is not None:
                yield Received(seconds * 1_000_000_000 + fraction * self._unit, payload)

    def _take(self, packet: bytes, *, is_cut: bool) -> bytes | None:
        match find_datagram(self._link, packet):
            case Datagram(payload, port) if self._port in (0, port):
                return payload
            case Datagram():
                self.skipped["other_port"] += 1
            case "cut_off" if not is_cut:
                self.skipped["malformed"] += 1
            case reason:
                self.skipped[reason] += 1
        return None


def _read_magic(head: bytes) -> tuple[str, int]:
    for order in "<>":
        if len(head) == 24 and (magic := struct.unpack(f"{order}I", head[:4])[0]) in _UNITS:
            return order, magic
    for start, (what, fix) in _OTHERS.items():
        if head.startswith(start):
            raise FormatError(f"is {what}", fix)
    is_short = any(head[:4] == struct.pack(f"{order}I", magic) for magic in _UNITS for order in "<>")
    what = "is cut off within its head" if is_short else "is empty" if not head else "is not a pcap file"
    raise FormatError(what, "name a file of `statsd-relay capture` or `tcpdump -w`")
