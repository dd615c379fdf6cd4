"""The measures of a saved picture, in one definition for every run.

`evaluator` runs a network on the picture, its content and its styles; `scores` lists the measures
and compares them by `gaussians` fitted to features, by self-similarity and, without a network, by
`metrics`.
"""

from neural_style.evaluation.evaluator import Evaluator, open_evaluator
from neural_style.evaluation.scores import NAMES

__all__ = ["NAMES", "Evaluator", "open_evaluator"]
