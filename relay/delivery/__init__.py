"""Delivery: points become batches, batches wait in the spool, the sender pool brings them to the cloud.

The walk: batcher (pack), spool (store, lease, done), pool (workers), way and transport (HTTP), settlement (where points
leave the books). checkpoint keeps the open window over a death, state_directory makes sure that nobody else writes
there.

Whether and when a request may leave is asked of gate, which asks rate (the quota), breaker and systemic (the cloud is
down, or refuses everything), retry and spread. What came back goes through reporter (log, clock skew) and doubts; trial
finds the bad points of a refused batch. Points that die: dead_letters over letter_files and letters; a command takes
them out (taking) and a relay sends them again (replay). inspection looks at it all from another process.

The spool has three layers. On the loop: spool (what waits, in its lanes; the ledger) over spool_writer (pending jobs,
bodies in memory, degraded mode), or memory_writer without a directory. In the thread: spool_database (transactions,
quota) with spool_schema, spool_file, spool_errors and ballast. lanes, room, filling,
pending and bodies decide and do no I/O.

Not known here: what a point means. What an answer of the cloud means is told by a `Cloud` (see pool.py).
"""
