"""The parts of the benchmarks that calculate; what they time is not tested."""

import json
import subprocess
import sys
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL_NETWORK, vgg19
from references import ROOT

from benchmarks import curves, figures, kills, seams, snapshots, speed, time_to_loss
from neural_style.config import load_config, make_config
from neural_style.runs.checkpoint import write_checkpoint
from neural_style.transfer.state import Checkpoint, LossHistory
from vgg19_matconvnet import load_weights


def curve(*points: tuple[float, float], name: str = "ours") -> curves.Curve:
    """A curve of (seconds, loss), one every ten iterations."""
    return curves.Curve(name, tuple(curves.Point(10 * i, *at) for i, at in enumerate(points)))


def test_network_flop_is_that_of_the_layers_and_a_summary_takes_medians_and_shares() -> None:
    """16 x 16 px leave one position at relu5_1: every block counts 4 times the next one's."""
    blocks = [3 * 64 + 64 * 64, 64 * 128 + 128**2, 128 * 256 + 3 * 256**2, 256 * 512 + 3 * 512**2]
    products = 9 * (256 * blocks[0] + 64 * blocks[1] + 16 * blocks[2] + 4 * blocks[3] + 512**2)
    assert speed.network_flop(vgg19(), (16, 16)) == 2 * 2 * products
    assert speed.network_flop(vgg19(), (17, 31)) > 2 * 2 * products  # block 1 has more positions
    assert speed.network_flop(vgg19(), (512, 512)) == pytest.approx(379e9, rel=0.01)

    rounds = np.array([*[[2.0, 1.0, 2.0, 1.8, 0.9]] * 2, [90.0, 90.0, 90.0, 1.0, 90.0]])
    rate = 4096**3 / 1e9
    named, *found = astuple(speed.summarise("float32", 512, 45.0, rounds))
    assert named == "float32"
    assert found == pytest.approx([512, 0.9, 1.0, 2.0, 0.1, 0.1, 45.0, 50.0, rate, 50.0 / rate])


def test_speed_measures_both_optimisers(monkeypatch, small_mat: Path, capsys) -> None:
    """With three convolutions; the evaluations of L-BFGS are found among its runs."""
    deepest = SMALL_NETWORK[-1]
    small = {name: {"layers": [deepest]} for name in ("content", "style")}
    monkeypatch.setattr(speed, "make_config", lambda sections: make_config(small | sections))
    for name, value in {"SIDE": 64, "WARM_UP": 1, "ROUNDS": 2, "DEEPEST": deepest}.items():
        monkeypatch.setattr(speed, name, value)
    (found,) = speed.measure(load_weights(small_mat), [48], "float32")
    assert (found.precision, found.size) == ("float32", 48)
    assert 0 < found.evaluation_seconds < found.lbfgs_seconds
    assert 0 < found.lbfgs_own_share < 1
    assert found.network_rate > 0
    assert capsys.readouterr().err == "float32 at 48 px\n"


def test_a_curve_tells_the_first_and_lowest_and_compare_takes_the_best_of_ours() -> None:
    """Though the loss rises again."""
    rising = curve((1, 100), (2, 40), (3, 70), (4, 30))
    assert [curves.seconds_to_reach(rising, loss) for loss in (40, 39, 29)] == [2, 4, None]
    assert [curves.lowest_by(rising, seconds) for seconds in (3.5, 0.5)] == [40, None]
    row = time_to_loss.table([curve((1, 8e6), (2, 5e6), (3, 6e6))]).splitlines()[1]
    assert row.split() == ["ours", "20", "3.0s", "5e+06", "2.0s"]
    points = [(10.0 * i, 100.0 - i) for i in range(8)]
    baseline = curve(*points, (80.0, 300.0), name="baseline")  # lowest, 93, at 70 s; 50 s early
    quick = curve((1, 200), (3.5, 92), (9, 91), name="quick")
    low = curve((1, 200), (40, 31), (60, 9), name="low")
    claim = curves.compare(baseline, [low, quick])
    assert claim.lowest == curves.Point(70, 70.0, 93.0)
    assert claim.times_faster == pytest.approx(20)
    assert claim.early_share == pytest.approx(31 / 93)
    assert str(claim) == (
        "baseline is lowest, 93, at 70.0 s. quick is there at 3.50 s, 20.0 times faster. "
        "At 50.0 s, the time of its first 50 iterations, low has 0.33 of its lowest loss."
    )
    late = curves.compare(curve((0, 100), (1, 10)), [curve((5, 20))])
    assert late.times_faster is late.early_share is None
    assert str(late) == (
        "ours is lowest, 10, at 1.0 s. None of ours is ever as low. "
        "At 1.0 s, the time of its first 50 iterations, ours have not begun."
    )


def test_recorder_keeps_eight_bits_enlarges_and_stops_the_clock(monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr(snapshots.time, "perf_counter", lambda: now[0])
    recorder, coarse = snapshots.Recorder((1, 2), _begin=100.0), snapshots.Recorder((6, 8))

    def fetch() -> np.ndarray:
        now[0] += 50  # slow
        return np.float32([[[-3, 0.4, 0.6], [254.6, 255, 900]]])

    for _ in range(2):
        now[0] += 1
        recorder.take(7, fetch)
    assert [(each.iteration, each.seconds) for each in recorder.snapshots] == [(7, 1), (7, 2)]
    expected = np.uint8([[[0, 0, 1], [255, 255, 255]]])
    np.testing.assert_array_equal(recorder.snapshots[0].image, expected, strict=True)
    coarse.take(1, lambda: np.full((3, 4, 3), 77.0, np.float32))
    np.testing.assert_array_equal(coarse.snapshots[0].image, np.full((6, 8, 3), 77))


def test_help_needs_neither_tensorflow_nor_torch() -> None:
    code = (
        "import sys, runpy; sys.argv[1:] = ['--help']\n"
        "for script in ('speed', 'time_to_loss'):\n"
        "    try: runpy.run_path(f'benchmarks/{script}.py', run_name='__main__')\n"
        "    except SystemExit: pass\n"
        "assert not {'tensorflow', 'torch'} & set(sys.modules)"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    assert printed.count("--weights WEIGHTS [") == 2


def test_what_cannot_be_measured_is_told_in_one_line(tiny_mat, monkeypatch, capsys) -> None:
    """Sizes too small for the network, missing weights, a picture of one tile."""
    monkeypatch.setattr(seams, "random_weights", lambda seed: vgg19())
    small, missing = ["--weights", tiny_mat, "--sizes", "64", "15"], tiny_mat.with_name("none.mat")
    tile = ["--image", ROOT / "examples" / "photo.png", "--tile", "640"]
    one = "--tile: an image of 600 x 400 px is one tile of 640; give a smaller side"
    for module, given, message in (
        (speed, small, "--sizes: found 15, expected at least 16 for relu5_1"),
        (speed, ["--weights", missing], f"{missing}: cannot be read: No such file or directory"),
        (seams, tile, one),
    ):
        assert module.main([*map(str, given)]) == 2
        assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.parametrize(("shown", "ratio"), [(0, 1.0), (8, 1.1225)])
def test_a_seam_shows_as_a_larger_difference(monkeypatch, shown, ratio, rng) -> None:
    """With a deviation of 16, 8 more make a folded normal of 1.1225 times the mean."""
    monkeypatch.setattr(seams, "random_weights", lambda seed: vgg19())  # its shapes are enough
    image = rng.normal(128, 8 * 2**0.5, (128, 5000, 3))
    image[64:] += shown
    (line,) = seams.find_lines(image, 600)
    assert line.row == 64
    assert line.across / line.beside == pytest.approx(ratio, abs=0.02)
    assert seams.ratio([line]) == line.across / line.beside
    elsewhere = seams.ratios_elsewhere(image, [line])
    assert len(elsewhere) == 6  # 16 to 112, but 64
    assert elsewhere == pytest.approx([1.0] * 6, abs=0.03)  # a seventh of those beside is the seam


def test_files_that_a_killed_run_cannot_have_whole_are_found(tmp_path: Path) -> None:
    state = {"image": np.zeros(9)}
    whole = write_checkpoint(tmp_path, Checkpoint(3, LossHistory(["total"]), state, {}))
    (tmp_path / "record.json").write_text("{}")
    assert kills._unreadable(tmp_path) == []
    whole.write_bytes(whole.read_bytes()[:-9])
    (tmp_path / "record.json").write_text("{")
    (tmp_path / ".0123.tmp.csv").write_text("half")
    assert kills._unreadable(tmp_path) == [".0123.tmp.csv", "00000003.npz", "record.json"]


def test_figures_are_read_from_a_run_and_put_into_their_page(tmp_path: Path) -> None:
    times = "0 1 3 6 7 9"  # steps of 1, 2, 3, 1, 2: without two, a median of 2
    rows = [f"24x16,{i},{seconds}" for i, seconds in enumerate(times.split())]
    text = "\n".join(["scale,iteration,seconds", "12x8,0,-9", *rows])
    (tmp_path / "losses.csv").write_text(text)
    assert figures.read(tmp_path, 7.0) == figures.Measured(7.0, None, None, None)
    record = {"peak_memory_bytes": 2.5e9, "losses": {"saved": {"total": 1234567.0}}}
    (tmp_path / "record.json").write_text(json.dumps(record))
    found = figures.read(tmp_path, 7.4)
    assert found == figures.Measured(7.4, 2.0, 2.5e9, 1234567.0)
    whole, step = figures.Figure("all", whole=True), figures.Figure("one", ("a=1", "b=2"))
    written = figures.table([(whole, found), (step, found)])
    assert "| all |  | 7 | 2.5 GB | 1.23e+06 |" in written
    assert written.endswith("| one | `a=1 b=2` | 2.00 | 2.5 GB |")
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    once = figures.put(page, written)
    assert written in once
    assert figures.put(once, "other") == figures.put(page, "other")
    with pytest.raises(ValueError, match="found no <!-- figures"):
        figures.put("# A page\n", written)


def test_the_settings_of_figures_are_valid() -> None:
    for row in figures.figures(("float32", "bfloat16")):
        load_config(ROOT / "config.yaml", row.settings)
