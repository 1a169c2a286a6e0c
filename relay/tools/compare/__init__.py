"""Two daemons beside each other: are their totals the same?

The old daemon flushes every few seconds since its start, in Graphite's lines; the relay closes windows on the wall
clock. A span begins and ends at edges of windows. Flushes that may hold samples of both sides of an edge are the error
bound; without traffic around the edges there is none, and totals must be equal. What is known of names: namespaces.py.
When a flush was, and what it adds to a total: flushes.py, totals.py. How both sides meet: matching.py, report.py. These
do no I/O; receiver.py and stream.py do.
"""
