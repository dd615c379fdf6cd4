"""Runs that end early, resumed: the bytes are those of a run that did not, or it is refused."""

import re
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SMALL, command

import style_transfer
from benchmarks import kills
from neural_style.images import io as images
from neural_style.images import resize
from neural_style.runs.checkpoint import CheckpointManager, read_checkpoint, write_checkpoint
from neural_style.transfer import level, session
from neural_style.transfer.state import Iteration

# Whole runs: coarse to fine, 5 iterations and 6

SCALES = ("image.scales=[34]", "optimizer.iterations=[5, 6]", "runtime.precision=float32")


def names(folder: Path) -> list[str]:
    """The checkpoints in a run's folder."""
    return sorted(path.name for path in (folder / "checkpoints").glob("*"))


def made(experiment: Path, name: str, *settings: str, code: int = 0) -> Path:
    """The folder of a run that has ended with this code."""
    folder = experiment.parent / name
    own = (*SCALES, "output.checkpoint_every=5", f"output.folder={folder}", *settings)
    assert style_transfer.main(command(experiment, *own)) == code
    return max(folder.glob("0*"))


def resume(run: Path, *settings: str, first: str = "-q") -> int:
    return style_transfer.main([first, "--resume", str(run), *command(run, *settings)[3:]])


def after(done: int, act: Callable[[], object], patch: pytest.MonkeyPatch) -> None:
    """Do something after an iteration, whose checkpoint is written if it is to have one."""
    keep = CheckpointManager.keep

    def keep_and_act(keeper: CheckpointManager, moment: Iteration) -> None:
        keep(keeper, moment)
        if moment.done == done:
            act()

    patch.setattr(CheckpointManager, "keep", keep_and_act)


def killed(experiment: Path, done: int, *settings: str) -> Path:
    """A run that ended without a chance to tell of it."""
    with pytest.MonkeyPatch.context() as patch:
        after(done, lambda: 1 / 0, patch)
        return made(experiment, f"killed {done}", *settings, code=1)


def check_same(run: Path, whole: Path) -> None:
    """Check that a run has left what another one has."""
    assert sorted(path.name for path in run.iterdir()) == sorted(p.name for p in whole.iterdir())
    for path in (*whole.glob("pastiche*"), *whole.glob("*.gif")):
        assert (run / path.name).read_bytes() == path.read_bytes()
    assert kills._losses(run) == kills._losses(whole)


def check_refused(code: int, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert code == 2
    assert re.search(f"^error: {told}", capsys.readouterr().err.splitlines()[-1])


def test_a_run_killed_after_any_iteration_is_resumed_to_the_same_bytes(experiment, made_up):
    film = ("output.save_every=3", "output.animation=gif")
    whole = made(experiment, "whole", *film)
    for done in range(1, 12):
        run = killed(experiment, done, *film)
        (run / ".half.tmp.png").touch()
        assert names(run) == ["00000005.npz", "00000010.npz"][: done // 5]
        assert resume(run) == 0
        check_same(run, whole)


@pytest.mark.parametrize(
    "drawing",
    [
        pytest.param(("style.statistic=sliced",), marks=pytest.mark.slow),
        pytest.param(
            ("style.statistic=remd", "content.statistic=self_similarity", "content.weight=2"),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["sliced", "remd"],
)
def test_directions_are_drawn_anew_for_each_iterate_and_so_by_a_run_that_is_resumed(
    drawing, experiment, monkeypatch
):
    draws: list[tuple[int, ...]] = []
    set_draw = level.set_draw

    def recorded(session: Any, objective: Any, *draw: int) -> None:
        draws.append(draw)
        set_draw(session, objective, *draw)

    monkeypatch.setattr(level, "set_draw", recorded)
    settings = (*drawing, "init.seed=7")
    whole = made(experiment, "whole", *settings)
    assert {*draws} == {(7, done) for done in range(12)}
    run = killed(experiment, 8, *settings)
    draws.clear()
    assert resume(run) == 0
    assert {*draws} == {(7, done) for done in range(5, 12)}
    check_same(run, whole)


@pytest.mark.slow
def test_neighbours_are_those_of_the_image_before_its_scale_for_a_run_that_is_resumed_too(
    experiment, monkeypatch
):
    sources: list[np.ndarray | None] = []
    measure = session.measure_joined

    def recorded(*given: Any) -> Any:
        sources.append(given[3])
        return measure(*given)

    monkeypatch.setattr(session, "measure_joined", recorded)
    nearest = ["style.statistic=nearest", "style.nearest_renewed=4", "output.checkpoint_every=4"]
    whole = made(experiment, "whole", *nearest)
    first, second, renewed = sources
    assert np.shape(first) != np.shape(second)
    assert renewed is None
    for done, expected in ((10, [second, None]), (13, [None])):  # resumed from 8, and from 12
        run = killed(experiment, done, *nearest)
        sources.clear()
        assert resume(run) == 0
        assert len(sources) == len(expected)
        np.testing.assert_array_equal(sources[0], expected[0])
        check_same(run, whole)


LBFGS = "optimizer.name=lbfgs"
SLOW_LBFGS = pytest.param(LBFGS, marks=pytest.mark.slow)


@pytest.mark.parametrize("kind", ["optimizer.average=0.9", SLOW_LBFGS])
def test_a_real_run_that_is_killed_is_resumed_to_the_same_bytes(kind, experiment):
    run = killed(experiment, 10, kind)
    assert resume(run) == 0
    check_same(run, made(experiment, "whole", kind))


OTHER_PHOTO = np.random.default_rng(3).uniform(0, 255, (40, 50, 3)).astype(np.float32)
CHANGED = "cannot continue, as {}; put that back, "
REPAINTED = CHANGED.format("the file of content.image has other contents")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_interrupted_at_a_coarse_scale_has_its_picture_and_goes_on_only_as_it_was(
    number, experiment, made_up, capsys
):
    """Where no style is painted, the photograph stays, enlarged though the rest of it is."""
    photo, before = experiment.parent / "photo.png", (experiment.parent / "photo.png").read_bytes()
    content = resize(images.read_image(photo, "").rgb, (38, 48))
    mask = np.zeros((40, 50, 3), np.float32)
    mask[:, 25:] = 255
    images.write_image(experiment.parent / "mask.png", mask)
    painted = f"path: {experiment.parent}/paint.png, mask: {experiment.parent}/mask.png"
    own = ("output.checkpoint_every=0", f"style.images=[{{{painted}}}]")
    with pytest.MonkeyPatch.context() as patch:
        after(2, lambda: signal.raise_signal(number), patch)
        run = made(experiment, "stopped", *own, code=130)
    made_so_far = images.read_image(run / "pastiche.png", "").rgb
    np.testing.assert_allclose(made_so_far[:, :20], content[:, :20], atol=0.51)
    assert np.abs(made_so_far - content)[:, 30:].max() > 5
    assert not (run / "record.json").exists()
    assert read_checkpoint(run).done == 3
    images.write_image(photo, OTHER_PHOTO)
    check_refused(resume(run), f"{run}: {REPAINTED}", capsys)
    photo.write_bytes(before)
    told = CHANGED.format("style.weight was 10000.0 and is 3.0")
    check_refused(resume(run, "style.weight=3"), f"{run}: {told}", capsys)
    assert resume(run) == 0
    check_same(run, made(experiment, "whole", *own))


def test_a_whole_checkpoint_of_another_run_is_refused_in_a_line(experiment, made_up, capsys):
    run = made(experiment, "runs", "output.keep_checkpoint=true")
    (run / "record.json").unlink()
    own = read_checkpoint(run)
    smaller = {n: each[:, :, :-1] if each.ndim == 4 else each for n, each in own.state.items()}
    columns = ["style/relu9_9", *own.history.columns[1:]]
    for name, other in (
        ("done", {"done": 12}),
        ("columns", {"history": replace(own.history, columns=columns)}),
        ("image", {"state": smaller}),
    ):
        path = write_checkpoint(run, replace(own, **other))
        told = f"the checkpoint does not fit the run by its '{name}'; remove the folder"
        check_refused(resume(run), f"{told} 'checkpoints' to begin again$", capsys)
        path.unlink()


def test_a_moved_run_goes_on_with_its_inputs_beside_it_or_says_how(
    experiment, made_up, capsys, tmp_path
):
    whole, run = made(experiment, "whole"), killed(experiment, 10)
    new, old = tmp_path / "new", experiment.parent
    new.mkdir()
    for name in ("photo.png", "paint.png", run.parent.name):
        (old / name).rename(new / name)
    run = new / run.parent.name / run.name
    assert names(run) == ["00000005.npz", "00000010.npz"]
    before = shutil.copytree(run, tmp_path / "alone" / "x" / "0001")
    assert resume(run) == 0
    check_same(run, whole)
    told = f"content.image: no such file: {old}/photo.png; if it was moved, add --set "
    check_refused(resume(before), f"{told}content.image=PATH", capsys)
    sets = [f"content.image={new}/photo.png", f"style.images[0].path={new}/paint.png"]
    told = f"style.images[0]: no such file: {old}/paint.png; if it was moved, add --set "
    check_refused(resume(before, sets[0]), re.escape(f"{told}style.images[0].path=PATH"), capsys)
    assert resume(before, *sets) == 0
    check_same(before, whole)


def test_a_run_that_is_being_made_is_not_resumed_by_another_process(experiment, made_up, capsys):
    again = []

    def resume_it() -> None:
        [run] = (experiment.parent / "busy").glob("0*")
        again.append(resume(run))

    with pytest.MonkeyPatch.context() as patch:
        after(7, resume_it, patch)
        run = made(experiment, "busy")
    told = f"error: {run}: another process is at work in it; wait until it ends, or stop it first"
    assert told in capsys.readouterr().err
    assert again == [2]
    check_same(run, made(experiment, "whole"))


LONGER = "optimizer.iterations=[5, 9]"
SLOW_REAL = pytest.param("true", True, marks=pytest.mark.slow)


@pytest.mark.parametrize(("keep", "real"), [("true", False), ("false", False), SLOW_REAL])
def test_a_finished_run_is_left_alone_or_extended_to_what_a_longer_one_makes(
    keep, real, experiment, request, caplog
):
    if not real:
        request.getfixturevalue("made_up")
    own = (LBFGS, "output.checkpoint_every=60s", f"output.keep_checkpoint={keep}")
    short = made(experiment, "short", *own)
    assert names(short) == (["00000011.npz"] if keep == "true" else [])
    before = {path: path.stat().st_mtime_ns for path in short.rglob("*")}
    assert resume(short, first="-v") == 0
    assert caplog.messages[-1] == f"{short}: finished already"
    assert resume(short, LONGER) == 0
    assert {path: path.stat().st_mtime_ns for path in short.rglob("*")} == before
    extended = short.with_name("0002-small")
    check_same(extended, made(experiment, "long", *own, LONGER))
    assert f'"extends": "{short.name}"' in (extended / "record.json").read_text()


def test_what_cannot_be_an_extension_is_refused(experiment, made_up, capsys):
    adam, lbfgs = made(experiment, "runs"), made(experiment, "runs", LBFGS)
    kept = made(experiment, "runs", LBFGS, "output.keep_checkpoint=true")
    only, fell = "only optimizer.iterations can be set", "the learning rate of .* fell to 0 by its"
    fewer = f"{lbfgs} has .5, 6., expected the same with a larger last number$"
    for run, told, *settings in (
        (adam, f"optimizer.iterations \\(--set\\): {fell}", LONGER),
        (adam, f"{adam}: finished; {only}", "optimizer.decay=none", LONGER),
        (adam, f"{adam}: finished; {only}", "style.weight=3"),
        (lbfgs, f"optimizer.iterations \\(--set\\): {fewer}", "optimizer.iterations=[5, 6]"),
        (lbfgs, f"optimizer.iterations \\(--set\\): {fewer}", "optimizer.iterations=[4, 9]"),
    ):
        check_refused(resume(run, *settings), told, capsys)
        check_refused(resume(run, *settings, first="--dry-run"), told, capsys)
    images.write_image(experiment.parent / "photo.png", OTHER_PHOTO)
    for run in (lbfgs, kept):
        check_refused(resume(run, LONGER), f"{run}: {REPAINTED}", capsys)
    assert sorted(adam.parent.glob("0*")) == [adam, lbfgs, kept]


@pytest.mark.slow
def test_killed_runs_come_out_the_same(small_mat, monkeypatch):
    coarse = {name: (*own, *SMALL) for name, own in kills.KINDS.items() if "coarse" in name}
    monkeypatch.setattr(kills, "KINDS", coarse)  # either optimiser, and in tiles
    outcomes = kills.kill_and_resume(small_mat, kills=6, seed=7, jobs=2, kinds=list(coarse))
    assert len(coarse) == 3
    assert kills.faults(outcomes) == []


def test_kills_that_prove_little_are_faults():
    good = kills.Outcome("adam", 3, writing=True, same=True, unreadable=())
    early, odd = replace(good, checkpoint=None, writing=False), replace(good, same=False)
    for outcomes, told in (
        ([good] * 9 + [early], []),
        ([good] * 4 + [early], ["4 of 5 kills came after the first checkpoint, expected 90%"]),
        ([replace(good, writing=False)], ["0 of 1 kills came during a write, expected 20%"]),
        ([odd], [f"differs: {odd}"]),
    ):
        assert kills.faults(outcomes) == told
