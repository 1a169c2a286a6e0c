"""Closed windows of the running relay: their records for the history, and the lines that report them."""
