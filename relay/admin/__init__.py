"""The port for people and probes: health, readiness, metrics, and the text console."""
