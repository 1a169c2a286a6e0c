"""Parsers that keep the place of each value: JavaScript, TOML, YAML, environment variables."""
