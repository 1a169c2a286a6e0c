"""The relay that a command is about: where it may answer, requests to it, its token, configuration and state."""
