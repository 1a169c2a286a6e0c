"""Encodes and decodes the headers around a datagram in a captured packet: link layer, IPv4 or IPv6, UDP. Pure.

Packets are untrusted: every length is checked against the bytes present, and every loop is bounded. For a packet
without a whole UDP datagram the reason is returned. Checksums are not verified: on the sending machine a packet is
captured before the network card computes them.

Sources: RFC 791, 8200, 768; the list of link types of tcpdump.org.
"""

from __future__ import annotations

import struct
from typing import Final, Literal, NamedTuple

Skip = Literal["not_udp", "fragment", "cut_off", "malformed"]
"""Why a packet has no datagram: another protocol; an IP fragment; captured in part; contradictory lengths."""

ETHERNET: Final = 1
RAW: Final = 101
COOKED: Final = 113
COOKED_2: Final = 276
LINKS: Final = {0: 4, ETHERNET: 14, RAW: 0, 108: 4, COOKED: 16, 228: 0, 229: 0, COOKED_2: 20}
"""Bytes before the IP packet, by link type: loopback (0; OpenBSD: 108), Ethernet, raw IP, Linux cooked 1 and 2."""
_ETHER_TYPE_AT: Final = {ETHERNET: 12, COOKED: 14, COOKED_2: 0}
_TAGS: Final = (b"\x81\x00", b"\x88\xa8", b"\x91\x00")
"""EtherTypes of a VLAN tag, which has 4 bytes and ends in the next EtherType."""
_TAGS_MOST: Final = 4
_IP: Final = (b"\x08\x00", b"\x86\xdd")
_UDP: Final = 17
_FRAGMENT: Final = 44
_EXTENSIONS: Final = (0, 43, 60)
"""IPv6 extension headers that are skipped: hop-by-hop options, routing, destination options."""
_EXTENSIONS_MOST: Final = 8
_IP4: Final = struct.Struct(">BBHHHBBH4s4s")
_IP6: Final = struct.Struct(">IHBB16s16s")
_HEADER: Final = struct.Struct(">HHHH")


class Endpoint(NamedTuple):
    """An address, packed (4 bytes of IPv4, 16 of IPv6), and a port."""

    address: bytes
    port: int


class Datagram(NamedTuple):
    """The payload of a UDP packet, and its destination port."""

    payload: bytes
    port: int


def build(payload: bytes, source: Endpoint, target: Endpoint) -> bytes:
    """Return an IP packet that carries a datagram.

    Args:
        payload: at most 65,507 bytes over IPv4 and 65,527 over IPv6.
        source: where it comes from; of the same address family as `target`.
        target: where it goes.
    """
    size = _HEADER.size + len(payload)
    pseudo = source.address + target.address + struct.pack(">HH", _UDP, size)
    udp = _HEADER.pack(source.port, target.port, size, 0) + payload
    udp = udp[:6] + checksum(pseudo + udp) + payload
    if len(source.address) == 16:
        return _IP6.pack(6 << 28, size, _UDP, 64, source.address, target.address) + udp
    head = _IP4.pack(0x45, 0, _IP4.size + size, 0, 0x4000, 64, _UDP, 0, source.address, target.address)
    return head[:10] + checksum(head) + head[12:] + udp


def checksum(covered: bytes) -> bytes:
    """Return the Internet checksum (RFC 1071) as 0xFFFF instead of 0; one's complement sums are modulo 65,535."""
    return (0xFFFF - int.from_bytes(covered + bytes(len(covered) % 2)) % 0xFFFF).to_bytes(2)


def find_datagram(link: int, packet: bytes) -> Datagram | Skip:
    """Return the datagram in a packet, or the reason why it has none; `link` is a key of `LINKS`."""
    at = LINKS[link]
    if link in _ETHER_TYPE_AT:
        kind_at = _ETHER_TYPE_AT[link]
        kind = packet[kind_at : kind_at + 2]
        for _ in range(_TAGS_MOST):
            if kind not in _TAGS:
                break
            kind, at = packet[at + 2 : at + 4], at + 4
        if kind not in _IP:
            return "not_udp" if len(packet) >= at else "cut_off"
    match packet[at] >> 4 if at < len(packet) else 0:
        case 4:
            return _in_ipv4(packet[at:])
        case 6:
            return _in_ipv6(packet[at:])
        case _:
            return "malformed" if at < len(packet) else "cut_off"


def _in_ipv4(packet: bytes) -> Datagram | Skip:
    if len(packet) < _IP4.size:
        return "cut_off"
    first, _, total, _, fragment, _, protocol, *_ = _IP4.unpack_from(packet)
    size = (first & 15) * 4
    if protocol != _UDP:
        return "not_udp"
    if fragment & 0x3FFF:  # more fragments follow, or this is not the first one
        return "fragment"
    if size < _IP4.size or total < size:
        return "malformed"
    return _in_udp(packet[size:], total - size)


def _in_ipv6(packet: bytes) -> Datagram | Skip:
    if len(packet) < _IP6.size:
        return "cut_off"
    _, total, kind, *_ = _IP6.unpack_from(packet)
    at = _IP6.size
    for _ in range(_EXTENSIONS_MOST):
        if kind not in _EXTENSIONS:
            break
        if at + 2 > len(packet):
            return "cut_off"
        kind, at = packet[at], at + 8 * (packet[at + 1] + 1)
    if kind == _FRAGMENT:
        return "fragment"
    if kind != _UDP:
        return "not_udp"
    return _in_udp(packet[at:], total + _IP6.size - at)


def _in_udp(packet: bytes, room: int) -> Datagram | Skip:
    """Parse UDP; `room`: bytes left in the IP packet by its own length field."""
    if len(packet) < _HEADER.size:
        return "cut_off" if room >= _HEADER.size else "malformed"
    _, port, size, _ = _HEADER.unpack_from(packet)
    if not _HEADER.size <= size <= room:
        return "malformed"
    return Datagram(packet[_HEADER.size : size], port) if size <= len(packet) else "cut_off"
