"""The answers of /api/v1 as types: the server encodes them, the commands decode them.

Within v1 fields are added, never changed. Times are ISO 8601 in UTC, durations are seconds, sizes are bytes.
"""
