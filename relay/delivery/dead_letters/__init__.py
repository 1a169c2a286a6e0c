"""Dead letters: copies of refused and dropped points, kept to be inspected and replayed."""
