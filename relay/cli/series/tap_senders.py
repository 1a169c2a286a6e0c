"""Finds out who sends a name: a tap of some seconds on the running relay."""

from __future__ import annotations

import http.client
import time
from collections import defaultdict
from contextlib import closing
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import msgspec

from relay.admin.answers.tap import TapEvent, TapLine, TapTotals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relay.cli.running.admin_client import Address

_EVENTS: Final = msgspec.json.Decoder(TapEvent)
_ENOUGH: Final = 1.0
"""Seconds without another sender after which the tap ends, once there is one."""
_TIMEOUT: Final = 5.0
_SENDERS_MOST: Final = 1000

Dimensions = tuple[tuple[str, str], ...]


def find_senders(address: Address, names: list[str], seconds: float) -> Mapping[Dimensions, list[str]]:
    """Return the senders of lines with one of these names, by the dimensions of their series as sent.

    Args:
        address: of the admin port.
        names: as received; each has a tap of its own, one after the other.
        seconds: most time for all taps together.

    Returns:
        Nothing where no line came, or where the relay refuses another tap: four run at most.
    """
    found: defaultdict[Dimensions, dict[str, None]] = defaultdict(dict)
    ends = time.monotonic() + seconds
    for number, name in enumerate(names):
        share = max(0.0, ends - time.monotonic()) / (len(names) - number)
        for event in _lines(address, name, share):
            senders = found[tuple(sorted(event.dimensions.items()))]
            if len(senders) < _SENDERS_MOST:
                senders[event.sender] = None
    return {dimensions: sorted(senders) for dimensions, senders in found.items()}


def _lines(address: Address, name: str, seconds: float) -> Iterator[TapLine]:
    """Yield the lines of a tap; it ends early if no other sender comes."""
    if seconds <= 0:
        return
    glob = "".join(f"[{char}]" if char in "*?[" else char for char in name)
    query = urlencode({"glob": glob, "rate": 1000, "seconds": seconds}, errors="surrogateescape")
    known: set[str] = set()
    newest = time.monotonic()
    with closing(http.client.HTTPConnection(*address, timeout=_TIMEOUT)) as connection:
        try:
            connection.request("GET", f"/api/v1/tap?{query}")
            answer = connection.getresponse()
            while answer.status == 200 and (text := answer.readline()):
                event = _EVENTS.decode(text)
                if isinstance(event, TapLine):
                    newest = newest if event.sender in known else time.monotonic()
                    known.add(event.sender)
                    yield event
                if (known and time.monotonic() > newest + _ENOUGH) or (isinstance(event, TapTotals) and event.is_last):
                    return
        except (OSError, http.client.HTTPException, msgspec.MsgspecError):
            return  # what was found so far is shown: the answer about the name is complete without it
