"""The task of time_to_loss.py, the same for every contestant: pictures, objective and start.

The objective is that of neural-style-pt: content 5 times the mean squared error at relu4_2, style
100 times the mean squared difference of R / C M at each of relu1_1 to relu5_1, total variation
1e-3 times the sum of absolute differences. The start is white noise about the mean pixel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neural_style.config import Config, make_config
from neural_style.system.hardware import usable_cpus

CONTENT_LAYER = "relu4_2"
STYLE_LAYERS = tuple(f"relu{block}_1" for block in range(1, 6))
CONTENT_WEIGHT = 5.0
STYLE_WEIGHT = 100.0  # of each layer
VARIATION_WEIGHT = 1e-3


@dataclass(frozen=True)
class Task:
    """The pictures, the network and the size.

    Attributes:
        weights: The network's .mat.
        content, style: The pictures.
        size: Longest side of the pastiche, pixels.
    """

    weights: Path
    content: Path
    style: Path
    size: int

    def config(
        self,
        optimizer: Mapping[str, Any],
        precision: str = "float32",
        scales: Sequence[int] | None = None,
    ) -> Config:
        """Return the settings for an optimiser, with the scales before the last if any.

        Raises:
            ConfigError: A setting is wrong.
        """
        return make_config(
            {
                "content": {
                    "image": self.content,
                    "layers": {CONTENT_LAYER: 1},
                    "weight": CONTENT_WEIGHT,
                },
                "style": {
                    "images": self.style,
                    "layers": dict.fromkeys(STYLE_LAYERS, 1),
                    "weight": STYLE_WEIGHT * len(STYLE_LAYERS),
                    "statistic": "gram",
                },
                "total_variation": {"weight": VARIATION_WEIGHT, "norm": "l1"},
                "init": {"from": "noise", "noise_std": 20, "seed": 0},
                "network": {
                    "weights": self.weights,
                    "pooling": "max",
                    "pooling_remainder": "drop",  # as PyTorch's poolings do
                    "padding": "zeros",
                },
                "image": {"size": self.size, "scales": scales},
                "optimizer": optimizer,
                "runtime": {"device": "cpu", "threads": usable_cpus(), "precision": precision},
            }
        )
