"""Points for faults inside a relay: the functions and statements that are wrapped.

A point is before or after a function, `module:Class.function`, or before an SQL statement with a given beginning. A
missing function ends the process that loads its module, and fails tests/meta/test_suite.py.
"""

from __future__ import annotations

from typing import NamedTuple


class Point(NamedTuple):
    """One point."""

    name: str
    target: str
    """`module:Class.function`, or `sql:` and the beginning of a statement."""
    after: bool = False


COMMIT = (
    Point("tables swapped", "relay.window.closer:Closer._swap", after=True),
    Point("window named", "relay.window.storing:ClosingWindows.add"),
    Point("window encoded", "relay.delivery.spool.spool:Spool.store"),
    Point("transaction begins", "sql:BEGIN"),
    Point("window id is written", "sql:INSERT OR IGNORE INTO windows"),
    Point("gauges are written", "sql:INSERT OR REPLACE INTO state"),
    Point("requests are written", "sql:INSERT OR REPLACE INTO batches"),
    Point("transaction commits", "sql:COMMIT"),
    Point("transaction committed", "relay.delivery.spool.database:Database.write", after=True),
    Point("window stored", "relay.delivery.spool.spool:Spool.store", after=True),
    Point("window accounted for", "relay.window.storing:ClosingWindows._account", after=True),
    Point("checkpoint is removed", "relay.delivery.state.checkpoint:CheckpointFiles.drop"),
    Point("checkpoint removed", "relay.delivery.state.checkpoint:CheckpointFiles.drop", after=True),
    Point("checkpoint is written", "relay.delivery.state.private_files:write_lines"),
    Point("checkpoint written", "relay.delivery.state.private_files:write_lines", after=True),
    Point("request leaves", "relay.delivery.transport:HttpTransport.post"),
    Point("request answered", "relay.delivery.transport:HttpTransport.post", after=True),
    Point("request done", "relay.delivery.spool.spool:Spool.done", after=True),
    Point("request is deleted", "sql:DELETE FROM batches"),
    Point("request deleted", "relay.delivery.spool.database:Database.delete", after=True),
)
"""The steps of a window's commit, in order; a kill at any of them must not count anything twice."""

STAGES = (
    Point("listener", "relay.listener.kernel_drops:KernelDropWatch.check"),
    Point("naming", "relay.naming:Namer.resolve"),
    Point("closer", "relay.window.closer:Closer.tick"),
    Point("encoder", "relay.jdcloud.points:PointEncoder.encode_point"),
    Point("batcher", "relay.delivery.batcher:pack"),
    Point("checkpoint", "relay.delivery.state.checkpoint:Checkpointer.save"),
    Point("spool, on the loop", "relay.delivery.spool.spool:Spool.store"),
    Point("spool, writing", "relay.delivery.spool.database:Database.write"),
    Point("spool, leasing", "relay.delivery.spool.spool:Spool.lease"),
    Point("spool, deleting", "relay.delivery.spool.database:Database.delete"),
    Point("sender", "relay.delivery.sender.pool:SenderPool._acquire_turn"),
    Point("signer", "relay.jdcloud.cloud:JDCloud.request_headers"),
    Point("transport", "relay.delivery.transport:HttpTransport.post"),
    Point("classifier", "relay.jdcloud.cloud:JDCloud.classify"),
    Point("sender, recording", "relay.delivery.sender.outcomes:Outcomes.record"),
    Point("admin", "relay.admin.http.metrics:Scrapes.text"),
    Point("reporter", "relay.daemon.reports.reporter:Reporter.closed"),
)
"""One function of each stage, for exceptions."""

POINTS = {point.name: point for point in (*COMMIT, *STAGES)}
