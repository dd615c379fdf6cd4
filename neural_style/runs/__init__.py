"""A run's folder, and its command."""
