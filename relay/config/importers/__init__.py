"""Configurations of other StatsD daemons, read and turned into ours, with a report of every line. No I/O."""
