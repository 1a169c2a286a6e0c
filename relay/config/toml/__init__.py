"""The file as text: its settings, and the line and column of each key, value and element of a list."""
