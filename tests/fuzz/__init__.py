"""Random and mutated input for everything that reads what others made; see `run.py`."""
