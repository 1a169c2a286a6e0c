"""JSON of the API. Only this module imports orjson, which sometimes has no wheel for the newest Python."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson


class _Body(msgspec.Struct):
    """A request with undecoded points."""

    metricDataList: list[msgspec.Raw]  # noqa: N815 - the API's name


_BODIES = msgspec.json.Decoder(_Body)


def encode(value: object) -> bytes:
    """Return compact JSON; NaN and infinity would become null, so callers clamp values."""
    return orjson.dumps(value)


def decode(text: bytes) -> Any:  # noqa: ANN401 - JSON from outside is anything
    """Decode JSON.

    Raises:
        ValueError: the text is not JSON.
    """
    return orjson.loads(text)


def split(body: bytes) -> list[bytes]:
    """Return the points of a request, with exactly the bytes of its body.

    Raises:
        ValueError: the body is not a request.
    """
    return [bytes(point) for point in _BODIES.decode(body).metricDataList]


def read_object(text: bytes) -> dict[str, Any] | None:
    """Return a JSON object with its keys in lower case; None for anything else."""
    try:
        value = decode(text)
    except ValueError:
        return None
    return lower_keys(value) if isinstance(value, dict) else None


def lower_keys(value: object) -> dict[str, Any]:
    """Return an object with its keys in lower case; {} if the value is no object, or two keys become equal."""
    if not isinstance(value, dict):
        return {}
    lowered = {str(key).lower(): item for key, item in value.items()}
    return lowered if len(lowered) == len(value) else {}


def words_of(value: object) -> str:
    """Return a text or a number as text; "" for other values, since a nested value has no bound in depth."""
    return str(value) if isinstance(value, (str, int, float)) and value is not False else ""
