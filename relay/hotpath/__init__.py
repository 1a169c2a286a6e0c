"""The hot path: bytes of datagrams become rollups. It reads no clock, logs nothing and is bounded in every direction.

The walk of a line: aggregator (counts) -> keys (seen before: append) -> line (grammar) -> store (identity, fate)
-> table (admission) -> cell (arithmetic); partial is the form on disk. What window.py and app.py ask for is the seam
that a native implementation fills; this one stays as its specification.
"""
