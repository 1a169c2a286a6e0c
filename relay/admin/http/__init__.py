"""HTTP on the admin port: health, readiness, metrics, and the API of the commands."""
