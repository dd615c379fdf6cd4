"""Neural style transfer by image optimisation, on a TensorFlow 1.x-style static graph."""

__version__ = "0.1.0"
