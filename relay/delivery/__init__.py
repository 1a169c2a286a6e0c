"""Delivery: points become batches, batches wait in the spool, the sender pool brings them to the cloud.

The parts in the order of the walk: batcher (pack), spool (store, lease, done), pool (workers) with retry (back-off),
rate (token bucket), transport (HTTP) and dead_letters (what was refused); checkpoint keeps the open window over a
death, state_directory makes sure that nobody else writes there.

The spool has three layers. On the loop: spool (what waits, in its lanes; the ledger) over spool_writer (pending jobs,
bodies in memory, degraded mode), or memory_writer without a directory. In the thread: spool_database (transactions,
quota) with spool_schema, spool_file, spool_errors and ballast. lanes, room, filling,
pending and bodies decide and do no I/O.

Not known here: what a point means. What an answer of the cloud means is told by a `Cloud` (see pool.py).
"""
