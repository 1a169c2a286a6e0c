"""Delivery: points become batches, batches wait in the spool, the sender pool brings them to the cloud.

    batcher         points -> requests of at most so many points and bytes
    spool/          requests that wait: which is next (order), in memory, on disk (writer, database, file)
    sender/         pool (workers) asks gate when a request may leave; gate asks rate and breaker. outcomes takes what
                    an answer means into the books; bisect and quarantine find the bad points of a refused batch
    transport       HTTP; head bounds what comes before an answer's body
    dead_letters/   points that were refused or dropped; redrive takes them out for a command, replayer sends them again
    state/          the state directory: whose it is, the checkpoint of the open window, inspection by another process
    disk_thread     calls that wait for a disk, and may hang in it

Not known here: what a point means. What an answer of the cloud means is told by a `Cloud` (see sender/pool.py).
"""
