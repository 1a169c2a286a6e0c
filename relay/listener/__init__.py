"""Sockets: opened, tuned, watched; what they receive goes to the hot path at once. Nothing is ever sent back (I9)."""
