"""Which network a run gets when the file is there, can be had, or not."""

from __future__ import annotations

import io
import sys
from unittest.mock import Mock

import numpy as np
import pytest
from tables import refusal

from neural_style.config import make_config
from neural_style.inputs import weights as supply
from neural_style.inputs.weights import find_weights, warn_once
from neural_style.network import download
from neural_style.network.packaged import PackageError
from neural_style.network.weights import VGGWeights, WeightsError


def network(path, **changes):
    return make_config({"network": {"weights": str(path), **changes}}).network


def weights(origin):
    return VGGWeights((), np.zeros(3, np.float32), origin)


@pytest.fixture(autouse=True)
def load(monkeypatch):
    """Takes the paths of which weights are loaded; random filters are quick too."""
    monkeypatch.setattr(supply, "random_weights", lambda seed: weights("random"))
    monkeypatch.setattr(supply, "load_weights", Mock(return_value=weights("published")))
    return supply.load_weights


@pytest.fixture
def mine(tmp_path):
    """A file of weights in place."""
    path = tmp_path / "mine.mat"
    path.touch()
    return path


def test_a_file_in_place_is_loaded_with_a_notice_if_it_is_not_the_published_one(mine, load):
    found = find_weights(network(mine), 0)
    load.assert_called_once_with(mine)
    assert (found.weights.origin, found.notice) == ("published", "")
    load.return_value = weights("unpublished")
    assert find_weights(network(mine), 0).notice == f"{mine}: not the published VGG-19"
    load.side_effect = WeightsError(f"{mine}: is empty")
    message = refusal(WeightsError, find_weights, network(mine), 0)
    assert message == f"network.weights: {mine}: is empty"


def test_missing_weights_are_an_error_that_says_what_to_do_or_random_filters(mine):
    mine.unlink()
    assert refusal(WeightsError, find_weights, network(mine), 0) == (
        f"network.weights: there is no file {mine}; put the file there, run python "
        "vgg19_matconvnet.py to download it, or set network.if_missing: packaged or random to run "
        "without it"
    )
    found = find_weights(network(mine, if_missing="random"), 7)
    assert found.weights.origin == "random"
    assert found.notice == f"there is no file {mine}; continuing with {supply.RANDOM_NOTICE}"


def test_the_packaged_network_stands_in_and_random_filters_where_it_is_not_installed(
    mine, monkeypatch
):
    mine.unlink()
    packaged = Mock(return_value=weights("packaged"))
    monkeypatch.setattr(supply, "packaged_weights", packaged)
    wanted = network(mine, if_missing="packaged")
    found, notice = find_weights(wanted, 0)
    assert found.origin == "packaged"
    assert notice == f"there is no file {mine}; continuing with {supply.PACKAGED_NOTICE}"
    packaged.side_effect = PackageError("it is not installed")
    found, notice = find_weights(wanted, 0)
    assert found.origin == "random"
    start = f"there is no file {mine}; it is not installed; continuing with RANDOM FILTERS"
    assert notice.startswith(start)
    packaged.side_effect = WeightsError("it is damaged")
    message = refusal(WeightsError, find_weights, wanted, 0)
    assert message == "network.if_missing: it is damaged"


def test_the_published_name_is_downloaded_and_no_other(tmp_path, monkeypatch):
    asked = []

    def obtain(remote, path, mode, confirm):
        asked.append((remote.url, path, mode))
        path.touch()
        return True

    monkeypatch.setattr(download, "obtain", obtain)
    path = tmp_path / supply.WEIGHTS.name
    find_weights(network(path, download="always", url="https://host/x.mat"), 0)
    assert asked == [("https://host/x.mat", path, "always")]
    path.unlink()
    refusal(WeightsError, find_weights, network(path), 0, False)
    refusal(WeightsError, find_weights, network(tmp_path / "typo.mat"), 0)
    assert len(asked) == 1


def test_if_missing_decides_on_a_site_out_of_reach_but_not_on_another_file(tmp_path, monkeypatch):
    error = download.DownloadError("https://host", "cannot be reached", unreachable=True)
    obtain = Mock(side_effect=error)
    monkeypatch.setattr(download, "obtain", obtain)
    path = tmp_path / supply.WEIGHTS.name
    message = refusal(WeightsError, find_weights, network(path), 0)
    assert message.startswith(
        "network.weights: https://host: cannot be reached; put the file there"
    )
    found, notice = find_weights(network(path, if_missing="random"), 0)
    assert found.origin == "random"
    assert notice.startswith("https://host: cannot be reached; continuing with RANDOM FILTERS")
    obtain.side_effect = download.DownloadError("https://host", "another digest")
    wanted = network(path, if_missing="random")
    message = refusal(download.DownloadError, find_weights, wanted, 0)
    assert message == "https://host: another digest"


@pytest.mark.parametrize("typed", ["\n", "y\n", "Yes", "n\n", "what\n", ""])
def test_enter_means_yes_and_the_end_of_input_does_not(typed, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    assert supply._terminal() is None
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert supply._terminal()("Download?") is (typed in ("\n", "y\n", "Yes"))
    assert capsys.readouterr().err == ("Download? [Y/n] " if typed else "Download? [Y/n] \n")


def test_a_notice_is_logged_once_in_a_process_or_for_those_who_share_a_set(caplog):
    first, second = "a.mat: not the published VGG-19", "b.mat: not the published VGG-19"
    for said in ({}, {}, {"said": set()}):
        warn_once(first, "", second, first, **said)
    assert caplog.messages == [first, second, first, second]
