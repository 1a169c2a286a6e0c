"""Shared by the commands: options, output, progress, and the end by a signal."""
