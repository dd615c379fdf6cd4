"""What is drawn from a sweep."""
