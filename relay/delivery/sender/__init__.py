"""From the spool to the cloud: when a request may leave, and what its answer means."""
