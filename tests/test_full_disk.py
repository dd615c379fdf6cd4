"""A disk that is full at one write after the other: nothing that was there is lost, and what was
being made can be finished.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from disks import NO_SPACE, FullDisk, contents, named, nth

import style_transfer
from neural_style import checkpoint, images, outputs
from neural_style.files import write_atomically
from neural_style.record import LossHistory
from neural_style.transfer import Moment

ITERATIONS = 5


def paint(
    work: object,
    config: object,
    pictures: object,
    watch: Callable[[Moment], None],
    resumed: checkpoint.Checkpoint | None,
    tick: object,
) -> outputs.Result:
    """Stands in for the optimisation: iterates of one colour each, which are made at once."""
    history = resumed.history if resumed else LossHistory(["total"])
    for i in range(resumed.done if resumed else 0, ITERATIONS):
        image = np.full((32, 48, 3), 20.0 * i, np.float32)
        history.append(i, float(i), [1.0 / (i + 1)], "48x32")
        state = {"image": image}
        watch(Moment("48x32", i + 1, {"total": 1.0}, history, lambda: image, lambda: state))  # noqa: B023
    return outputs.Result(image, None, history, interrupted=False)


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs without graph, session, scores and plot, whose files are written as ever."""
    monkeypatch.chdir(Path(style_transfer.__file__).parent)
    closing = SimpleNamespace(close=lambda: None)
    monkeypatch.setattr(style_transfer, "open_workspace", lambda *_: closing)
    monkeypatch.setattr(style_transfer, "optimise", paint)
    plot = b"losses over iterates"
    monkeypatch.setattr(outputs, "plot_losses", lambda _, path, *__: write_atomically(path, plot))
    verdict = outputs.Verdict({"total": 1.0}, {"content": 0.5, "style_held_out": 0.25})
    monkeypatch.setattr(style_transfer, "judge", lambda *_: verdict)


@pytest.fixture(scope="module")
def network(tiny_mat: Path) -> list[str]:
    return ["-q", "--config", "config.yaml", "--set", f"network.weights={tiny_mat}"]


def command(network: list[str], folder: Path, *settings: str) -> list[str]:
    shared = [
        "image.size=48",
        "image.scales=null",
        f"output.folder={folder}",
        "output.checkpoint_every=2",
        "output.save_every=2",
        "output.animation=gif",
        "output.keep_checkpoint=true",
        *settings,
    ]
    return [*network, *(part for each in shared for part in ("--set", each))]


def run_on(disk: FullDisk, arguments: list[str]) -> int:
    """Run the command while there is no room for some of what it writes."""
    with pytest.MonkeyPatch.context() as patch:
        disk.install(patch)
        return style_transfer.main(arguments)


def check_told(code: int, told: str, messages: list[str]) -> None:
    """Check that a failure is one clear line, and that what goes on says that it does."""
    if code:
        assert told.count("\n") == 1
        assert re.match(r"error: .+: No space left on device(; .+)?\n", told)
    else:
        assert any(
            re.search(f": cannot be written: {NO_SPACE}; going on without", message)
            for message in messages
        )


def check_kept(disk: FullDisk, folder: Path, finished: bool = False) -> None:
    """Check that every earlier file is as it was, and that nothing half written is left."""
    after = contents(folder)
    for path, data in disk.before.items():
        # A run that goes on replaces its checkpoints by later ones.
        if folder in path.parents and not (finished and path.parent.name == checkpoint.FOLDER):
            assert after.get(path) == data, path
    assert [path for path in folder.rglob("*") if path.name.startswith(".")] == []


@pytest.mark.parametrize("stays", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_run_is_whole_or_can_be_finished_whichever_write_finds_the_disk_full(
    stays, network, tmp_path, capsys, caplog
):
    assert style_transfer.main(command(network, tmp_path / "whole")) == 0
    wanted = (tmp_path / "whole" / "0001-config" / "pastiche.png").read_bytes()
    codes = []
    for number in itertools.count(1):
        out = tmp_path / str(number)
        disk = FullDisk(out, nth(number, stays=stays))
        capsys.readouterr()
        caplog.clear()
        code = run_on(disk, command(network, out))
        if not disk.struck:
            break
        codes.append(code)
        check_told(code, capsys.readouterr().err, caplog.messages)
        check_kept(disk, out, finished=code == 0)
        for run in out.iterdir():  # none where not even its settings could be written
            assert style_transfer.main(["-q", "--resume", str(run)]) == 0
            assert (run / "pastiche.png").read_bytes() == wanted
            assert (run / "record.json").exists()
    assert code == 0
    assert len(codes) > 20
    assert set(codes) == {1, 2} if stays else {0, 1, 2}


def test_an_extension_begins_whole_or_leaves_no_folder(network, tmp_path, capsys):
    own = ["optimizer.name=lbfgs", "optimizer.iterations=5"]
    assert style_transfer.main(command(network, tmp_path, *own)) == 0
    (run,) = tmp_path.iterdir()
    extend = ["-q", "--resume", str(run), "--set", "optimizer.iterations=7"]
    for number in range(1, 7):  # folder, checkpoints' folder, checkpoint, settings
        disk = FullDisk(tmp_path, nth(number, stays=True))
        capsys.readouterr()
        assert run_on(disk, extend) in (1, 2)
        assert NO_SPACE in capsys.readouterr().err
        check_kept(disk, run)
        assert list(tmp_path.iterdir()) == [run]


@pytest.mark.parametrize(
    "name", ["summary.csv", "contact_sheet.png", "trade_off.png", "index.html"]
)
def test_what_is_drawn_from_a_sweep_is_drawn_when_there_is_room_again(
    name, network, tmp_path, capsys
):
    disk = FullDisk(tmp_path, named(name))
    sweep = "sweep.grid.style.weight=[100, 500]"
    assert run_on(disk, command(network, tmp_path, sweep)) == 1
    (home,) = tmp_path.iterdir()
    assert capsys.readouterr().err.splitlines()[-1] == f"error: {home / name}: {NO_SPACE}"
    check_kept(disk, tmp_path)
    runs = {path: data for path, data in disk.before.items() if path.parent.parent == home}
    assert sum(path.name == "record.json" for path in runs) == 2
    assert style_transfer.main(["-q", "--resume", str(home)]) == 0
    assert (home / name).exists()
    after = contents(tmp_path)
    assert {path: after[path] for path in runs} == runs


def test_a_run_of_a_sweep_for_which_there_is_no_room_is_made_later(network, tmp_path, capsys):
    disk = FullDisk(tmp_path, nth(25, stays=True))
    sweep = "sweep.grid.style.weight=[100, 500]"
    assert run_on(disk, command(network, tmp_path, sweep)) == 1
    check_kept(disk, tmp_path)
    (home,) = tmp_path.iterdir()
    assert style_transfer.main(["-q", "--resume", str(home)]) == 0
    assert len(list(home.glob("*/record.json"))) == 2


def test_a_sweep_that_cannot_begin_leaves_no_folder(network, tmp_path):
    disk = FullDisk(tmp_path, named("config.yaml"))
    assert run_on(disk, command(network, tmp_path, "sweep.grid.style.weight=[100, 500]")) == 1
    assert list(tmp_path.iterdir()) == []


def test_pictures_can_be_written_by_name(tmp_path):
    """The disk of these tests is full where it says so, and nowhere else."""
    disk = FullDisk(tmp_path, named("b.png"))
    with pytest.MonkeyPatch.context() as patch:
        disk.install(patch)
        images.write_image(tmp_path / "a.png", np.zeros((2, 2, 3), np.float32))
        with pytest.raises(OSError, match=NO_SPACE):
            images.write_image(tmp_path / "b.png", np.zeros((2, 2, 3), np.float32))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
