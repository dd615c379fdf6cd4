"""The same objective, strip by strip."""

from neural_style.tiles.graph import build_tiled_objective

__all__ = ["build_tiled_objective"]
