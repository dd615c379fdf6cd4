"""The same objective, strip by strip."""
