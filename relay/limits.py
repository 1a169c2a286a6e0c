"""Numbers of the API, of the wire and of what both hot paths share, each with its source.

None of them is configuration: an operator cannot change what the service or the protocol allows.
"""

from typing import Final

# --- putMetricData (API document) -------------------------------------------------------------------------------------
POINTS_PER_REQUEST: Final = 50
REQUEST_BYTES: Final = 256_000
"""The document says "256k"; 256,000 is the strictest reading."""
NAME_BYTES: Final = 255
"""Longest metric name, and longest namespace."""
DIMENSIONS_MAX: Final = 5
DIMENSIONS_BYTES: Final = 255
"""Keys and values together; strictest reading: one separator after each key and one after each value count too."""
VALUE_MAX: Final = 9_223_372_036_854_774_784
"""The largest float that prints below the documented 9223372036854775807; values are clamped to +- this."""
POINT_AGE_MAX: Final = 30 * 86_400
"""Seconds; the service refuses older points."""
WINDOW_SECONDS: Final = 60
"""Aggregated points "shall be reported during the period of 60s"."""

# --- the wire ---------------------------------------------------------------------------------------------------------
DATAGRAM_BYTES: Final = 65_507
"""The largest UDP payload over IPv4 (65,535 - 8 - 20)."""
PACKET_MEMORY: Final = 832
"""Bytes of a receive buffer that a small datagram occupies: measured, 256 of them fill the default of 212,992."""
NAME_READ: Final = 4_096
"""Bytes of a line's name that naming reads; a longer name is cut and ends in a hash of the whole, as in names.fit."""
SECTION_READ: Final = 4_096 + DIMENSIONS_MAX * (DIMENSIONS_BYTES + 1)
"""Bytes of a tag section that are read, in whole tags: 4,096 for what clients send, and five tags of the largest size.
Further tags are dropped, which bounds the work and the memory of one line."""
TAGS_READ: Final = 64
"""Tags read of a section, and of a name. A tag costs about one microsecond, a line at most 100."""
STAND_IN: Final = b"\n"
"""Tag section of a stand-in identity; no line can hold a line feed. While the queue for naming is full, it replaces the
new identities of the same name. Its series is the overflow series of that name."""
NAMING_WORK: Final = 8 * 1024 * 1024
"""Work of naming queued in one window, in bytes of tags that naming reads: 0.3 to 0.4 s of the event loop."""
NAMING_FIXED: Final = 128
"""Work of an identity besides its bytes, in the same unit: 3 us."""
NAMING_OTHERS: Final = 16
"""Additional work of a non-ASCII byte, in the same unit: Punycode is written in Python."""
RULES_COUNTED: Final = 1024
"""Rules whose dropped samples are counted separately: those with a smaller number."""
TOP_SENDERS: Final = 16
"""Senders of new identities that are counted separately."""
SENDER_EXAMPLE_BYTES: Final = 120
"""Bytes kept of the name, and of the tags, of the example of each such sender."""
DRAIN_DATAGRAMS: Final = 32
"""Datagrams read from a socket at a time: about 1 ms for known lines in full datagrams, 15 ms for new ones."""
STREAM_CHUNK: Final = 16_384
"""Bytes read from a stream at a time: under 1 ms for known lines, 10 ms for new ones in the Python hot path."""
COPY_BYTES: Final = 1_432
"""Size of a datagram that a tee makes of a stream's lines. Clients use the same size: it avoids IP fragmentation on
Ethernet, and every daemon reads that much. Loopback carries more, but its daemons may read less."""
TEES_MOST: Final = 8
"""Targets of copies in a hot path."""
TEES_TEMPORARY: Final = 4
"""The last of the TEES_MOST targets: reserved for temporary tees. The others are for tees of the configuration."""
TIMESTAMP_AHEAD: Final = 60
"""Seconds a DogStatsD `|T` timestamp may lie ahead of the clock."""
YEAR_MIN: Final = 1_577_836_800
"""2020-01-01 UTC: an earlier wall clock has not been set yet."""
YEAR_MAX: Final = 4_102_444_800
"""2100-01-01 UTC: a later wall clock is broken; timestamps of 10 digits end in 2286."""

# --- sketches and sets (design decisions that are part of the partial format) -----------------------------------------
QUANTILE_EXACT: Final = 64
"""Samples kept verbatim before a timer turns into log buckets."""
QUANTILE_EXACT_STATSD: Final = 2_048
"""The same with percentile_style = "statsd": 34 samples a second for each series, in 32 KiB."""
EXACT_MOST: Final = 32_768
"""Largest number of samples that a timer keeps verbatim, with any configuration: twice as many overflow a uint16."""
SKETCH_ACCURACY: Final = 0.01
"""Relative error; gamma = 1.01 / 0.99."""
SKETCH_BINS: Final = 2_048
"""Bins per sign; beyond, the lowest bins collapse."""
SKETCH_ZERO: Final = 1e-9
SET_EXACT: Final = 2_048
"""Members kept verbatim before a set turns into a HyperLogLog."""
SET_PRECISION: Final = 14
"""HyperLogLog p: 2**14 registers, standard error 0.81 %."""

# --- the time of a stop, and sizes that both hot paths share ----------------------------------------------------------
STOP_SECONDS: Final = 4.0
"""How long a stopping relay continues to send."""
TAPS_MOST: Final = 4
"""Taps of received lines at a time."""
TAPPED_LINES: Final = 1_000
TAPPED_BYTES: Final = 1 << 20
"""Lines, and their bytes, that wait for the reader of a tap."""
TAP_NAME: Final = 512
"""Bytes of a name that a tap compares."""
TAP_TEXT: Final = 255
"""Longest pattern and longest tag of a tap, in bytes."""
SENDERS_MOST: Final = 1_024
"""Senders whose packets and lines are counted separately."""
SENDER_SILENT: Final = 600.0
"""Seconds without a packet after which a sender's place may go to another one."""
REJECTS_KEPT: Final = 64
"""Rejected lines kept for display."""
REJECT_BYTES: Final = 120
"""Bytes kept of each rejected line."""
IDENTITIES_PER_SERIES: Final = 4
"""Size of the cache of identities, as a multiple of `limits.series`."""
OVERFLOW_SHARE: Final = 0.1
"""Share of the series slots reserved for overflow series."""
IDENTITIES_SHARE: Final = 1 / 4
"""Share of `limits.memory` for the cache of identities: the answers of naming."""
PENDING_SHARE: Final = 1 / 8
"""Share of `limits.memory` for the queue of identities that wait for naming."""
CLASSES_SHARE: Final = 1 / 8
"""Share of `limits.memory` for the table of which class owns which name."""
TABLES_SHARE: Final = 1 / 2
"""Share of `limits.memory` for the tables of the open window and of those being closed."""
