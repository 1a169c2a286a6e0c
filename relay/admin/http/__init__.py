"""The HTTP API of the admin port: metrics, health, and what commands ask."""
