"""Requests that wait to be sent: in memory and on disk."""
