"""Files of other daemons as values with their places: JavaScript, TOML, YAML, variables."""
