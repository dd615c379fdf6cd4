"""The machine: whole files, signals, memory, TensorFlow itself, sums that threads round alike."""
