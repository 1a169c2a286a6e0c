"""The text console of the reference daemon (statsd/statsd), on the same port as HTTP."""
