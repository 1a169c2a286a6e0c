"""The hot path: bytes of datagrams become rollups.

Invariants: reads no clock and logs nothing (I7); memory is bounded by configuration (I6).

contract.py is the contract, with two implementations: python/ is readable, native/ is fast. One test suite runs on
both. They share line.py (the grammar), sketch.py (quantiles and sets), partial.py and records.py (the format on disk)
and explain.py (why a line is rejected). factory.py selects the implementation.

The path of a line in python/: hotpath (counts) -> line_cache (seen before: append) -> line (grammar) -> store
(identity, accept or drop) -> table (admission) -> cell (arithmetic). In native/kernel/: receive (sockets) -> feed
(known lines) -> scan, line (grammar) -> identity, cell; or slow_path (new identities, timestamps, overflow).

Terms of both:

- pending: an identity that naming has not answered yet, and its samples, which are merged into a series later.
- alias: an identity with an answer. Aliases are a cache; naming is asked again for an evicted one.
- overflow series: takes the samples of a metric beyond its limit of series.
- stand-in: an identity that leads to the overflow series of its name, while the queue for naming is full.
- catch-all series: one for each class, for samples that find no other series.
- base: the value to which a gauge's next delta is added; it outlives windows.
- generation (native): number of the state of the tables, under which an identity caches its cell.

Does not know: the names that are sent, the cloud, the disk.
"""
