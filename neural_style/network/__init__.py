"""The parts of `vgg19_matconvnet.py`: weights, their file and cache, its download, convolutions.

weights         layers as plain data, their sizes, and pixel values as a network takes them
matconvnet      the structs of a MatConvNet file -> layers
cache           the convolutions of a file, stored beside it
download        the published file
packaged        a VGG-16 that a Python package carries
random_filters  weights that need no file
convolution     convolutions and their gradients; winograd: 3 x 3 kernels with fewer products
"""

from neural_style.network.weights import (
    Convolution,
    Layer,
    Pooling,
    Relu,
    VGGWeights,
    WeightsError,
    deprocess,
    pooling_for,
    preprocess,
    smallest_side,
)

__all__ = [
    "Convolution",
    "Layer",
    "Pooling",
    "Relu",
    "VGGWeights",
    "WeightsError",
    "deprocess",
    "pooling_for",
    "preprocess",
    "smallest_side",
]
