"""Which network a run gets when the file is there, can be had, or not."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from neural_style import download, supply
from neural_style.config import make_config
from neural_style.supply import find_weights
from neural_style.weights import VGGWeights, WeightsError


def network(path, **changes):
    return make_config({"network": {"weights": str(path), **changes}}).network


NOTHING = VGGWeights((), np.zeros(3, np.float32), "published")


@pytest.fixture(autouse=True)
def quick_random_filters(monkeypatch):
    drawn = VGGWeights((), np.zeros(3, np.float32), "random")
    monkeypatch.setattr(supply, "random_weights", lambda seed: drawn)


def load(path):
    return NOTHING


def test_a_file_in_place_is_loaded(tmp_path):
    path = tmp_path / "mine.mat"
    path.touch()
    loaded = []
    find_weights(network(path), 0, lambda p: loaded.append(p) or NOTHING)
    assert loaded == [path]


def test_missing_weights_are_an_error_that_says_what_to_do(tmp_path):
    path = tmp_path / "mine.mat"
    with pytest.raises(WeightsError) as caught:
        find_weights(network(path), 0, load)
    assert str(caught.value) == (
        f"network.weights: there is no file {path}; put the file there, run python "
        "vgg19_matconvnet.py to download it, or set network.if_missing: random to go on with "
        "random filters"
    )


def test_missing_weights_give_random_filters_where_asked_with_a_notice(tmp_path):
    wanted = network(tmp_path / "mine.mat", if_missing="random")
    weights, notice = find_weights(wanted, 7, load)
    assert weights.origin == "random"
    assert notice.startswith(f"there is no file {wanted.weights}; going on with RANDOM FILTERS")


def test_a_notice_tells_of_a_file_that_is_not_the_published_one(tmp_path):
    path = tmp_path / "mine.mat"
    path.touch()
    assert find_weights(network(path), 0, load).notice == ""
    other = VGGWeights((), np.zeros(3, np.float32), "unpublished")
    assert find_weights(network(path), 0, lambda p: other).notice == (
        f"{path}: not the published VGG-19"
    )


def test_a_bad_file_is_told_by_its_key(tmp_path):
    path = tmp_path / "mine.mat"
    path.touch()

    def refuse(found):
        raise WeightsError(f"{found}: is empty")

    with pytest.raises(WeightsError) as caught:
        find_weights(network(path), 0, refuse)
    assert str(caught.value) == f"network.weights: {path}: is empty"


def test_the_published_name_is_downloaded_and_no_other(tmp_path, monkeypatch):
    asked = []

    def obtain(remote, path, mode, confirm):
        asked.append((remote.url, path, mode))
        path.touch()
        return True

    monkeypatch.setattr(download, "obtain", obtain)
    path = tmp_path / supply.PUBLISHED_NAME
    find_weights(network(path, download="always", url="https://host/x.mat"), 0, load)
    assert asked == [("https://host/x.mat", path, "always")]
    path.unlink()
    with pytest.raises(WeightsError):
        find_weights(network(path), 0, load, fetch=False)
    with pytest.raises(WeightsError):
        find_weights(network(tmp_path / "typo.mat"), 0, load)
    assert len(asked) == 1


@pytest.mark.parametrize("if_missing", ["error", "random"])
def test_a_site_out_of_reach_is_told_and_if_missing_decides(if_missing, tmp_path, monkeypatch):
    def obtain(*_):
        raise download.DownloadError("https://host: cannot be reached", unreachable=True)

    monkeypatch.setattr(download, "obtain", obtain)
    wanted = network(tmp_path / supply.PUBLISHED_NAME, if_missing=if_missing)
    if if_missing == "error":
        with pytest.raises(WeightsError, match=r"^network\.weights: https://host: cannot be"):
            find_weights(wanted, 0, load)
    else:
        weights, notice = find_weights(wanted, 0, load)
        assert weights.origin == "random"
        assert notice.startswith("https://host: cannot be reached; going on with RANDOM FILTERS")


def test_a_download_of_another_file_is_refused_whatever_if_missing_says(tmp_path, monkeypatch):
    def obtain(*_):
        raise download.DownloadError("https://host: another digest")

    monkeypatch.setattr(download, "obtain", obtain)
    wanted = network(tmp_path / supply.PUBLISHED_NAME, if_missing="random")
    with pytest.raises(WeightsError, match="another digest"):
        find_weights(wanted, 0, load)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("\n", True), ("y\n", True), ("Yes", True), ("n\n", False), ("what\n", False), ("", False)],
)
def test_enter_means_yes_and_the_end_of_input_does_not(typed, meant, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    confirm = supply._terminal()
    assert confirm("Download?") is meant
    assert capsys.readouterr().err == ("Download? [Y/n] " if typed else "Download? [Y/n] \n")
