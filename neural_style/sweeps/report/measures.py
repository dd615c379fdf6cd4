"""What each measure of a run says: which way its numbers point, and one line of help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A measure in words.

    Attributes:
        direction: What lower or higher numbers mean, in a few words.
        help: What is measured, and where the number misleads.
    """

    direction: str
    help: str


_CONTENT, _STYLE = "↓ nearer the content", "↓ nearer the style"
_UNPAINTED = "The unpainted photograph is perfect, so read it beside a measure of style."
_MEASURES: Mapping[str, Measure] = {
    "content": Measure(
        _CONTENT, f"Difference of features from the content image at relu4_2. {_UNPAINTED}"
    ),
    "style": Measure(
        _STYLE,
        "Gram loss against the style images over relu1_1 to relu5_1. A copy of the style image "
        "has 0, so read it beside a measure of content.",
    ),
    "style_held_out": Measure(
        _STYLE,
        "Gram loss against the style images over five layers that are not usually optimised, so "
        "it shows paint that transfers beyond the objective. Read it beside a measure of content.",
    ),
    "wasserstein": Measure(
        _STYLE,
        "Squared Wasserstein distance between Gaussians fitted to the features of the picture and "
        "of the style images: of one layer, or the mean of five.",
    ),
    "style_local": Measure(
        _STYLE,
        "Distance of each place from the likest of the style images', and the reverse, 0 to 2, at "
        "relu3_4 and relu4_4. A copy of the style image has 0, so read it beside a measure of "
        "content.",
    ),
    "self_similarity": Measure(
        _CONTENT,
        f"Difference of the layout from the content image's, whatever the colours, 0 to 2. "
        f"{_UNPAINTED}",
    ),
    "cfsd": Measure(
        _CONTENT,
        f"Difference from the content image in which places are alike, at relu3_1 (the structural "
        f"distance of StyleID). {_UNPAINTED}",
    ),
    "ssim": Measure(
        "↑ nearer the content",
        f"Structural similarity of brightness to the content image, at most 1. {_UNPAINTED}",
    ),
    "edge_ssim": Measure(
        "↑ nearer the content",
        f"Structural similarity of edges to the content image, at most 1. {_UNPAINTED}",
    ),
    "color_distance": Measure(
        _STYLE, "Distance of the colours from the style's, in L*a*b*; about 2 is just visible."
    ),
    "uv_histogram": Measure(
        _STYLE,
        "Distance of the histogram of U and V, the hue and its strength, from the style's, 0 to 1, "
        "whatever the brightness.",
    ),
    "warp_error_1": Measure(
        "↓ steadier",
        "Mean squared difference of a film's frames from the ones before, moved by the flow of "
        "the input, with white as 1. Read it beside input_warp_error_1.",
    ),
    "warp_error_10": Measure(
        "↓ steadier", "The same for frames that lie ten apart. Read it beside input_warp_error_10."
    ),
    "input_warp_error_1": Measure(
        "of the input", "warp_error_1 of the input film, which its noise and the flow decide."
    ),
    "input_warp_error_10": Measure(
        "of the input", "warp_error_10 of the input film, which its noise and the flow decide."
    ),
    "drift_mean": Measure(
        "0 is steady",
        "How far the mean of the pixels that never move has gone from the first frame to the last, "
        "in pixel values.",
    ),
    "drift_deviation": Measure(
        "0 is steady",
        "How far the deviation of the pixels that never move has gone from the first frame to the "
        "last, in pixel values.",
    ),
    "grain": Measure(
        "↑ grainier",
        "Fine contrast in grey levels. Grain raises it, and so do sharp edges: neither end is "
        "better.",
    ),
    "border": Measure(
        "1 is even", "Contrast at the border over that inside. Above 1 a frame begins to show."
    ),
    "loss": Measure(
        "↓ better optimised",
        "The loss of the saved picture, with its weights. It compares runs of one objective only.",
    ),
    "seconds": Measure("↓ faster", "Time of the run."),
}


def measure_of(key: str) -> Measure:
    """Return the measure of a column; one that is not known has no words.

    Args:
        key: A metric, `wasserstein/relu1_1`, a term of the loss, `loss/total`, or `seconds`.
    """
    return _MEASURES.get(key.partition("/")[0], Measure("", ""))
