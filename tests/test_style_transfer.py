"""The command from config to run folder, and runs of arrays, on a network of three layers."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import command, small_layers
from numpy.testing import assert_allclose, assert_array_equal
from references import ROOT
from tables import refusal

import style_transfer
from neural_style.config import Config, load_config, make_config
from neural_style.images import io as images
from neural_style.images import resize
from neural_style.inputs import controls
from neural_style.network.weights import VGGWeights
from neural_style.system import tensorflow_v1
from neural_style.system.tensorflow_v1 import choose_device
from neural_style.transfer import Iterate


def process(config: Path, *settings: str) -> list[str]:
    return [sys.executable, str(ROOT / "style_transfer.py"), *command(config, *settings)[1:]]


def only_run(experiment: Path, *settings: str, code: int | None = 0) -> Path:
    """The folder of a run, which is made, unless by another process."""
    if code is not None:
        assert style_transfer.main(command(experiment, *settings)) == code
    [folder] = (experiment.parent / "out").glob("0*")
    return folder


def test_a_run_leaves_picture_losses_plot_config_and_record(finished_run):
    files = {"config.yaml", "log.txt", "losses.csv", "losses.png", "pastiche.png", "record.json"}
    assert {path.name for path in finished_run.iterdir()} == files
    assert images.read_image(finished_run / "pastiche.png", "").rgb.shape == (38, 48, 3)
    rows = list(csv.DictReader((finished_run / "losses.csv").read_text().splitlines()))
    assert [row["iteration"] for row in rows] == [str(i) for i in range(7)]
    totals = [float(row["total"]) for row in rows]
    record = json.loads((finished_run / "record.json").read_text())
    assert record["losses"]["lowest"]["total"] == pytest.approx(min(totals))
    assert record["losses"]["saved"]["total"] == pytest.approx(min(totals), rel=0.01)
    assert "recolored_by" not in record["losses"]
    assert min(totals) < totals[0]
    assert record["size"] == {"height": 38, "width": 48}
    log = (finished_run / "log.txt").read_text()
    for line in (": not the published VGG-19\n", " at 48 px; CPU, ", " 6/6  loss ", " done in "):
        assert log.count(line) == 1  # whatever -q leaves out


def test_the_resolved_config_runs_again_to_the_same_bytes_and_tells_no_noise_of_libraries(
    finished_run, tmp_path
):
    again = process(finished_run / "config.yaml", f"output.folder={tmp_path}")
    done = subprocess.run(again, check=True, capture_output=True, text=True)
    run = tmp_path / "latest"
    assert run.readlink() == Path("0001-small")
    run = tmp_path / "0001-small"
    assert (run / "pastiche.png").read_bytes() == (finished_run / "pastiche.png").read_bytes()
    first, second = (load_config(each / "config.yaml") for each in (finished_run, run))
    assert second.having({"output": first.output}) == first
    lines = done.stderr.splitlines()
    assert "not the published VGG-19" in lines[0]
    expected = r"adam iterations: 6 at 48 px; CPU, \d+ threads, (float32|bfloat16)"
    assert re.fullmatch(expected, lines[1])
    assert lines[2].startswith("[48x38] iteration 1/6  loss ")
    assert lines[-2].startswith("[48x38] iteration 6/6  loss ")
    assert re.fullmatch(r"done in .* s, loss \S+", lines[-1])
    assert done.stdout == f"{run / 'pastiche.png'}\n"


def test_another_seed_gives_another_picture_with_its_intermediate_images(experiment, finished_run):
    run = only_run(experiment, "init.seed=1", "output.save_every=2", "output.animation=gif")
    assert (run / "pastiche.png").read_bytes() != (finished_run / "pastiche.png").read_bytes()
    names = sorted(path.name for path in (run / "iterates").iterdir())
    assert names == ["000002.png", "000004.png", "000006.png"]
    assert (run / "iterates.gif").read_bytes()[:4] == b"GIF8"


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_saves_the_best_image_and_exits_130(number, experiment):
    endless = process(experiment, "optimizer.iterations=1000000")
    running = subprocess.Popen(endless, stderr=subprocess.PIPE, text=True)
    assert any("iteration 1/" in line for line in running.stderr)
    running.send_signal(number)
    _, rest = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "interrupted; the best image so far is saved" in rest
    assert "Traceback" not in rest
    left = {path.name for path in only_run(experiment, code=None).iterdir()}
    written = {"config.yaml", "log.txt", "losses.csv", "losses.png", "pastiche.png"}
    assert left == {"checkpoints", *written}


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_random_filters_lower_the_style_loss_and_are_named_everywhere(
    whole, experiment, monkeypatch, caplog
):
    def draw(seed: int) -> VGGWeights:
        return VGGWeights(tuple(small_layers(seed)), np.zeros(3, np.float32), "random")

    if not whole:
        monkeypatch.setattr("neural_style.inputs.weights.random_weights", draw)
    missing = [f"network.weights={experiment.parent / 'none.mat'}", "network.if_missing=random"]
    folder = only_run(experiment, *missing, "optimizer.iterations=30")
    record = json.loads((folder / "record.json").read_text())
    assert record["network"] == {"origin": "random", "path": None, "sha256": None}
    assert record["losses"]["saved"]["total"] < record["losses"]["start"]["total"] / 5
    assert json.loads(images.read_settings(folder / "pastiche.png"))["network"].startswith("random")
    assert len([m for m in caplog.messages if "RANDOM FILTERS" in m]) == 2


def test_the_packaged_network_is_named_everywhere_and_has_its_own_settings(
    experiment, monkeypatch, caplog, rng
):
    packaged = VGGWeights(tuple(small_layers(1)), np.zeros(3, np.float32), "packaged", "0" * 64)
    monkeypatch.setattr("neural_style.inputs.weights.packaged_weights", lambda: packaged)
    missing = [f"network.weights={experiment.parent / 'none.mat'}", "network.if_missing=packaged"]
    block = "network.packaged_settings={content.layers: {relu1_1: 3}}"
    folder = only_run(experiment, *missing, block, "optimizer.iterations=2")
    record = json.loads((folder / "record.json").read_text())
    assert record["network"] == {"origin": "packaged", "path": None, "sha256": "0" * 64}
    about = json.loads(images.read_settings(folder / "pastiche.png"))
    assert about["network"] == f"packaged VGG-16, {'0' * 64}"
    assert about["settings"]["network"]["pooling"] == "average"
    assert about["settings"]["content"]["layers"] == {"relu1_1": 3}
    assert len([m for m in caplog.messages if "THE PACKAGED VGG-16" in m]) == 2
    assert any("with this network content.layers: {relu1_1: 3}" in m for m in caplog.messages)
    content, style = arrays(rng)
    made = style_transfer.stylize(content, [style], load_config(experiment, [*missing, block]))
    assert made.losses.columns[0] == "content/relu1_1"


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_dry_run_prints_the_resolved_config_and_writes_nothing(
    optimizer, experiment, capsys, tmp_path, caplog
):
    """With L-BFGS it warns that no average is kept."""
    settings = ["style.weight=7", f"optimizer.name={optimizer}", "optimizer.average=0.9"]
    before = sorted(tmp_path.rglob("*"))
    assert style_transfer.main(["--dry-run", *command(experiment, *settings)]) == 0
    assert sorted(tmp_path.rglob("*")) == before
    (tmp_path / "printed.yaml").write_text(capsys.readouterr().out)
    assert load_config(tmp_path / "printed.yaml").style.weight == 7
    messages = [line for line in caplog.messages if line.startswith("optimizer.average")]
    assert len(messages) == (optimizer == "lbfgs")


def test_bad_input_and_help_do_not_import_tensorflow(experiment):
    program = (
        "import sys, style_transfer\n"
        f"code = style_transfer.main({command(experiment, 'style.wieght=1')!r})\n"
        "assert code == 2 and 'tensorflow' not in sys.modules\n"
        "style_transfer.main(['--help'])\n"
    )
    asked = [sys.executable, "-c", program]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "error: style.wieght (--set): unknown key; did you mean 'weight'?\n"
    flags = ("--config", "--set", "--dry-run", "--verbose", "--quiet", "--help", "--version")
    assert all(flag in done.stdout for flag in flags)


def test_options_that_are_none_are_told_without_their_escapes(capsys):
    for arguments in (["\x1b[31mred"], ["--config"], ["-q", "-v", "\x1b]0;x\x07"]):
        assert refusal(SystemExit, style_transfer.main, arguments) == "2"
        printed = capsys.readouterr().err
        assert "style_transfer.py: error: " in printed
        assert all(line.isprintable() for line in printed.splitlines())


HTML = b"<!DOCTYPE html><html><body>404</body></html>"
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n".encode()


def test_bad_input_is_one_line_exit_2_and_nothing_left(experiment, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tensorflow_v1, "choose_device", lambda asked, _: choose_device(asked, []))
    path = tmp_path / "x.mat"
    for written, setting, message in (
        (None, "style.images=[{}]", "style.images[0]: no such file: {}"),
        (None, "network.weights={}", "network.weights: there is no file {}"),
        (None, "style.layers=[relu9_9]", "style.layers: unknown layer 'relu9_9'"),
        (None, "image.size=3", f"content.image: {experiment.parent}/photo.png: 3 x 2 px at this"),
        (None, "image.size=none", "image.size (--set): found 'none'"),
        (None, "runtime.device=gpu", "runtime.device: found 'gpu'"),
        (HTML, "content.image={}", "content.image: {}"),
        (POINTER, "network.weights={}", "network.weights: {}"),
        (b"", "output.folder={}", "cannot write to the output folder {}: Not a"),
    ):
        if written is not None:
            path.write_bytes(written)
        before = sorted(tmp_path.rglob("*"))
        assert style_transfer.main(command(experiment, setting.format(path))) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: {message.format(path)}")
        assert error.count("\n") == 1
        assert sorted(tmp_path.rglob("*")) == before


# Pictures as arrays


def arrays(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A content image of whole values and a style image."""
    return rng.integers(30, 226, (32, 48, 3)), rng.uniform(0, 255, (40, 40, 3))


def small(weights: Path, **sections: dict[str, Any]) -> Config:
    """Settings of a run of four iterations at 48 px."""
    values: dict[str, dict[str, Any]] = yaml.safe_load(
        f"{{network: {{weights: {weights}}}, content: {{layers: [relu2_1]}}, image: {{size: 48}}, "
        "style: {layers: [relu1_1, relu3_1], weight: 1.0e+4}, optimizer: {iterations: 4}, "
        "runtime: {precision: float32}}"
    )
    return make_config(values | {k: values.get(k, {}) | own for k, own in sections.items()})


def test_stylize_takes_arrays_and_returns_image_and_losses(tiny_mat, rng, tmp_path, monkeypatch):
    """A style that is painted in the fine structure of another is another style."""
    content, style = arrays(rng)
    images.write_image(tmp_path / "fine.png", rng.uniform(0, 255, (20, 20, 3)).astype(np.float32))
    monkeypatch.setattr(controls, "ITERATIONS", 3)
    fine = {"images": [{"path": "a", "fine": str(tmp_path / "fine.png")}]}
    configs = small(tiny_mat), small(tiny_mat, style=fine)
    plain, mixed = (style_transfer.stylize(content, [style], each) for each in configs)
    for each in (plain, mixed):
        assert each.image.shape == (32, 48, 3)
        assert 0 <= each.image.min() <= each.image.max() <= 255
        assert len(each.losses.rows) == 5
    assert np.abs(plain.image - mixed.image).mean() > 0.5


@pytest.mark.parametrize(("optimizer", "best"), [("adam", 0), ("lbfgs", 1)])
def test_a_callback_sees_every_iterate_and_stops_with_the_best_so_far(
    optimizer, best, small_mat, rng
):
    """At a coarse scale, whose image is enlarged. L-BFGS knows the loss of its last iterate."""
    content, style = arrays(rng)
    sections = {
        "image": {"size": 48, "scales": [24]},
        "optimizer": {"name": optimizer, "learning_rate": 2},
    }
    config = small(small_mat, **sections)
    seen: list[Iterate] = []
    whole = style_transfer.stylize(content, [style], config, callback=seen.append)
    rows = whole.losses.rows
    assert not whole.stopped
    sizes = [(16, 24)] * 4 + [(32, 48)] * 4
    assert [(each.number, each.size, each.total) for each in seen] == [
        (number, size, 8) for number, size in enumerate(sizes, start=1)
    ]
    assert [each.loss for each in seen[:4]] == [row[-1] for row in rows[:4]]
    shown = []

    def stop(iterate: Iterate) -> bool:
        shown.append(iterate.image)
        return iterate.number < 2

    early = style_transfer.stylize(content, [style], config, callback=stop)
    assert (early.stopped, early.interrupted) == (True, False)
    assert early.losses.rows == rows[:2]
    totals = [row[-1] for row in rows[: best + 2]]
    assert totals[-1] == min(totals)
    assert_allclose(early.image, resize(shown[best], (32, 48)), atol=1e-3)


@pytest.mark.parametrize(("optimizer", "scales"), [("adam", None), ("lbfgs", [24])])
def test_what_no_style_paints_is_the_content(optimizer, scales, small_mat, tmp_path, rng):
    content, style = arrays(rng)
    mask = np.zeros((32, 48, 3), np.float32)
    mask[4:29, 16:40] = 255
    images.write_image(tmp_path / "mask.png", mask)
    masked = {"images": [{"path": "a.png", "mask": str(tmp_path / "mask.png")}]}
    own = {"style": masked, "image": {"scales": scales}, "optimizer": {"name": optimizer}}
    made = style_transfer.stylize(content, [style], small(small_mat, **own)).image
    outside = mask[..., 0] == 0
    np.testing.assert_allclose(made[outside], content[outside], atol=1e-4)  # minus and plus a mean
    assert np.abs(made - content)[~outside].mean() > 2


LIGHT = np.array([[0.299], [0.587], [0.114]])


def chroma(rgb: np.ndarray) -> np.ndarray:
    """Cr = (R - Y) / 1.402 and Cb."""
    return (rgb - rgb @ LIGHT)[..., ::2] / [1.402, 1.772]


def test_saved_luminance_has_the_chroma_of_the_content(experiment, rng):
    """8 bits round Cr and Cb by at most half a level."""
    content = rng.integers(60, 200, (40, 48, 3)).astype(np.float32)
    images.write_image(experiment.parent / "photo.png", content)
    run = only_run(experiment, "color.preserve=luminance")
    pastiche = images.read_image(run / "pastiche.png", "").rgb
    assert np.abs(chroma(pastiche) - chroma(content)).max() < 0.501
    assert np.abs(pastiche - content).mean() > 2
    assert recolored_by(run) == "color.preserve"


def test_the_record_and_the_log_name_what_changed_the_colours_at_the_end(experiment):
    """The loss of the saved picture is another one then than that of any iterate."""
    run = only_run(experiment, "color.match_result=true")
    assert recolored_by(run) == "color.match_result"
    log = (run / "log.txt").read_text().rstrip()
    assert log.endswith(", after color.match_result changed its colours")


def recolored_by(run):
    return json.loads((run / "record.json").read_text())["losses"]["recolored_by"]


def test_luminance_alone_is_transferred_between_grey_pictures(small_mat, rng):
    content, style = arrays(rng)
    config = small(small_mat, color={"preserve": "luminance_only"}, init={"noise": 0})
    result = style_transfer.stylize(content, [style], config)
    grey, painted = (rgb @ LIGHT for rgb in (content, style))
    matched = (painted - painted.mean()) * grey.std() / painted.std() + grey.mean()
    by_hand = [np.repeat(values, 3, axis=2) for values in (grey, matched)]
    plain = style_transfer.stylize(by_hand[0], by_hand[1:], small(small_mat, init={"noise": 0}))
    assert result.losses.rows[0] == pytest.approx(plain.losses.rows[0], rel=1e-3)
    np.testing.assert_allclose(chroma(result.image), chroma(content), atol=5e-4)


def test_a_texture_has_the_shape_and_the_styles_asked_for(small_mat, rng):
    content, style = arrays(rng)
    texture = {"content": {"weight": 0}, "init": {"from": "noise"}, "image": {"aspect": 0.5}}
    config = small(small_mat, **texture)
    one, two = (style_transfer.stylize(content, [style, content][:n], config) for n in (1, 2))
    assert one.image.shape == two.image.shape == (48, 24, 3)
    assert not np.array_equal(one.image, two.image)
    assert not any(name.startswith("content") for name in two.losses.columns)


GREY = ["init.noise=0.7 init.blur=2", "optimizer.name=lbfgs", "init.from=noise runtime.tile=64"]


@pytest.mark.parametrize("settings", [*GREY, "optimizer.box=false", "color.preserve=luminance"])
def test_grey_pictures_give_a_grey_picture_of_the_loss_that_was_optimised(experiment, settings):
    folder = experiment.parent
    for name in ("photo", "paint"):
        rgb = images.read_image(folder / f"{name}.png", "").rgb
        images.write_image(folder / f"{name}.png", rgb.mean(-1, keepdims=True).repeat(3, -1))
    run = only_run(experiment, *settings.split(), "image.size=80", "image.scales=[48]")
    pastiche = images.read_image(run / "pastiche.png", "").rgb
    assert_array_equal(pastiche, pastiche[..., :1].repeat(3, -1))
    losses = json.loads((run / "record.json").read_text())["losses"]
    assert losses["saved"]["total"] == pytest.approx(losses["lowest"]["total"], rel=0.01)


MEAN = np.array([120.0, 110.0, 100.0], np.float32)
BASE = (30, 40)


def base(picture, size=BASE, **init):
    settings = {"noise": 0.0, "blur": 0.0, "seed": 3, **init}
    return style_transfer.base_image(make_config({"init": settings}).init, picture, size, MEAN)


def test_the_base_image_blends_blurred_picture_and_noise_and_stays_in_the_pixel_range(
    rng,
):
    picture = rng.uniform(0, 255, (*BASE, 3)).astype(np.float32)
    assert_array_equal(base(picture), picture)
    noise = base(None, noise_std=20)
    half = base(picture, noise=0.5, noise_std=20)
    assert_allclose(half, 0.5 * picture + 0.5 * noise, atol=1e-3)
    blurred = base(picture, blur=2.0)
    assert blurred.std() < 0.4 * picture.std()
    noisy = base(picture, blur=2.0, noise=0.5)
    assert_allclose(noisy, 0.5 * blurred + 0.5 * noise, atol=1e-3)
    for wild in (base(picture, noise=0.9, noise_std=500), base(None, noise_std=500)):
        assert (wild.min(), wild.max()) == (0, 255)


def test_noise_is_white_and_gaussian_about_the_mean_and_repeats_with_its_seed():
    noise = base(None, (200, 300), noise_std=20)
    assert_allclose(noise.mean((0, 1)), MEAN, atol=0.5)
    assert_allclose(noise.std((0, 1)), 20, atol=0.5)
    flat = noise[..., 0] - noise[..., 0].mean()
    assert abs(np.mean(flat[:, 1:] * flat[:, :-1])) < 5  # white: neighbours are independent
    mean = MEAN.mean(keepdims=True)
    grey = style_transfer.base_image(make_config({}).init, None, (9, 9), mean)
    assert_array_equal(grey, grey[..., :1].repeat(3, -1))
    first, again, other = (base(None, (8, 8), seed=seed) for seed in (3, 3, 4))
    assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1


def test_16_bits_keep_the_optimised_image_and_its_loss(experiment):
    settings = "output.depth=16", "output.image=pastiche.tif", "runtime.precision=float32"
    run = only_run(experiment, *settings)
    losses = json.loads((run / "record.json").read_text())["losses"]
    # At 8 bits a channel the two differ by 6e-4.
    assert losses["saved"]["total"] == pytest.approx(losses["lowest"]["total"], rel=2e-5)
    assert len(np.unique(images.read_image(run / "pastiche.tif", "").rgb)) > 256
    kept = json.loads(images.read_settings(run / "pastiche.tif") or "")
    assert kept["settings"]["output"]["depth"] == 16
