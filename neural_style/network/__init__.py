"""The parts of `vgg19_matconvnet.py`: weights, their file and cache, its download, convolutions.

weights         layers as plain data, their sizes, and pixel values as a network takes them
matconvnet      the structs of a MatConvNet file -> layers
cache           the convolutions of a file, stored beside it
download        the published file
random_filters  weights that need no file
convolution     convolutions and their gradients; winograd: 3 x 3 kernels with fewer products
"""

from neural_style.network.convolution import Filters, convolve, convolve_rows, gradient_rows
from neural_style.network.random_filters import normalise_filters, random_weights
from neural_style.network.weights import (
    Convolution,
    Layer,
    Pooling,
    PoolingKind,
    Relu,
    VGGWeights,
    WeightsError,
    deprocess,
    layers_needed,
    output_shapes,
    pooling_for,
    preprocess,
    smallest_side,
    transpose_kernels,
)

__all__ = [
    "Convolution",
    "Filters",
    "Layer",
    "Pooling",
    "PoolingKind",
    "Relu",
    "VGGWeights",
    "WeightsError",
    "convolve",
    "convolve_rows",
    "deprocess",
    "gradient_rows",
    "layers_needed",
    "normalise_filters",
    "output_shapes",
    "pooling_for",
    "preprocess",
    "random_weights",
    "smallest_side",
    "transpose_kernels",
]
