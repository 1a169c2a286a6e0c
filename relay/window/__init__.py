"""Windows on the wall clock: the arithmetic of their ids (ids.py, pure), and the closer that ends them (closer.py).

To close a window is what StatsD calls a flush.
"""
