"""The admin port: health, readiness, metrics, the API of the commands, and the text console."""
