"""From the spool to the cloud: when a request may be sent, and what is done about its answer."""
