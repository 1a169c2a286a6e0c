"""From start to end of a worker: what it is given, signals, reloads, recovery, shutdown."""
