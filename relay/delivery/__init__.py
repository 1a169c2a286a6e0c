"""Delivery: points become batches, batches wait in the spool, the sender pool brings them to the cloud.

    batcher         points -> request bodies, bounded in points and in bytes
    spool/          batches waiting to be sent: their order, in memory, on disk (writer, database, file)
    sender/         pool (workers) asks gate when a request may be sent; gate asks rate and breaker. outcomes counts
                    each point as delivered, refused or dropped; bisect and quarantine find bad points of a batch
    transport       HTTP; bounded_http bounds what precedes the body of a response
    dead_letters/   copies of refused and dropped points; redrive moves them to a replay file, replayer spools them
    state/          the state directory: its lock and owner, the checkpoint of the open window, inspection from outside
    disk_thread     a thread for disk calls that may block for good

Not known here: what a point means. A `Cloud` (see sender/pool.py) interprets the answers.
"""
