"""The objective of an image in tiles: the same losses and gradient in a fraction of the memory.

An image is cut into strips of rows. For each evaluation, a forward pass takes them through the
network from the top one down and adds up the statistics of the loss; a backward pass from the
bottom one up gives the gradient. Only one tile's features are in memory. At each convolution a tile
hands the rows that the next one sees as well, its halo, across the cut:

                  input    conv1_1   conv1_2
    forward  |  +--------+--------+--------+
             |  | tile 0 | tile 0 | tile 0 |
             v  |        |        +--------+  An output ends where rows of its input are missing
                |        +--------+ tile 1 |  below; the next tile continues there.
                +--------+ tile 1 |        |
                | tile 1 |        |        |
                |        |        +--------+
             ^  |        +--------+ tile 2 |
             |  +--------+ tile 2 |        |
    backward |  | tile 2 |        |        |
                +--------+--------+--------+

`tiling` cuts images into tiles and networks into stages; `rolling` takes a tile through a stage,
with its halos; `tile` and `stage` are the graph of a tile and what is run at each stage; `graph` is
the whole tiled objective; `passes` runs it tile by tile; `spill` stores large arrays in files.
"""

from neural_style.tiles.graph import TileGraph, build_tiled_objective
from neural_style.tiles.passes import (
    TileCallback,
    TiledEvaluation,
    TiledFeatures,
    Tiling,
    measure_content,
    measure_style,
    no_callback,
)
from neural_style.tiles.spill import Spill

__all__ = [
    "Spill",
    "TileCallback",
    "TileGraph",
    "TiledEvaluation",
    "TiledFeatures",
    "Tiling",
    "build_tiled_objective",
    "measure_content",
    "measure_style",
    "no_callback",
]
