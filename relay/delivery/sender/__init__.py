"""From the spool to the cloud: when a request may leave, and what is done about its answer."""
