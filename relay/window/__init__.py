"""Windows on the wall clock: their ids (ids.py, pure), and the closer that ends one and begins the next (closer.py)."""
