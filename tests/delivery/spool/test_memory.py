"""The write queue: which batches stay in memory while the disk refuses."""

from __future__ import annotations

from relay.delivery.spool.memory import Job, StoredBatch, WriteQueue


async def test_bodies_of_done_batches_are_freed_while_the_disk_refuses():
    queue = WriteQueue()
    rows = [StoredBatch(id=number, window=60, points=1, body=b"body") for number in range(3)]
    queue.pin(rows, {})
    queue.jobs.append(Job(rows=rows, windows=[60]))
    queue.remove(0)
    queue.remove(2)
    queue.settle_all()
    [job] = queue.jobs
    assert (job.rows, job.windows, job.settled.done()) == ([rows[1]], [60], True)
