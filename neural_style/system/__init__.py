"""The machine: files, locks, processes, hardware, TensorFlow, sums that threads do not change.

Its modules (`files`, `lock`, `process`, `hardware`, `tensorflow_v1`, `determinism`, and the cache
`lru`) are imported one by one, so that the command line can handle Ctrl-C before NumPy is loaded.
"""
