"""The machine: files, processes, hardware, TensorFlow, sums that threads do not change, a cache.

Its modules (`files`, `process`, `hardware`, `tensorflow_v1`, `determinism`, `lru`) are imported one
by one, so that the command line can handle Ctrl-C before NumPy is loaded.
"""
