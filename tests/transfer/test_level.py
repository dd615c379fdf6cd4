"""The loop over iterations: losses that become NaN or infinite, and how it ends."""

import itertools
import json
import math
import re
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from conftest import command

import style_transfer
from neural_style.errors import DivergedError
from neural_style.optimizers.lbfgs import LBFGSRun
from neural_style.transfer.level import DivergenceGuard, Ending, settle
from neural_style.transfer.state import LossHistory


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_of_nan_or_infinity_sends_the_run_back_so_often_and_is_named(bad, caplog):
    guard, run = DivergenceGuard(most=2), Mock(spec=["recover"])
    guard.check(run, {"content/relu4_2": 1.0, "total": 1.0}, "48x32", 0)
    losses = {"content/relu4_2": 1.0, "style/relu1_1": bad, "total": bad}
    for iterate in (1, 2):
        guard.check(run, losses, "48x32", iterate)
    with pytest.raises(DivergedError, match=rf"iterate 3: style/relu1_1 is {bad}, after 2 recov"):
        guard.check(run, losses, "48x32", 3)
    assert run.recover.call_count == 2
    message = f"style/relu1_1 is {bad}; back to the best image, with half the step"
    assert caplog.messages == [f"[48x32] iterate {iterate}: {message}" for iterate in (1, 2)]
    with pytest.raises(DivergedError, match=r"iterate 0: total is inf from the start"):
        DivergenceGuard(most=9).check(run, {"total": math.inf}, "48x32", 0)
    assert run.recover.call_count == 2  # for there was nothing to go back to
    history = LossHistory(["content/relu4_2", "total"])  # of a run that continues
    for i, total in enumerate([3.0, bad, 2.0, bad, 1.0]):
        history.append(i, 0.1 * i, [1.0, total], "48x32")
    assert DivergenceGuard.of(history, 5) == DivergenceGuard(5, recoveries=2, good=True)
    assert DivergenceGuard.of(LossHistory(["total"]), 5) == DivergenceGuard(
        5, recoveries=0, good=False
    )


@pytest.mark.parametrize(
    ("error", "interrupted", "failure"),
    [(None, False, ""), (KeyboardInterrupt(), True, ""), (DivergedError("nan"), False, "nan")],
)
def test_the_end_of_a_loop_is_kept_and_errors_of_other_kinds_pass(error, interrupted, failure):
    with Ending() as ending:
        if error:
            raise error
    assert ending == Ending(interrupted, failure)
    for other in (MemoryError(), OSError()):
        with pytest.raises(type(other)), Ending():
            raise other


def test_an_image_gives_way_to_the_content_in_the_share_that_no_style_paints():
    content, image = (np.full((2, 2, 3), value, np.float32) for value in (100.0, 200.0))
    painted, region = np.float32([[1, 0.5], [0, 1]]), np.float32([[1, 1], [1, 0]])
    pictures = Mock(masks=(painted,), painted=painted, region=region, content=content)
    assert settle(image, pictures)[..., 0].tolist() == [[200, 150], [100, 100]]
    assert settle(image, Mock(masks=())) is image


@pytest.fixture
def run(experiment: Path) -> Path:
    return experiment.parent / "out" / "0001-small"


def totals_of(run: Path) -> np.ndarray:
    return np.genfromtxt(run / "losses.csv", delimiter=",", names=True, usecols=-1)["total"]


def test_steps_that_are_too_long_are_halved_until_the_losses_are_finite(experiment, run, caplog):
    settings = ["optimizer.box=false", "optimizer.iterations=60", "optimizer.max_recoveries=200"]
    too_long = command(experiment, *settings, "optimizer.learning_rate=1e20")
    assert style_transfer.main(too_long) == 0
    assert "back to the best image" in caplog.text
    assert {*np.isfinite(totals_of(run))} == {True, False}


@pytest.mark.parametrize("optimizer", ["adam", pytest.param("lbfgs", marks=pytest.mark.slow)])
def test_a_run_that_diverges_ends_with_1_and_its_best_image(optimizer, experiment, run, capsys):
    settings = [f"optimizer.name={optimizer}", "style.weight=1e38", "optimizer.iterations=5"]
    assert style_transfer.main(command(experiment, *settings)) == 1
    *_, error = capsys.readouterr().err.splitlines()
    where, best = re.split(r"style/relu\d_1", error)
    assert where == "error: [48x38] iterate 0: "
    advice = "lower the weight of that term; the best image is"
    assert best == f" is inf from the start; {advice} {run}/pastiche.png"
    assert (run / "pastiche.png").exists()
    assert not (run / "record.json").exists()


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_run_that_stands_still_ends_and_says_why_in_a_line_and_in_its_record(
    optimizer, experiment, run, caplog
):
    """The content image has no content loss: nothing moves at the first scale."""
    settings = ["style.weight=0", "total_variation.weight=0", "init.noise=0", "image.scales=[32]"]
    more = [f"optimizer.name={optimizer}", "optimizer.iterations=20"]
    assert style_transfer.main(command(experiment, *settings, *more)) == 0
    made, reason = {
        "adam": (12, "10 steps in succession changed no pixel"),
        "lbfgs": (1, "no step along the gradient lowers the loss any more"),
    }[optimizer]
    told = f"{reason}; the other {20 - made} iterations of this scale are left out"
    found = [each for each in caplog.messages if "left out" in each]
    assert found[0] == f"[32x26] iterate {made}: {told}"
    ending = json.loads((run / "record.json").read_text(encoding="utf-8"))["ending"]
    assert ending["reason"] in (reason if found[1:] else "all iterations are made")
    rows = (run / "losses.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[:2] for row in rows[made + 1 : made + 3]] == [
        ["32x26", str(made)],
        ["48x38", "20"],
    ]
    assert rows[-1].startswith(f"48x38,{ending['iterations']},")


@pytest.mark.parametrize(("bad", "code"), [(26, 0), (10_000, 1)])
def test_lbfgs_recovers_from_nan_or_ends(bad, code, experiment, run, monkeypatch, caplog, capsys):
    evaluate, calls = LBFGSRun._evaluate, itertools.count()

    def evaluate_or_not(run: LBFGSRun) -> dict[str, float]:
        failing = 8 <= next(calls) < 8 + bad
        return evaluate(run) | ({"style/relu2_1": math.nan, "total": math.nan} if failing else {})

    monkeypatch.setattr(LBFGSRun, "_evaluate", evaluate_or_not)
    settings = ["optimizer.name=lbfgs", "optimizer.iterations=15", "optimizer.max_recoveries=2"]
    assert style_transfer.main(command(experiment, *settings)) == code
    messages = [each for each in caplog.messages if "back to the best image" in each]
    assert re.fullmatch(r"\[48x38\] iterate \d+: style/relu2_1 is nan; back to .*", messages[0])
    assert (run / "pastiche.png").exists()
    assert (run / "record.json").exists() == (code == 0)
    if code:
        *_, error = capsys.readouterr().err.splitlines()
        assert re.search(r"iterate \d+: style/relu2_1 is nan, after 2 recoveries", error)
    else:
        totals = totals_of(run)
        assert np.isnan(totals).sum() == len(messages)
        assert totals[-1] < np.nanmin(totals[:8])
