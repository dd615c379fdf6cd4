"""The command from config to run folder, on a network of a few channels."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io

import style_transfer
from neural_style import images
from neural_style.config import Config, load_config, make_config

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def experiment(tmp_path, tiny_mat, rng) -> Path:
    """A config file beside its pictures, small enough for a run of a second."""
    ramp = np.linspace(0, 255, 40 * 50 * 3).reshape(40, 50, 3)
    images.write_image(tmp_path / "photo.png", ramp.astype(np.float32))
    images.write_image(tmp_path / "paint.png", rng.uniform(0, 255, (30, 30, 3)).astype(np.float32))
    path = tmp_path / "small.yaml"
    path.write_text(
        f"content: {{image: photo.png}}\n"
        f"style: {{images: [paint.png], weight: 1e4}}\n"
        f"network: {{weights: {tiny_mat}}}\n"
        f"image: {{size: 48}}\n"
        f"optimizer: {{iterations: 6}}\n"
        f"runtime: {{threads: null}}\n"
        f"output: {{folder: out}}\n"
    )
    return path


def command(experiment: Path, *settings: str) -> list[str]:
    options = [word for setting in settings for word in ("--set", setting)]
    return ["--config", str(experiment), *options]


def process(experiment: Path, *settings: str) -> list[str]:
    return [sys.executable, str(ROOT / "style_transfer.py"), *command(experiment, *settings)]


def only_run(experiment: Path) -> Path:
    [folder] = (experiment.parent / "out").iterdir()
    return folder


def test_a_run_leaves_picture_losses_plot_config_and_record(experiment):
    assert style_transfer.main(["-q", *command(experiment)]) == 0
    folder = only_run(experiment)
    assert folder.name == "0001-small"
    assert {path.name for path in folder.iterdir()} == {
        "config.yaml",
        "losses.csv",
        "losses.png",
        "pastiche.png",
        "record.json",
    }
    picture = images.read_image(folder / "pastiche.png", "")
    assert picture.rgb.shape == (38, 48, 3)
    with (folder / "losses.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["iteration"] for row in rows] == [str(i) for i in range(7)]
    totals = [float(row["total"]) for row in rows]
    record = json.loads((folder / "record.json").read_text())
    assert record["losses"]["lowest"]["total"] == pytest.approx(min(totals))
    assert min(totals) < totals[0]
    assert record["size"] == {"height": 38, "width": 48}


def test_the_saved_image_has_the_optimised_loss(experiment):
    style_transfer.main(["-q", *command(experiment)])
    losses = json.loads((only_run(experiment) / "record.json").read_text())["losses"]
    assert losses["saved"]["total"] == pytest.approx(losses["lowest"]["total"], rel=0.01)


def test_the_resolved_config_runs_again_to_the_same_bytes(experiment):
    style_transfer.main(["-q", *command(experiment)])
    first = only_run(experiment)
    style_transfer.main(["-q", "--config", str(first / "config.yaml")])
    second = experiment.parent / "out" / "0002-small"
    for name in ("pastiche.png", "config.yaml"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_another_seed_gives_another_picture(experiment):
    for seed in (0, 1):
        style_transfer.main(["-q", *command(experiment, f"init.seed={seed}")])
    first, second = sorted((experiment.parent / "out").iterdir())
    assert (first / "pastiche.png").read_bytes() != (second / "pastiche.png").read_bytes()


def test_the_same_seed_gives_the_same_bytes_in_two_processes(experiment):
    for _ in range(2):
        subprocess.run(process(experiment), check=True, capture_output=True)
    first, second = sorted((experiment.parent / "out").iterdir())
    assert (first / "pastiche.png").read_bytes() == (second / "pastiche.png").read_bytes()


def test_a_process_prints_its_progress_and_no_noise_of_libraries(experiment):
    done = subprocess.run(process(experiment), check=True, capture_output=True, text=True)
    lines = done.stderr.splitlines()
    assert "not the published VGG-19" in lines[0]
    assert re.fullmatch(
        r"adam iterations: 6 at 48 px; CPU, \d+ threads, (float32|bfloat16)", lines[1]
    )
    assert lines[2].startswith("[48x38] iteration 1/6  loss ")
    assert lines[-2].startswith("[48x38] iteration 6/6  loss ")
    assert lines[-1].startswith(f"{only_run(experiment) / 'pastiche.png'}: loss ")
    assert done.stdout == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_best_image_and_exits_130(number, experiment):
    running = subprocess.Popen(
        process(experiment, "optimizer.iterations=1000000"), stderr=subprocess.PIPE, text=True
    )
    for line in running.stderr:
        if "iteration 1/" in line:
            break
    running.send_signal(number)
    _, rest = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "interrupted; the best image so far is" in rest
    assert "Traceback" not in rest
    left = {path.name for path in only_run(experiment).iterdir()}
    assert left == {"checkpoints", "config.yaml", "losses.csv", "losses.png", "pastiche.png"}


def test_intermediate_images_and_animation_are_written(experiment):
    settings = ["output.save_every=2", "output.animation=gif"]
    assert style_transfer.main(["-q", *command(experiment, *settings)]) == 0
    folder = only_run(experiment)
    names = sorted(path.name for path in (folder / "iterates").iterdir())
    assert names == ["000002.png", "000004.png", "000006.png"]
    assert (folder / "iterates.gif").read_bytes()[:4] == b"GIF8"


@pytest.mark.parametrize("name", ["pastiche.jpg", "pastiche.webp", "pastiche.png"])
def test_settings_are_in_the_metadata_of_the_image(experiment, name):
    style_transfer.main(["-q", *command(experiment, f"output.image={name}")])
    told = json.loads(images.read_settings(only_run(experiment) / name))
    assert told["settings"]["style"]["weight"] == 1e4
    assert str(experiment.parent) not in json.dumps(told)


def test_transparency_of_the_content_is_kept(experiment):
    rgb = np.full((40, 50, 3), 90, np.float32)
    alpha = np.zeros((40, 50), np.float32)
    alpha[:, 25:] = 1
    images.write_image(experiment.parent / "photo.png", rgb, alpha)
    style_transfer.main(["-q", *command(experiment)])
    kept = images.read_image(only_run(experiment) / "pastiche.png", "").alpha
    assert kept[:, 0].max() == 0
    assert kept[:, -1].min() == 1


def test_random_filters_lower_the_style_loss_and_are_named_everywhere(experiment, tmp_path, caplog):
    settings = [
        f"network.weights={tmp_path / 'none.mat'}",
        "network.if_missing=random",
        "optimizer.iterations=40",
    ]
    assert style_transfer.main(command(experiment, *settings)) == 0
    folder = only_run(experiment)
    record = json.loads((folder / "record.json").read_text())
    assert record["network"]["origin"] == "random"
    assert record["losses"]["saved"]["total"] < record["losses"]["start"]["total"] / 5
    assert json.loads(images.read_settings(folder / "pastiche.png"))["network"].startswith("random")
    warnings = [r.message for r in caplog.records if "RANDOM FILTERS" in r.message]
    assert len(warnings) == 2


def test_dry_run_prints_the_resolved_config_and_writes_nothing(experiment, capsys, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    assert style_transfer.main(["--dry-run", *command(experiment, "style.weight=7")]) == 0
    printed = tmp_path / "printed.yaml"
    printed.write_text(capsys.readouterr().out)
    assert load_config(printed).style.weight == 7
    printed.unlink()
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before] == []


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_an_average_that_the_optimizer_does_not_keep_is_told(optimizer, experiment, caplog):
    settings = (f"optimizer.name={optimizer}", "optimizer.average=0.9")
    assert style_transfer.main(["--dry-run", *command(experiment, *settings)]) == 0
    told = [message for message in caplog.messages if message.startswith("optimizer.average")]
    assert len(told) == (optimizer == "lbfgs")


def test_bad_input_and_help_do_not_import_tensorflow(experiment):
    program = (
        "import sys, style_transfer\n"
        f"code = style_transfer.main({command(experiment, 'style.wieght=1')!r})\n"
        "assert code == 2 and 'tensorflow' not in sys.modules\n"
        "style_transfer.main(['--help'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stderr == ("error: style.wieght (--set): unknown key; did you mean 'weight'?\n")
    flags = ("--config", "--set", "--dry-run", "--verbose", "--quiet", "--help", "--version")
    assert all(flag in done.stdout for flag in flags)


@pytest.mark.parametrize("arguments", [["\x1b[31mred"], ["--config"], ["-q", "-v", "\x1b]0;x\x07"]])
def test_options_that_are_none_are_told_without_their_escapes(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        style_transfer.main(arguments)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "style_transfer.py: error: " in told
    assert all(line.isprintable() for line in told.splitlines())


def html(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html><body>404</body></html>")


def pointer(path: Path) -> None:
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n")


def empty(path: Path) -> None:
    path.touch()


def other_variables(path: Path) -> None:
    scipy.io.savemat(path, {"x": np.zeros(3)})


@pytest.mark.parametrize(
    ("name", "write", "settings", "message"),
    [
        ("x.png", empty, ["content.image={}"], "content.image: {}"),
        ("x.png", html, ["content.image={}"], "content.image: {}"),
        ("x.png", lambda path: None, ["style.images=[{}]"], "style.images[0]: no such file: {}"),
        ("x.mat", html, ["network.weights={}"], "network.weights: {}"),
        ("x.mat", pointer, ["network.weights={}"], "network.weights: {}"),
        ("x.mat", empty, ["network.weights={}"], "network.weights: {}"),
        ("x.mat", other_variables, ["network.weights={}"], "network.weights: {}"),
        (
            "x.mat",
            lambda path: None,
            ["network.weights={}"],
            "network.weights: there is no file {}",
        ),
        ("x", empty, ["output.folder={}"], "cannot write to the output folder {}: Not a"),
        (
            "x",
            lambda path: None,
            ["style.layers=[relu9_9]"],
            "style.layers: unknown layer 'relu9_9'",
        ),
        ("x", lambda path: None, ["image.size=15"], "content.image: 15 x 12 px at this size"),
        ("x", lambda path: None, ["image.size=none"], "image.size (--set): found 'none'"),
        ("x", lambda path: None, ["runtime.device=gpu"], "runtime.device: found 'gpu'"),
    ],
)
def test_bad_input_is_one_line_exit_2_and_nothing_left(
    name, write, settings, message, experiment, tmp_path, capsys
):
    path = tmp_path / name
    write(path)
    before = sorted(tmp_path.rglob("*"))
    filled = [setting.format(path) for setting in settings]
    assert style_transfer.main(["-q", *command(experiment, *filled)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message.format(path)}")
    assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_stylize_takes_arrays_and_returns_image_and_losses(tiny_mat, rng):
    content = rng.uniform(0, 255, (40, 50, 3)).astype(np.float32)
    config = make_config(
        {
            "network": {"weights": str(tiny_mat)},
            "image": {"size": 40},
            "optimizer": {"iterations": 3},
            "runtime": {"threads": None},
        }
    )
    styles = [content[::-1], content[:, ::-1]]
    result = style_transfer.stylize(content, styles, config)
    assert result.image.shape == (32, 40, 3)
    assert 0 <= result.image.min() <= result.image.max() <= 255
    assert len(result.losses.rows) == 4
    assert not np.array_equal(
        result.image, style_transfer.stylize(content, styles[:1], config).image
    )


def test_the_readme_example_runs(tiny_mat, tmp_path, monkeypatch):
    text = (ROOT / "README.md").read_text()
    example = text.split("```python\n")[1].split("```")[0]
    assert len(example.strip().splitlines()) <= 10
    (tmp_path / "config.yaml").write_text(
        f"network: {{weights: {tiny_mat}}}\nimage: {{size: 32}}\n"
        "optimizer: {iterations: 2}\nruntime: {threads: null}\n"
    )
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    assert len(list(tmp_path.glob("*.png"))) == 1


def arrays(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A content image of whole values and a style image."""
    return rng.integers(30, 226, (32, 48, 3)), rng.uniform(0, 255, (40, 40, 3))


def tiny(weights: Path, **sections: dict) -> Config:
    """Settings of a short run at 48 px, whose deepest layer is shallow."""
    values = {
        "network": {"weights": str(weights)},
        "content": {"layers": ["relu2_2"]},
        "style": {"layers": ["relu1_1", "relu3_1"], "weight": 1e4},
        "image": {"size": 48},
        "optimizer": {"iterations": 4},
        "runtime": {"threads": None, "precision": "float32"},
    }
    return make_config({name: {**values.get(name, {}), **sections.get(name, {})} for name in KEYS})


KEYS = ("network", "content", "style", "color", "init", "image", "optimizer", "runtime")


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("scales", [None, [24]])
def test_what_no_style_paints_is_the_content_to_the_last_bit(
    optimizer, scales, tiny_mat, tmp_path, rng
):
    content, style = arrays(rng)
    mask = np.zeros((32, 48, 3), np.float32)
    mask[4:29, 16:40] = 255
    images.write_image(tmp_path / "mask.png", mask)
    config = tiny(
        tiny_mat,
        style={"images": [{"path": "a.png", "mask": str(tmp_path / "mask.png")}]},
        image={"scales": scales},
        optimizer={"name": optimizer},
    )
    made = style_transfer.stylize(content, [style], config).image
    outside = mask[..., 0] == 0
    np.testing.assert_allclose(made[outside], content[outside], atol=1e-4)  # minus and plus a mean
    assert np.abs(made - content)[~outside].mean() > 2


def test_saved_luminance_has_the_chroma_of_the_content(experiment, rng):
    """8 bits round Cr and Cb by at most half a level, with Cr = (R - Y) / 1.402."""
    content = rng.integers(60, 200, (40, 48, 3)).astype(np.float32)
    images.write_image(experiment.parent / "photo.png", content)
    style_transfer.main(["-q", *command(experiment, "color.preserve=luminance")])
    pastiche = images.read_image(only_run(experiment) / "pastiche.png", "").rgb

    def chroma(rgb: np.ndarray) -> np.ndarray:
        y = rgb @ [0.299, 0.587, 0.114]
        return np.stack([(rgb[..., 0] - y) / 1.402, (rgb[..., 2] - y) / 1.772], axis=-1)

    assert np.abs(chroma(pastiche) - chroma(content)).max() < 0.501
    assert np.abs(pastiche - content).mean() > 2


def test_luminance_alone_is_transferred_between_grey_pictures(tiny_mat, rng):
    content, style = arrays(rng)
    config = tiny(tiny_mat, color={"preserve": "luminance_only"}, init={"noise": 0})
    result = style_transfer.stylize(content, [style], config)
    grey, painted = (rgb @ [[0.299], [0.587], [0.114]] for rgb in (content, style))
    matched = (painted - painted.mean()) * grey.std() / painted.std() + grey.mean()
    by_hand = [np.repeat(values, 3, axis=2) for values in (grey, matched)]
    plain = style_transfer.stylize(by_hand[0], by_hand[1:], tiny(tiny_mat, init={"noise": 0}))
    assert result.losses.rows[0] == pytest.approx(plain.losses.rows[0], rel=1e-3)
    chroma = [rgb - rgb @ [[0.299], [0.587], [0.114]] for rgb in (result.image, content)]
    np.testing.assert_allclose(chroma[0], chroma[1], atol=1e-3)


@pytest.mark.parametrize(("aspect", "shape"), [(2, (24, 48, 3)), (0.5, (48, 24, 3))])
def test_a_texture_has_the_shape_asked_for(aspect, shape, tiny_mat, rng):
    content, style = arrays(rng)
    config = tiny(tiny_mat, content={"weight": 0}, init={"from": "noise"}, image={"aspect": aspect})
    result = style_transfer.stylize(content, [style], config)
    assert result.image.shape == shape
    assert not any(name.startswith("content") for name in result.losses.columns)


def test_styles_with_fine_structure_of_another_are_painted_first(tiny_mat, tmp_path, rng):
    content, style = arrays(rng)
    fine = rng.uniform(0, 255, (20, 20, 3)).astype(np.float32)
    images.write_image(tmp_path / "fine.png", fine)
    made = [
        style_transfer.stylize(content, [style], tiny(tiny_mat, style={"images": [image]})).image
        for image in ({"path": "a", "fine": str(tmp_path / "fine.png")}, "a")
    ]
    assert made[0].shape == made[1].shape
    assert np.abs(made[0] - made[1]).mean() > 0.5
