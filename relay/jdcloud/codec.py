"""JSON of the API; the only file that imports orjson, which has no wheel for the newest Pythons at times."""

from __future__ import annotations

from typing import Any

import orjson


def encode(value: object) -> bytes:
    """Return compact JSON; a float that JSON cannot carry would become null, so callers clamp."""
    return orjson.dumps(value)


def decode(text: bytes) -> Any:  # noqa: ANN401 - JSON from outside is anything
    """Read JSON.

    Raises:
        ValueError: it is none.
    """
    return orjson.loads(text)
