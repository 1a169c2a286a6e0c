"""The routes below /api/v1, one file each. `..endpoint` is their common form."""
