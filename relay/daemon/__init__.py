"""The daemon: it assembles the stages of a relay, runs them, and reports on them."""
