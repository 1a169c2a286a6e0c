"""What the log says of the start, the windows, the findings and the stop."""
