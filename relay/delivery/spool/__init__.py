"""The spool: batches waiting to be sent, in memory and on disk."""
