"""Neural style transfer by image optimisation, on a TensorFlow 1.x-style static graph."""

__version__ = "0.2.0"
