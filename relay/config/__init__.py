"""Configuration: its schema and rules, how it is loaded from file and environment, and how it is shown."""
