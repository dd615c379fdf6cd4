"""Which network a run gets: the file in place, the file downloaded, or random filters."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from neural_style import config
from neural_style.network import download
from neural_style.network.random_filters import random_weights
from neural_style.network.weights import VGGWeights, WeightsError
from neural_style.text import printable

PUBLISHED_NAME = "imagenet-vgg-verydeep-19.mat"
RANDOM_NOTICE = (
    "RANDOM FILTERS, not the trained VGG-19: they carry colours and strokes, but know no objects. "
    "python vgg19_matconvnet.py fetches the trained network"
)


class FoundWeights(NamedTuple):
    """A network and a notice about it, which is empty for the published one."""

    weights: VGGWeights
    notice: str


def find_weights(
    network: config.Network, seed: int, load: Callable[[Path], VGGWeights], fetch: bool = True
) -> FoundWeights:
    """Return the network that the settings ask for, and what the user is to be told of it.

    A missing file of the published name is downloaded if the settings and the user allow it. Where
    it cannot be had, `if_missing` decides. Random filters come back as they are drawn, to be
    normalised over the pictures of the run.

    Args:
        network: The settings.
        seed: Seed of random filters.
        load: Reads a weights file.
        fetch: Whether to download; if not, a missing file is treated as one that cannot be had.

    Raises:
        WeightsError: The file is no VGG network, or it is missing and `if_missing` is `error`.
    """
    path = network.weights
    found, reason = path.exists(), f"there is no file {printable(path)}"
    if not found and fetch and path.name == PUBLISHED_NAME:
        remote = replace(download.PUBLISHED, url=network.url)
        try:
            found = download.obtain(remote, path, network.download, _terminal())
        except download.DownloadError as error:
            if not error.unreachable:
                raise
            reason = str(error)
    if found:
        try:
            weights = load(path)
        except WeightsError as error:
            raise WeightsError(f"network.weights: {error}") from None
        published = weights.origin == "published"
        return FoundWeights(
            weights, "" if published else f"{printable(path)}: not the published VGG-19"
        )
    if network.if_missing == "error":
        raise WeightsError(
            f"network.weights: {reason}; put the file there, run python vgg19_matconvnet.py to "
            "download it, or set network.if_missing: random to go on with random filters"
        )
    return FoundWeights(random_weights(seed), f"{reason}; going on with {RANDOM_NOTICE}")


def _terminal() -> Callable[[str], bool] | None:
    """Return what puts a question on the terminal, Enter meaning yes; None where there is none."""
    if sys.stdin is None or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def confirm(question: str) -> bool:
        sys.stderr.write(f"{question} [Y/n] ")
        sys.stderr.flush()
        answer = sys.stdin.readline()
        if not answer:  # the end of input, which is no Enter
            sys.stderr.write("\n")
        return answer.strip().lower() in ("y", "yes") or answer == "\n"

    return confirm
