"""Delivery: points become batches, batches wait in the spool, the sender pool brings them to the cloud.

The parts in the order of the walk: batcher (pack), spool (store, lease, done), pool (workers) with retry (back-off),
rate (token bucket), transport (HTTP) and dead_letters (what was refused); checkpoint keeps the open window over a
death. Not known here: what a point means. What an answer of the cloud means is told by a `Cloud` (see pool.py).
"""
