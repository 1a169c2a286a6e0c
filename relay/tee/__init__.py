"""Copies of received datagrams, sent to other daemons."""
