"""JSON of the API; the only file that imports orjson, which has no wheel for the newest Pythons at times."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson


class _Body(msgspec.Struct):
    """A request, its points unread."""

    metricDataList: list[msgspec.Raw]  # noqa: N815 - the API's name


_BODIES = msgspec.json.Decoder(_Body)


def encode(value: object) -> bytes:
    """Return compact JSON; a float that JSON cannot carry would become null, so callers clamp."""
    return orjson.dumps(value)


def decode(text: bytes) -> Any:  # noqa: ANN401 - JSON from outside is anything
    """Read JSON.

    Raises:
        ValueError: it is none.
    """
    return orjson.loads(text)


def split(body: bytes) -> list[bytes]:
    """Return the points of a request, byte for byte as they stand in its body.

    Raises:
        ValueError: it is no request.
    """
    return [bytes(point) for point in _BODIES.decode(body).metricDataList]
