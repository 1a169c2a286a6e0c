"""Dead letters for tests."""

from __future__ import annotations

import json

import msgspec

from relay.delivery.dead_letters.format import DeadLetter, LetterReader, encode_letter, letter_files

WINDOW = 1_764_000_000


def point(number: int, *, window: int = WINDOW, metric: str = "web.hits") -> bytes:
    values = {"sum": number, "count": 1}
    named = {"namespace": "n", "metric": metric, "dimensions": {"host": "h", "n": str(number)}}
    return json.dumps({**named, "timestamp": window, "type": 2, "values": values}).encode()


def line(number: int, *, window: int = WINDOW, metric: str = "web.hits", reason: str = "refused_point") -> bytes:
    letter = DeadLetter(
        time="2025-11-24T16:00:00+00:00",
        reason=reason,
        detail="no",
        request_id=f"r{number}",
        http=400,
        window=window,
        point=msgspec.Raw(point(number, window=window, metric=metric)),
    )
    return encode_letter(letter) + b"\n"


def points_in(directory) -> list[bytes]:
    return [bytes(read.letter.point) for read in LetterReader().read(letter_files(directory))]
