"""The text console of statsd, on the port of the HTTP API."""
