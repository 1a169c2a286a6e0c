"""Writes pcap files (nanoseconds, raw IP packets), and reads these and the files of tcpdump. Pure: it opens no file.

Format: a header of 24 bytes, then records. A record has a header of 16 bytes (seconds, fraction, bytes captured, bytes
of the packet) and the packet. The magic number gives the byte order and the unit of the fraction. The format was chosen
because Wireshark and tcpdump read it. No library is used: the maintained one (dpkt) keeps times as floats of
microsecond precision, and raises an exception of its own at any damage.

Source: draft-ietf-opsawg-pcap.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from relay.tools.traffic.packet import LINKS, RAW, Datagram, Endpoint, build, find_datagram

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

_NANO: Final = 0xA1B23C4D
_MICRO: Final = 0xA1B2C3D4
_UNITS: Final = {_NANO: 1, _MICRO: 1000}
"""Magic number -> nanoseconds in a unit of the fraction."""
_RECORD_MOST: Final = 262_144
"""MAXIMUM_SNAPLEN of tcpdump; a longer record means a damaged file."""
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
"""First bytes of unsupported files -> what they are, and the fix."""


class FormatError(ValueError):
    """The file is not a supported pcap file; `fix` is a hint, or a command with `{file}` in it."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


class Received(NamedTuple):
    """A datagram of a file, with the time of its arrival."""

    time: int
    """Nanoseconds since 1970."""
    payload: bytes


def begin() -> bytes:
    """Return the header of a file that this module writes."""
    return struct.pack(f"<{_FIELDS}", _NANO, 2, 4, 0, 0, _RECORD_MOST, RAW)


def record(time: int, payload: bytes, source: Endpoint, target: Endpoint) -> bytes:
    """Return the record of a datagram; `time` in nanoseconds since 1970."""
    packet = build(payload, source, target)
    seconds, rest = divmod(time, 1_000_000_000)
    return _OUT.pack(seconds, rest, len(packet), len(packet)) + packet


def count_lines(payload: bytes) -> int:
    """Return the number of lines in a datagram; empty lines do not count."""
    return sum(map(bool, payload.split(b"\n")))


class PcapReader:
    """State: the position in the file, the packets skipped by reason, and the damage found.

    Args:
        file: the file, buffered, at its beginning.
        skipped: counts the skipped packets by reason.
        port: yield only datagrams to this port; 0: all.

    Raises:
        FormatError: the file is not a supported pcap file.
    """

    def __init__(self, file: BinaryIO, skipped: Counter[str], *, port: int = 0) -> None:
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
        """The damage at `offset`; empty without damage."""

    def __iter__(self) -> Iterator[Received]:
        """Yield datagrams in the order of the file, up to its end or to the first damage."""
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
            payload = self._payload(packet, is_cut=size > here)
            if payload is not None:
                yield Received(seconds * 1_000_000_000 + fraction * self._unit, payload)

    def _payload(self, packet: bytes, *, is_cut: bool) -> bytes | None:
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
