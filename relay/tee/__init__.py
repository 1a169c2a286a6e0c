"""Copies received datagrams to other daemons (tees). The hot path sends the copies; this folder owns the targets."""
