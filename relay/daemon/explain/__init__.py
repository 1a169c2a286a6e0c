"""Traces one line through every step to the points that would be sent: trace.py has the facts, text.py the words."""
