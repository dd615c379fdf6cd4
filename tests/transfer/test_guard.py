"""What becomes of a run whose losses are no numbers, or for which there is no memory."""

import itertools
import math
import re
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from conftest import command
from neural_style.transfer.fitting import memory_advice
from neural_style.transfer.guard import DivergenceGuard, guard_of
from tables import refusal

import style_transfer
from neural_style.config import load_config
from neural_style.errors import DivergedError, OutOfMemoryError, is_out_of_memory
from neural_style.inputs import Pictures
from neural_style.inputs.job import Job
from neural_style.optimizers.lbfgs import LBFGSRun
from neural_style.transfer import fitting
from neural_style.transfer.state import LossHistory


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_sends_the_run_back_so_often_and_is_named(bad, caplog):
    guard, run = DivergenceGuard(most=2), Mock(spec=["recover"])
    guard.check(run, {"content/relu4_2": 1.0, "total": 1.0}, "48x32", 0)
    losses = {"content/relu4_2": 1.0, "style/relu1_1": bad, "total": bad}
    for iterate in (1, 2):
        guard.check(run, losses, "48x32", iterate)
    with pytest.raises(DivergedError, match=rf"iterate 3: style/relu1_1 is {bad}, after 2 recov"):
        guard.check(run, losses, "48x32", 3)
    assert run.recover.call_count == 2
    told = f"style/relu1_1 is {bad}; back to the best image, with half the step"
    assert caplog.messages == [f"[48x32] iterate {iterate}: {told}" for iterate in (1, 2)]
    with pytest.raises(DivergedError, match=r"iterate 0: total is inf from the start"):
        DivergenceGuard(most=9).check(run, {"total": math.inf}, "48x32", 0)
    assert run.recover.call_count == 2  # for there was nothing to go back to
    history = LossHistory(["content/relu4_2", "total"])  # of a run that goes on
    for i, total in enumerate([3.0, bad, 2.0, bad, 1.0]):
        history.append(i, 0.1 * i, [1.0, total], "48x32")
    assert guard_of(history, 5) == DivergenceGuard(5, recoveries=2, good=True)
    assert guard_of(LossHistory(["total"]), 5) == DivergenceGuard(5, recoveries=0, good=False)


@pytest.fixture
def run(experiment: Path) -> Path:
    return experiment.parent / "out" / "0001-small"


def totals_of(run: Path) -> np.ndarray:
    return np.genfromtxt(run / "losses.csv", delimiter=",", names=True, usecols=-1)["total"]


def test_steps_that_are_too_long_are_halved_until_the_losses_are_numbers(experiment, run, caplog):
    settings = ["optimizer.box=false", "optimizer.iterations=60", "optimizer.max_recoveries=200"]
    too_long = command(experiment, *settings, "optimizer.learning_rate=1e20")
    assert style_transfer.main(too_long) == 0
    assert "back to the best image" in caplog.text
    assert {*np.isfinite(totals_of(run))} == {True, False}


@pytest.mark.parametrize("optimizer", ["adam", pytest.param("lbfgs", marks=pytest.mark.slow)])
def test_a_run_that_cannot_go_on_ends_with_1_and_its_best_image(optimizer, experiment, run, capsys):
    settings = [f"optimizer.name={optimizer}", "style.weight=1e38", "optimizer.iterations=5"]
    assert style_transfer.main(command(experiment, *settings)) == 1
    *_, error = capsys.readouterr().err.splitlines()
    where, best = re.split(r"style/relu\d_1", error)
    assert where == "error: [48x38] iterate 0: "
    advice = "lower the weight of that term; the best image is"
    assert best == f" is inf from the start; {advice} {run}/pastiche.png"
    assert (run / "pastiche.png").exists()
    assert not (run / "record.json").exists()


@pytest.mark.parametrize(("bad", "code"), [(26, 0), (10_000, 1)])
def test_lbfgs_recovers_from_nan_or_ends(bad, code, experiment, run, monkeypatch, caplog, capsys):
    evaluate, calls = LBFGSRun._evaluate, itertools.count()

    def evaluate_or_not(run: LBFGSRun) -> dict[str, float]:
        failing = 8 <= next(calls) < 8 + bad
        return evaluate(run) | ({"style/relu2_1": math.nan, "total": math.nan} if failing else {})

    monkeypatch.setattr(LBFGSRun, "_evaluate", evaluate_or_not)
    settings = ["optimizer.name=lbfgs", "optimizer.iterations=15", "optimizer.max_recoveries=2"]
    assert style_transfer.main(command(experiment, *settings)) == code
    told = [message for message in caplog.messages if "back to the best image" in message]
    assert re.fullmatch(r"\[48x38\] iterate \d+: style/relu2_1 is nan; back to .*", told[0])
    assert (run / "pastiche.png").exists()
    assert (run / "record.json").exists() == (code == 0)
    if code:
        *_, error = capsys.readouterr().err.splitlines()
        assert re.search(r"iterate \d+: style/relu2_1 is nan, after 2 recoveries", error)
    else:
        totals = totals_of(run)
        assert np.isnan(totals).sum() == len(told)
        assert totals[-1] < np.nanmin(totals[:8])


ResourceExhaustedError = type("ResourceExhaustedError", (Exception,), {})  # as TensorFlow's own
ADVICE = (
    "out of memory: 48 px were predicted to need 2.0 GB, of 1.0 GB there are, enough for about "
    "21 px; lower image.size or runtime.tile, or try optimizer.name: adam, a smaller "
    "optimizer.history, or runtime.precision: bfloat16"
)


def lack_memory(monkeypatch, there: float = 1e9) -> None:
    """Predict 2 GB; a quarter of 1 GB is left beside the process, for the root of 0.2 of a side."""
    monkeypatch.setattr(fitting, "available_bytes", lambda *_: there)
    monkeypatch.setattr(fitting, "peak_bytes", lambda *_: 2e9)


@pytest.mark.parametrize(
    ("place", "error"),
    [
        *((place, MemoryError()) for place in ("open_workspace", "optimise", "judge")),
        ("optimise", ResourceExhaustedError("OOM when allocating")),
    ],
)
def test_want_of_memory_tells_what_fits(place, error, experiment, request, monkeypatch, capsys):
    if isinstance(error, MemoryError):  # else in a graph of tiles, which there is too little for
        request.getfixturevalue("made_up")
    monkeypatch.setattr(style_transfer, place, Mock(side_effect=error))
    lack_memory(monkeypatch)
    assert style_transfer.main(command(experiment)) == 1
    *_, told = capsys.readouterr().err.splitlines()
    assert told == f"error: {ADVICE}"
    assert not is_out_of_memory(ValueError("out of memory"))
    if place == "optimise" and isinstance(error, MemoryError):
        config, picture = load_config(experiment), np.zeros((48, 48, 3), np.float32)
        found = refusal(OutOfMemoryError, style_transfer.stylize, picture, [picture], config)
        assert found == ADVICE


@pytest.mark.parametrize(
    ("device", "there", "told"),
    [
        *(("cpu", there, "2.0 GB; lower") for there in (math.inf, 3e9)),
        ("cpu", 5e8, "2.0 GB, of 0.5 GB there are; lower"),
        ("gpu", 1e9, "2.0 GB; lower"),  # the memory of the machine tells nothing of a card's
    ],
)
def test_a_size_is_told_only_where_one_would_fit(device, there, told, experiment, monkeypatch):
    lack_memory(monkeypatch, there)
    config = load_config(experiment, [f"runtime.device={device}"])
    picture = np.zeros((48, 48, 3), np.float32)
    weights = style_transfer.vgg.load_weights(config.network.weights)
    job = Job(config, Pictures(picture, (picture,)), weights, {})
    assert f"48 px were predicted to need {told} image.size" in memory_advice(job, "float32")
