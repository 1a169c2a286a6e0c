"""The state directory and the open window in it."""
