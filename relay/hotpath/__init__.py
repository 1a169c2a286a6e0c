"""The hot path: bytes of datagrams become rollups.

Invariants: reads no clock and logs nothing (I7); memory is bounded by configuration (I6).

contract.py is the contract, with two implementations: python/ is readable, native/ is fast. One test suite runs on
both. They share line.py (the grammar), sketch.py (quantiles and sets), partial.py and records.py (the format on disk)
and explain.py (why a line is rejected). factory.py selects the implementation.

The path of a line in python/: hotpath (counts) -> line_cache (seen before: append) -> line (grammar) -> store
(identity, accept or drop) -> table (admission) -> cell (arithmetic).

Does not know: the names that are sent, the cloud, the disk.
"""
