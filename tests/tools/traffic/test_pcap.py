"""Files of tcpdump and of the relay, their packets, and every kind of damage."""

from __future__ import annotations

import base64
import json
import struct
from collections import Counter
from io import BytesIO
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.tools.traffic import pcap
from relay.tools.traffic.packet import LINKS, Datagram, Endpoint, build, find_datagram
from relay.tools.traffic.pcap import FormatError, PcapReader, Received

VECTORS = [json.loads(line) for line in (Path(__file__).parents[2] / "vectors/pcaps.jsonl").read_text().splitlines()]
"""Recorded by tcpdump on a loopback interface; times as it prints them."""
FOUR = Endpoint(ip_address("127.0.0.1").packed, 40_000), Endpoint(ip_address("10.1.2.3").packed, 8125)
SIX = Endpoint(ip_address("::1").packed, 40_000), Endpoint(ip_address("fd00::2").packed, 8125)
TIME = 1_795_651_742_142_176_789


def open_file(content: bytes, port: int = 0) -> PcapReader:
    return PcapReader(BytesIO(content), Counter(), port=port)


def file_of(*records: bytes) -> bytes:
    return pcap.begin() + b"".join(records)


def foreign_file(link: int, *packets: bytes, order: str = "<", magic: int = 0xA1B2C3D4, size: int = 0) -> bytes:
    head = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 262_144, link)
    return head + b"".join(
        struct.pack(f"{order}IIII", 7, 8, len(packet), max(size, len(packet))) + packet for packet in packets
    )


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_what_tcpdump_wrote(vector):
    reader = open_file(base64.b64decode(vector["file"]))
    assert [(time, payload.decode()) for time, payload in reader] == [tuple(pair) for pair in vector["datagrams"]]
    assert reader.skipped == vector["skipped"]
    assert reader.damage == ""
    assert reader.offset == len(base64.b64decode(vector["file"]))


@given(
    st.lists(st.tuples(st.integers(0, 2**32 * 10**9 - 1), st.binary(max_size=300), st.sampled_from([FOUR, SIX]))),
)
def test_what_is_written_is_read(datagrams):
    content = file_of(*(pcap.record(time, payload, *ends) for time, payload, ends in datagrams))
    reader = open_file(content)
    assert list(reader) == [Received(time, payload) for time, payload, _ in datagrams]
    assert not reader.skipped
    assert reader.offset == len(content)


@pytest.mark.parametrize(("ends", "largest"), [(FOUR, 65_507), (SIX, 65_527)])
def test_the_largest_datagram(ends, largest):
    assert find_datagram(101, build(b"x" * largest, *ends)) == Datagram(b"x" * largest, 8125)


@pytest.mark.parametrize("ends", [FOUR, SIX])
@pytest.mark.parametrize("payload", [b"", b"a:1|c", b"a:12|c", b"\xff" * 500])
def test_checksums_are_right(ends, payload):
    """By the receiver's rule: the words, with the checksum, add up to 0xffff."""

    def fold(content: bytes) -> int:
        content += bytes(len(content) % 2)
        total = sum(struct.unpack(f">{len(content) // 2}H", content))
        while total > 0xFFFF:
            total = (total & 0xFFFF) + (total >> 16)
        return total

    packet = build(payload, *ends)
    udp = packet[-8 - len(payload) :]
    assert fold(ends[0].address + ends[1].address + struct.pack(">HH", 17, len(udp)) + udp) == 0xFFFF
    if ends is FOUR:
        assert fold(packet[:20]) == 0xFFFF


VLAN = b"\x81\x00\x00\x07"
MACS = bytes(12)
DATAGRAM = Datagram(b"a:1|c", 8125)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("link", "front"),
    [
        (0, {FOUR: b"\x02\0\0\0", SIX: b"\0\0\0\x1e"}),
        (108, {FOUR: b"\0\0\0\x02", SIX: b"\0\0\0\x18"}),
        (1, {FOUR: MACS + b"\x08\x00", SIX: MACS + b"\x86\xdd"}),
        (1, {FOUR: MACS + VLAN + b"\x08\x00", SIX: MACS + b"\x88\xa8\0\x02" + VLAN + b"\x86\xdd"}),
        (101, {FOUR: b"", SIX: b""}),
        (228, {FOUR: b""}),
        (229, {SIX: b""}),
        (113, {FOUR: bytes(14) + b"\x08\x00", SIX: bytes(14) + VLAN + b"\x86\xdd"}),
        (276, {FOUR: b"\x08\x00" + bytes(18), SIX: b"\x81\x00" + bytes(18) + VLAN[2:] + b"\x86\xdd"}),
    ],
)
def test_every_link_type(link, front, order):
    packets = [head + build(DATAGRAM.payload, *ends) + b"trailer" for ends, head in front.items()]
    reader = open_file(foreign_file(link, *packets, order=order))
    assert [received.payload for received in reader] == [DATAGRAM.payload] * len(packets)
    assert next(iter(open_file(foreign_file(link, *packets, order=order)))).time == 7_000_008_000
    assert {find_datagram(link, packet) for packet in packets} == {DATAGRAM}


def test_extensions_of_ipv6_are_walked():
    packet = build(b"a:1|c", *SIX)
    head, udp = packet[:40], packet[40:]

    def extended(kind: int, *extensions: bytes) -> bytes:
        rest = b"".join(extensions) + udp
        return head[:4] + struct.pack(">HB", len(rest), kind) + head[7:] + rest

    options, routing = b"\x2b\x00" + bytes(6), b"\x11\x01" + bytes(14)
    assert find_datagram(101, extended(0, options, routing)) == DATAGRAM
    assert find_datagram(101, extended(44, bytes(8))) == "fragment"
    assert find_datagram(101, extended(58)) == "not_udp"
    assert find_datagram(101, extended(0, *[b"\x00\x00" + bytes(6)] * 9)) == "not_udp"
    assert find_datagram(101, extended(0, b"\x11\xff" + bytes(6))) == "malformed"


def test_packets_without_a_datagram():
    four, ethernet = build(b"a:1|c", *FOUR), MACS + b"\x08\x00"
    tcp = four[:9] + b"\x06" + four[10:]
    assert find_datagram(101, tcp) == "not_udp"
    assert find_datagram(1, MACS + b"\x08\x06" + bytes(28)) == "not_udp"
    assert find_datagram(101, four[:6] + b"\x20\x00" + four[8:]) == "fragment"
    assert find_datagram(101, four[:6] + b"\x00\xb9" + four[8:]) == "fragment"
    assert find_datagram(101, b"\x44" + four[1:]) == "malformed"
    assert find_datagram(101, b"\x05" + four[1:]) == "malformed"
    assert find_datagram(101, four[:2] + b"\x00\x1e" + four[4:]) == "malformed"
    assert {find_datagram(1, (ethernet + four)[:size]) for size in range(14, 14 + len(four))} == {"cut_off"}
    options = bytes([0x46]) + four[1:2] + struct.pack(">H", len(four) + 4) + four[4:20] + bytes(4) + four[20:]
    assert find_datagram(101, options) == DATAGRAM


def test_a_packet_that_lies_is_malformed_and_a_short_one_cut_off():
    cut = build(b"a:1|c", *FOUR)[:-1]
    reader = open_file(foreign_file(101, cut))
    assert list(reader) == []
    assert reader.skipped == {"malformed": 1}
    reader = open_file(foreign_file(101, cut, size=60))
    assert list(reader) == []
    assert reader.skipped == {"cut_off": 1}


def test_one_port_alone():
    records = [pcap.record(TIME, payload, *FOUR) for payload in (b"a", b"b")]
    assert len(list(open_file(file_of(*records), port=8125))) == 2
    reader = open_file(file_of(*records), port=53)
    assert list(reader) == []
    assert reader.skipped == {"other_port": 2}


@pytest.mark.parametrize(
    ("content", "said", "fix"),
    [
        (b"", "is empty", "tcpdump -w"),
        (b"a:1|c\n" * 10, "is not a pcap file", "tcpdump -w"),
        (pcap.begin()[:23], "is cut off within its head", "tcpdump -w"),
        (b"\x0a\x0d\x0d\x0a" + bytes(40), "is pcapng", "editcap -F nsecpcap {file} {file}.pcap"),
        (b"\x34\xcd\xb2\xa1" + bytes(40), "is a modified pcap", "editcap -F nsecpcap {file} {file}.pcap"),
        (b"\x1f\x8b" + bytes(40), "is compressed", "gunzip it first"),
        (foreign_file(105), "has packets of link type 105", "tcpdump -i any"),
    ],
)
def test_files_that_are_refused(content, said, fix):
    with pytest.raises(FormatError, match=said) as caught:
        open_file(content)
    assert fix in caught.value.fix


def test_what_is_whole_of_a_damaged_file_is_used():
    records = [pcap.record(TIME + number, b"a:1|c", *FOUR) for number in range(3)]
    whole = file_of(*records)
    for size in range(24, len(whole)):
        reader = open_file(whole[:size])
        count, rest = divmod(size - 24, len(records[0]))
        assert len(list(reader)) == count
        assert reader.offset == 24 + count * len(records[0])
        assert reader.damage == ("" if rest == 0 else f"ends within {'the head of ' if rest < 16 else ''}a packet")
    for bad in (struct.pack("<IIII", 1, 10**9, 5, 5), struct.pack("<IIII", 1, 1, 262_145, 262_145)):
        reader = open_file(file_of(records[0], bad, records[1]))
        assert len(list(reader)) == 1
        assert (reader.damage, reader.offset) == ("holds no packet", 24 + len(records[0]))


@given(st.sampled_from(sorted(LINKS)), st.binary(max_size=120))
def test_no_packet_is_fatal(link, packet):
    """Any bytes give a datagram within them, or a reason."""
    found = find_datagram(link, packet)
    assert found in ("not_udp", "fragment", "cut_off", "malformed") or found.payload in packet


@given(st.data())
def test_no_change_of_a_packet_is_fatal(data):
    packet = bytearray(MACS + VLAN + b"\x86\xdd" + build(b"a:1|c", *SIX))
    for _ in range(data.draw(st.integers(1, 4))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(packet[: data.draw(st.integers(0, len(packet)))])
    found = find_datagram(1, cut)
    assert found in ("not_udp", "fragment", "cut_off", "malformed") or found.payload in cut


@given(st.binary(max_size=200))
def test_no_file_is_fatal(content):
    """After a valid header: packets, then the end or the offset of the damage; no packet is invented."""
    reader = open_file(pcap.begin() + content)
    found = list(reader)
    assert all(received.payload in content for received in found)
    assert reader.offset <= 24 + len(content)
    assert bool(reader.damage) == (reader.offset < 24 + len(content))
