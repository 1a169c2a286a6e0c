"""Configuration: what is valid (schema), how it is found and loaded, how it is shown."""
