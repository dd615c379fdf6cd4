"""What becomes of a run whose losses are no numbers, or for which there is no memory."""

import itertools
import logging
import math
import re
from pathlib import Path

import numpy as np
import pytest

import style_transfer
from neural_style import fitting
from neural_style.config import make_config
from neural_style.fitting import memory_advice
from neural_style.guard import DivergedError, Guard, OutOfMemoryError, guard_of, is_out_of_memory
from neural_style.inputs import Pictures
from neural_style.job import Job
from neural_style.lbfgs import LBFGSRun
from neural_style.record import LossHistory


class Recovering:
    """A run that counts how often it was sent back."""

    times = 0

    def recover(self) -> None:
        self.times += 1


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_sends_the_run_back_and_is_named(bad, caplog):
    guard, run = Guard(most=2), Recovering()
    guard.check(run, {"content/relu4_2": 1.0, "total": 1.0}, "48x32", 0)
    guard.check(run, {"content/relu4_2": 1.0, "style/relu1_1": bad, "total": bad}, "48x32", 1)
    assert run.times == 1
    assert caplog.messages == [
        f"[48x32] iterate 1: style/relu1_1 is {bad}; back to the best image, with half the step"
    ]


def test_a_run_is_sent_back_no_more_often_than_it_is_allowed():
    guard, run = Guard(most=2), Recovering()
    guard.check(run, {"total": 1.0}, "48x32", 0)
    for iterate in (1, 2):
        guard.check(run, {"total": math.nan}, "48x32", iterate)
    with pytest.raises(DivergedError, match=r"iterate 3: total is nan, after 2 recoveries"):
        guard.check(run, {"total": math.nan}, "48x32", 3)
    assert run.times == 2


def test_there_is_nothing_to_go_back_to_before_the_first_number():
    run = Recovering()
    with pytest.raises(DivergedError, match=r"iterate 0: total is inf from the start"):
        Guard(most=9).check(run, {"total": math.inf}, "48x32", 0)
    assert run.times == 0


def test_a_run_that_goes_on_counts_how_often_it_was_sent_back_before():
    history = LossHistory(["content/relu4_2", "total"])
    for i, total in enumerate([3.0, math.nan, 2.0, math.inf, 1.0]):
        history.append(i, 0.1 * i, [1.0, total], "48x32")
    assert guard_of(history, 5) == Guard(5, recoveries=2, good=True)
    assert guard_of(LossHistory(["total"]), 5) == Guard(5, recoveries=0, good=False)


def small_run(folder: Path, tiny_mat: Path, *settings: str) -> list[str]:
    """A command for a run of the example pictures at 48 px."""
    shared = [
        f"network.weights={tiny_mat}",
        "image.size=48",
        "image.scales=null",
        f"output.folder={folder}",
        *settings,
    ]
    return ["--config", "config.yaml", *(part for each in shared for part in ("--set", each))]


@pytest.fixture(autouse=True)
def in_project(monkeypatch):
    monkeypatch.chdir(Path(style_transfer.__file__).parent)


def test_steps_that_are_too_long_are_halved_until_the_losses_are_numbers(
    tmp_path, tiny_mat, caplog
):
    caplog.set_level(logging.WARNING)
    settings = ["optimizer.box=false", "optimizer.iterations=60", "optimizer.max_recoveries=200"]
    code = style_transfer.main(
        small_run(tmp_path, tiny_mat, *settings, "optimizer.learning_rate=1e20")
    )
    sent_back = [message for message in caplog.messages if "back to the best image" in message]
    assert sent_back
    (run,) = tmp_path.iterdir()
    rows = np.genfromtxt(run / "losses.csv", delimiter=",", names=True, usecols=-1)
    finite = np.isfinite(rows["total"])
    assert code == 0
    assert finite.any()
    assert not finite.all()


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_run_that_cannot_go_on_ends_with_1_and_its_best_image(
    optimizer, tmp_path, tiny_mat, capsys
):
    settings = [f"optimizer.name={optimizer}", "style.weight=1e38", "optimizer.iterations=5"]
    assert style_transfer.main(small_run(tmp_path, tiny_mat, *settings)) == 1
    (run,) = tmp_path.iterdir()
    error = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(
        rf"error: \[48x\d+\] iterate 0: style/relu\d_1 is inf from the start; lower the weight of "
        rf"that term; the best image is {re.escape(str(run))}/pastiche.png",
        error,
    )
    assert (run / "pastiche.png").exists()
    assert not (run / "record.json").exists()


@pytest.mark.parametrize(("bad", "code"), [(26, 0), (10_000, 1)])
def test_steps_of_lbfgs_to_what_is_no_number_are_recovered_from_or_end_the_run(
    bad, code, tmp_path, tiny_mat, monkeypatch, caplog, capsys
):
    caplog.set_level(logging.WARNING)
    evaluate, calls = LBFGSRun._evaluate, itertools.count()

    def evaluate_or_not(run: LBFGSRun) -> dict[str, float]:
        losses = evaluate(run)
        failing = 8 <= next(calls) < 8 + bad
        return {**losses, "style/relu2_1": math.nan} | {"total": math.nan} if failing else losses

    monkeypatch.setattr(LBFGSRun, "_evaluate", evaluate_or_not)
    settings = ["optimizer.name=lbfgs", "optimizer.iterations=15", "optimizer.max_recoveries=2"]
    assert style_transfer.main(small_run(tmp_path, tiny_mat, *settings)) == code
    told = [message for message in caplog.messages if "back to the best image" in message]
    assert re.fullmatch(r"\[48x\d+\] iterate \d+: style/relu2_1 is nan; back to .*", told[0])
    (run,) = tmp_path.iterdir()
    assert (run / "pastiche.png").exists()
    assert (run / "record.json").exists() == (code == 0)
    if code:
        error = capsys.readouterr().err.splitlines()[-1]
        assert re.search(r"iterate \d+: style/relu2_1 is nan, after 2 recoveries", error)
    else:
        totals = np.genfromtxt(run / "losses.csv", delimiter=",", names=True, usecols=-1)["total"]
        assert np.isnan(totals).sum() == len(told)
        assert totals[-1] < np.nanmin(totals[:8])


class ResourceExhaustedError(Exception):
    """Named as TensorFlow's own."""


ADVICE = (
    r"out of memory: 48 px were predicted to need 2\.0 GB, of 1\.0 GB there are, "
    r"enough for about 21 px; lower image\.size or runtime\.tile, or try "
    r"optimizer\.name: adam, a smaller optimizer\.history, or runtime\.precision: bfloat16"
)


def lack_memory(monkeypatch, there: float = 1e9) -> None:
    """Predict 2 GB, of which a quarter of 1 GB is left beside the process itself, so that there is
    room for the root of 0.2 of the side.
    """
    monkeypatch.setattr(fitting, "available_bytes", lambda *_: there)
    monkeypatch.setattr(fitting, "peak_bytes", lambda *_: 2e9)


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("open_workspace", MemoryError()),
        ("optimise", MemoryError()),
        ("optimise", ResourceExhaustedError("OOM when allocating")),
        ("open_critic", MemoryError()),
    ],
)
def test_want_of_memory_is_told_with_the_size_that_would_fit(
    place, error, tmp_path, tiny_mat, monkeypatch, capsys
):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(style_transfer, place, fail)
    lack_memory(monkeypatch)
    settings = ["style.layers=[relu1_1]", "optimizer.iterations=1"]
    assert style_transfer.main(small_run(tmp_path, tiny_mat, *settings)) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(f"error: {ADVICE}", told), told


def test_stylize_tells_want_of_memory_alike(tiny_mat, monkeypatch):
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(style_transfer, "optimise", fail)
    lack_memory(monkeypatch)
    config = make_config({"network": {"weights": str(tiny_mat)}, "image": {"size": 48}})
    picture = np.zeros((48, 48, 3), np.float32)
    with pytest.raises(OutOfMemoryError, match=ADVICE):
        style_transfer.stylize(picture, [picture], config)


def test_of_a_graphics_card_the_memory_of_the_machine_tells_nothing(tiny_mat):
    config = make_config({"network": {"weights": str(tiny_mat)}, "runtime": {"device": "gpu"}})
    weights = style_transfer.vgg.load_weights(tiny_mat)
    picture = np.zeros((48, 48, 3), np.float32)
    job = Job(config, Pictures(picture, (picture,)), weights, {})
    told = memory_advice(job, "float32")
    assert re.match(r"out of memory: \d+ px were predicted to need [0-9.]+ GB; lower image", told)


@pytest.mark.parametrize(
    ("there", "told"),
    [
        (math.inf, "2.0 GB; lower"),
        (3e9, "2.0 GB; lower"),
        (5e8, "2.0 GB, of 0.5 GB there are; lower"),
    ],
)
def test_a_size_is_told_only_where_one_would_fit(there, told, tiny_mat, monkeypatch):
    lack_memory(monkeypatch, there)
    config = make_config({"network": {"weights": str(tiny_mat)}, "image": {"size": 48}})
    picture = np.zeros((48, 48, 3), np.float32)
    weights = style_transfer.vgg.load_weights(tiny_mat)
    job = Job(config, Pictures(picture, (picture,)), weights, {})
    assert f"predicted to need {told} image.size" in memory_advice(job, "float32")


def test_other_errors_are_not_taken_for_want_of_memory():
    assert not is_out_of_memory(ValueError("out of memory"))
