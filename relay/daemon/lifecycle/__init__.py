"""The lifecycle of a worker: inheritance from its parent, recovery, signals, reloads, shutdown."""
