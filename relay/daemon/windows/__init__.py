"""Closed windows of the running relay: their records, the lines that report them, and the points of its own figures."""
