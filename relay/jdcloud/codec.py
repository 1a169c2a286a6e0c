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


def read_object(text: bytes) -> dict[str, Any] | None:
    """Return a JSON object with its keys in lower case; None for anything else."""
    try:
        value = decode(text)
    except ValueError:
        return None
    return lower_keys(value) if isinstance(value, dict) else None


def lower_keys(value: object) -> dict[str, Any]:
    """Return an object with its keys in lower case; nothing for what is no object, or says a key twice."""
    if not isinstance(value, dict):
        return {}
    lowered = {str(key).lower(): item for key, item in value.items()}
    return lowered if len(lowered) == len(value) else {}


def words_of(value: object) -> str:
    """Return a text or a number of an answer as text; nothing for what is neither: its depth has no bound."""
    return str(value) if isinstance(value, (str, int, float)) and value is not False else ""
