"""Datagrams of an attacker or of a broken client."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

VALID = [
    b"web.hits:1|c",
    b"web.time:12.5|ms|@0.1|#env:prod,zone:a",
    b"pool:+3|g",
    b"users:u1|s|#a:b",
    b"lat:1:2:3|h|T1764000000",
    b"_e{5,4}:title|text|#a:b",
    b"_sc|check|0|m:fine",
    b"a;env=prod:1|c",
    b"old:1|c:2|ms",
    b"x:1|d|c:ci-1|e:y|card:low",
]


def mutated(rng: random.Random) -> bytes:
    """Return valid lines with some bytes added, removed and changed."""
    datagram = bytearray(b"\n".join(rng.choice(VALID) for _ in range(rng.randrange(1, 6))))
    for _ in range(rng.randrange(4)):
        where = rng.randrange(len(datagram) + 1)
        match rng.randrange(3):
            case 0:
                datagram[where:where] = bytes([rng.choice(b":|@#,;=.\n\r+-0eTgcms\x00\xff")])
            case 1:
                del datagram[where : where + rng.randrange(1, 4)]
            case _:
                datagram[where : where + 1] = bytes([rng.randrange(256)])
    return bytes(datagram)
