"""Sockets: opens, tunes and watches them; received bytes go to the hot path at once. Nothing is ever sent back (I9)."""
