"""A tap: which received lines a person watches, and what a hot path returns. kernel/taps.h describes the rules."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, TypeAlias

Of: TypeAlias = Literal["all", "rejected", "dropped", "undecided"]
"""undecided: the samples may be dropped, since the name waits for naming; the reader decides."""


class TapFilter(NamedTuple):
    """What a tap matches; every condition must hold."""

    of: Literal["all", "rejected", "dropped"] = "all"
    pattern: bytes = b""
    """Glob of received names, with or without their inline tags: `*` any text, `?` one byte; empty: all names."""
    tag: bytes = b""
    """`key=value` as received in a section of tags or in a name; empty: any."""
    sender: str = ""
    """Address or network (CIDR); empty: any."""
    rate: float = 20.0
    """Lines a second that are returned, with a burst of a second; the others are counted."""


class TappedLine(NamedTuple):
    """A line that a tap matched."""

    line: bytes
    """Without blanks at its end."""
    time: float
    """Receive time."""
    host: str | None
    """Address of the sender; None: a Unix socket, see `listener`."""
    listener: int
    of: Of
    """What is known of it; `all`: nothing."""
    reason: str
    """Why it was rejected, or its samples dropped; "" if that is not known."""


class TapCounts(NamedTuple):
    """Counts since a tap began. matched == hidden + lost + the lines returned; undecided lines are not in it."""

    received: int
    """Lines of any kind."""
    matched: int
    hidden: int
    """Beyond the rate."""
    lost: int
    """The reader was slow."""
    unjudged: int
    """Undecided lines beyond the rate, or lost."""


def tag_texts(tag: bytes) -> tuple[bytes, bytes]:
    """Return a tag `key=value` as `key:value`, its form after `|#`, and as it is, its form in names."""
    key, _, value = tag.partition(b"=")
    return b"%b:%b" % (key, value), tag


def regex_of_glob(pattern: bytes) -> bytes:
    """Return a regex in which each star is tried once for each text after it: no name takes exponential time."""
    first, *texts = (re.escape(text).replace(rb"\?", b".") for text in pattern.split(b"*"))
    return first + b"".join(b"(?>.*?%b)" % text for text in texts[:-1]) + (b".*%b" % texts[-1] if texts else b"")


class Allowance:
    """State: how many lines a rate allows now, with a burst of a second."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate = self._left = rate
        self._at = now

    def use(self, now: float) -> bool:
        """Return whether one more line fits."""
        if now > self._at:
            self._left += (now - self._at) * self._rate
        self._left = min(self._left, self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
