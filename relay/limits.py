"""Every number of the API and the protocol, each with its source.

Nothing here is configuration: an operator cannot change what the service or the wire allows.
"""

from typing import Final

import xxhash

# --- putMetricData (API document) -------------------------------------------------------------------------------------
POINTS_PER_REQUEST: Final = 50
REQUEST_BYTES: Final = 256_000
"""The document says "256k"; 256,000 is the strictest reading."""
NAME_BYTES: Final = 255
"""Metric and namespace."""
DIMENSIONS_MAX: Final = 5
DIMENSIONS_BYTES: Final = 255
"""Keys and values together; strictest reading: one separator after each key and one after each value count too."""
VALUE_MAX: Final = 9_223_372_036_854_774_784
"""The largest float that prints below the documented 9223372036854775807; values are clamped to +- this."""
POINT_AGE_MAX: Final = 30 * 86_400
"""Seconds; older points are refused by the service."""
WINDOW_SECONDS: Final = 60
"""Aggregated points "shall be reported during the period of 60s"."""

# --- the wire ---------------------------------------------------------------------------------------------------------
DATAGRAM_BYTES: Final = 65_507
"""The largest UDP payload over IPv4 (65,535 - 8 - 20)."""
PACKET_MEMORY: Final = 832
"""Bytes that a small datagram takes of a receive buffer: measured, 256 of them fill the default one of 212,992."""
NAME_READ: Final = 4_096
"""Bytes of a line's name that naming reads; a longer one goes on with a hash of all of it, as `fit` does it."""
SECTION_READ: Final = 4_096 + DIMENSIONS_MAX * (DIMENSIONS_BYTES + 1)
"""Bytes of a section of tags that are read, whole tags only: what any client sends, and five tags as long as all may be
together. The others are dropped tags, so that no line makes more work, and none needs more memory, than this."""
TAGS_READ: Final = 64
"""Tags of a section, and of a name, that are read: each costs a microsecond, and a line at most 100."""
STAND_IN: Final = b"\n"
"""Tags, which no line can hold, of the identity that stands in for those of its name that find no room in the queue for
naming: its series is the overflow series of that name."""
NAMING_WORK: Final = 8 * 1024 * 1024
"""Of what waits for names in a window, counted in bytes of tags that naming reads: 0.3 to 0.4 s of the event loop."""
NAMING_FIXED: Final = 128
"""Work of an identity besides its bytes: 3 us."""
NAMING_OTHERS: Final = 16
"""Further work of a byte beyond ASCII: Punycode is written in Python."""
NEWCOMERS_KEPT: Final = 16
"""Senders of new identities that are told apart."""
NEWCOMER_BYTES: Final = 120
"""Of the name and of the tags of the example that is kept for each."""
DRAIN_DATAGRAMS: Final = 32
"""Taken from a socket at a time: about 1 ms of known lines in full datagrams, 15 ms of new ones."""
STREAM_CHUNK: Final = 16_384
"""Bytes read of a stream at a time: a fraction of a millisecond of known lines, 10 ms of new ones in Python."""
COPY_BYTES: Final = 1_432
"""Of a datagram that a tee makes of a stream's lines. Clients send that much: no IP packet is cut up for it on
Ethernet, where losing one part loses all, and no daemon reads less. Loopback takes more, its daemons may not."""
TEES_MOST: Final = 8
"""Places for targets of copies in a hot path."""
TEES_LEASED: Final = 4
"""Of them, the last ones: for targets on lease; the others are for those of the configuration."""
TIMESTAMP_AHEAD: Final = 60
"""Seconds a DogStatsD `|T` timestamp may lie ahead of the clock."""
YEAR_MIN: Final = 1_577_836_800
"""2020-01-01 UTC: an earlier wall clock is not set yet."""
YEAR_MAX: Final = 4_102_444_800
"""2100-01-01 UTC: a later wall clock is broken; timestamps of 10 digits end in 2286."""

# --- sketches and sets (design decisions that are part of the partial format) -----------------------------------------
QUANTILE_EXACT: Final = 64
"""Samples kept verbatim before a timer turns into log buckets."""
QUANTILE_EXACT_STATSD: Final = 2_048
"""The same where timers are computed as statsd does: 34 samples a second and series, at 32 KiB."""
EXACT_MOST: Final = 32_768
"""No timer keeps more, whatever is asked for: twice as many is more than a uint16 counts."""
SKETCH_ACCURACY: Final = 0.01
"""Relative error; gamma = 1.01 / 0.99."""
SKETCH_BINS: Final = 2_048
"""Per sign; the lowest collapse."""
SKETCH_ZERO: Final = 1e-9
SET_EXACT: Final = 2_048
"""Members kept verbatim before a set turns into a HyperLogLog."""
SET_PRECISION: Final = 14
"""HyperLogLog p: 2**14 registers, standard error 0.81 %."""

# --- windows ----------------------------------------------------------------------------------------------------------
CLOCK_BACK_KEEP: Final = 600
"""Seconds a wall clock may step back before the open window is moved to another id."""
WINDOWS_CLOSING: Final = 4
"""Windows that may wait to be encoded and stored; one that begins behind so many has no series of its own, so that
memory is bounded. Storing gives up a disk after 2 s, so only windows shorter than their own encoding ever get there."""
CLOSE_SLICE: Final = 0.005
"""Seconds of work between two yields to the event loop; the promise is 20 ms."""
CHECKPOINT_RATE: Final = 8 * 1024 * 1024
"""Bytes a second that checkpoints may write; beyond it they come less often."""
CHECKPOINT_SHARE: Final = 0.05
"""Of a core that checkpoints may use; likewise."""
CHECKPOINT_SECONDS: Final = 15.0
"""The longest time between two checkpoints."""
STOP_SECONDS: Final = 4.0
"""How long a stopping relay goes on sending."""
HAND_OVER_SECONDS: Final = 2.0
"""How long a worker that hands over waits for answers to what it has sent."""
WINDOW_LATE: Final = 2.0
"""Seconds after its end by which a window is stored; later ones are told of, but a long window may take its share."""
WINDOW_LATE_SHARE: Final = 0.1
"""Of a window's length: 100,000 series take some seconds of a minute."""
CLOSER_SECONDS: Final = 60.0
"""Without any progress of the closer for so long, the watchdog is not told that all is well."""
REJECTS_KEPT: Final = 64
"""Bad lines kept for display."""
REJECT_BYTES: Final = 120
"""Of each bad line."""
IDENTITIES_PER_SERIES: Final = 4
"""Alias cache: this many identities per `limits.series`."""
OVERFLOW_SHARE: Final = 0.1
"""Of the series slots, reserved for overflow series."""
ALIASES_SHARE: Final = 1 / 4
"""Of `limits.memory`: answers of naming."""
WAITING_SHARE: Final = 1 / 8
"""Of it: what waits for names."""
CLASSES_SHARE: Final = 1 / 8
"""Of it: which class owns which name."""
TABLES_SHARE: Final = 1 / 2
"""Of it: the tables of all windows that are alive, the open one and those that close."""
HASH_BYTES: Final = 9
"""Of what stands for a text that is cut, see `hashed`."""


def fit(text: str, suffix: str = "", *, limit: int = NAME_BYTES) -> str:
    """Return text + suffix within `limit` bytes.

    A longer one ends in "." and 8 hex digits of its XXH32, never in a plain cut: two long names stay two metrics.

    Args:
        text: ASCII, any length.
        suffix: ASCII, a few bytes; always kept whole.
        limit: bytes, at least 9 more than the suffix has.
    """
    whole = text + suffix
    return whole if len(whole) <= limit else cut(text, suffix, of=text, limit=limit)


def cut(text: str, suffix: str = "", *, of: str, limit: int) -> str:
    """Return as much of `text` as `limit` bytes take with the suffix and the hash of another text.

    Args:
        text: ASCII.
        suffix: ASCII; kept whole.
        of: what must stay different from others: `text` stands for it.
        limit: bytes.
    """
    tail = hashed(of) + suffix
    return text[: limit - len(tail)] + tail


def hashed(text: str) -> str:
    """Return what stands for a text that is cut: "." and 8 hex digits of its XXH32."""
    return f".{xxhash.xxh32_hexdigest(text.encode())}"
