"""The process: it puts the stages together, runs them, and has what stands beside them."""
