"""The state directory, and the checkpoint of the open window in it."""
