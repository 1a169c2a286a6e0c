"""The hot path: bytes of datagrams become rollups. It reads no clock, logs nothing and is bounded in every direction.

contract.py is the seam, with two implementations: python/ is readable, native/ is fast; one set of tests runs on both.
What they share is beside them: line.py (the grammar), sketch.py (quantiles and sets), partial.py and records.py (the
form on disk), explain.py (why a line is bad). factory.py chooses.

The way of a line in python/: hotpath (counts) -> line_cache (seen before: append) -> line (grammar) -> store (identity,
fate) -> table (admission) -> cell (arithmetic).
"""
