"""Compares the totals of the relay with those of the daemon that it is to replace.

The old daemon flushes at an interval since its start, as Graphite lines; the relay closes windows on the wall clock.
The compared span begins and ends at window edges. A flush near an edge may hold samples of both sides of it; these
flushes are the error bound. Without traffic around the edges the bound is 0, and totals must be equal.

Names of the old daemon: namespaces.py, name_mapping.py. Time and totals of its flushes: time_range.py, flushes.py,
totals.py. Comparison and report: matching.py, report_builder.py, report.py. Only receiver.py and stream.py do I/O.
"""
