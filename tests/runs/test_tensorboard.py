"""Events are read back by TensorBoard's own readers, and hyperparameters by its plugin."""

from __future__ import annotations

import csv
import io
import itertools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from conftest import command
from references import ROOT
from tables import refusal
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

import style_transfer
from neural_style.errors import InputError
from neural_style.runs.tensorboard import TensorBoardWriter, announce, check_board, typed
from neural_style.transfer.state import Iteration, LossHistory

Image = Callable[[], np.ndarray]
BLACK = np.zeros((2, 2, 3), np.float32)
COLUMNS = ("content/relu4_2", "style/relu1_1", "total_variation", "total")


def a_history(rows: int, seed: int = 0) -> LossHistory:
    losses = np.random.default_rng(seed).lognormal(5, 3, (rows, len(COLUMNS)))
    numbers, known = range(rows), [tuple(row) for row in losses]
    return LossHistory(COLUMNS, ["5x4"] * rows, [*numbers], [*map(float, numbers)], known)


def iterate(
    writer: TensorBoardWriter, done: int, image: Image = lambda: BLACK, seed: int = 0
) -> None:
    """Write a run after `done` iterations, whose losses are known up to the iterate before."""
    writer.iterate(Iteration("5x4", done, {}, a_history(done, seed), image, dict))


def write_rest(
    writer: TensorBoardWriter, rows: int, seed: int = 0, picture: np.ndarray = BLACK
) -> None:
    """Write the rest of a run."""
    with writer:
        for done in range(writer.done + 1, rows):
            iterate(writer, done, lambda: picture, seed)
        writer.result(picture, a_history(rows, seed))


def read(folder: Path) -> event_accumulator.EventAccumulator:
    everything = {event_accumulator.SCALARS: 0, event_accumulator.IMAGES: 0}
    return event_accumulator.EventAccumulator(str(folder), everything).Reload()


def check_scalars(folder: Path, rows: list[tuple[float, ...]]) -> None:
    """Check that every term is found at every iterate, by its column."""
    found = read(folder)
    assert set(found.Tags()["scalars"]) == set(COLUMNS)
    for column, expected in zip(COLUMNS, np.float32(rows).T, strict=True):
        events = found.Scalars(column)
        assert [event.step for event in events] == [*range(len(rows))]
        np.testing.assert_array_equal(np.float32([event.value for event in events]), expected)


def decoded(event: event_accumulator.ImageEvent) -> np.ndarray:
    """The pixels of a PNG, [H, W, 3], 0..255."""
    return np.rint(matplotlib.image.imread(io.BytesIO(event.encoded_image_string)) * 255)


def test_terms_first_iterate_and_pastiche_are_found(tmp_path, rng):
    """A repeated run deletes its old events, and no operation is added to its graph."""
    import tensorflow.compat.v1 as tf

    picture = rng.integers(0, 256, (4, 5, 3)).astype(np.float32)
    with tf.Graph().as_default() as graph:
        graph.finalize()
        write_rest(TensorBoardWriter(tmp_path, enabled=True), 40, seed=1)
        write_rest(TensorBoardWriter(tmp_path, enabled=True), 30, picture=picture)
        assert not graph.get_operations()
    check_scalars(tmp_path, a_history(30).rows)
    found = read(tmp_path)
    assert set(found.Tags()["images"]) == {"iterate", "pastiche"}
    for tag, step in (("iterate", 1), ("pastiche", 29)):
        [event] = found.Images(tag)
        assert (event.step, event.height, event.width) == (step, 4, 5)
        np.testing.assert_array_equal(decoded(event), picture)


def test_a_resumed_run_replaces_later_iterates_and_rounds_images_to_bytes(tmp_path):
    """Images have at most 1024 pixels a side."""
    odd, long = np.float32([[[-3, 0.4, 0.6], [254.6, 255, 300]]]), np.zeros((20, 1536, 3))
    write_rest(TensorBoardWriter(tmp_path, enabled=True), 10, seed=1, picture=odd)
    write_rest(
        TensorBoardWriter(tmp_path, enabled=True, done=5),
        12,
        seed=2,
        picture=long.astype(np.float32),
    )
    check_scalars(tmp_path, [*a_history(10, seed=1).rows[:5], *a_history(12, seed=2).rows[5:]])
    first, _ = read(tmp_path).Images("iterate")
    np.testing.assert_array_equal(decoded(first), [[[0, 0, 1], [255, 255, 255]]])
    [last] = read(tmp_path).Images("pastiche")
    assert (last.height, last.width) == (13, 1024)


def spaced(iterations: int) -> list[int]:
    """Iterates ten seconds apart, and later a tenth of the elapsed time."""
    expected, second = [], 1.0
    while second <= iterations:
        expected.append(int(np.ceil(second)))
        second = expected[-1] + max(10.0, expected[-1] / 10)
    return expected


# Of 2 s each: the next is due 200 s after this one began, of which 2 s are its own.
@pytest.mark.parametrize(("cost", "expected"), [(0.0, spaced(400)), (2.0, [1, 199, 397])])
def test_images_of_a_run_of_a_second_an_iteration_take_a_hundredth_of_its_time(
    cost, expected, tmp_path
):
    now = [1000.0]

    def fetch() -> np.ndarray:
        now[0] += cost
        return BLACK

    with TensorBoardWriter(tmp_path, enabled=True, clock=lambda: now[0]) as writer:
        for done in range(1, 401):
            now[0] += 1
            iterate(writer, done, fetch)
    assert [event.step for event in read(tmp_path).Images("iterate")] == expected
    assert len(expected) < 30


def test_a_missing_package_is_an_error_of_one_line_where_it_is_needed(monkeypatch, tmp_path):
    check_board(True)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    check_board(False)
    with TensorBoardWriter(tmp_path, enabled=False, values={"style.weight": 1.0}) as writer:
        iterate(writer, 1, lambda: pytest.fail("an image was fetched"))
        writer.result(BLACK, a_history(3))
        writer.score({"total": 1.0}, {"ssim": 0.5})
    assert not list(tmp_path.iterdir())
    told = (
        "output.tensorboard: found true, but TensorBoard is not installed; "
        "pip install -r requirements-tensorboard.txt, or set it to false"
    )
    for call in (lambda: check_board(True), TensorBoardWriter(tmp_path, enabled=True).__enter__):
        assert refusal(InputError, call) == told
    assert (ROOT / "requirements-tensorboard.txt").exists()


def test_a_folder_that_cannot_be_written_costs_the_events_and_not_the_run(tmp_path, caplog):
    place = tmp_path / "file"
    place.write_text("no folder")
    write_rest(TensorBoardWriter(place, enabled=True), 3)
    [line] = caplog.messages
    assert line.startswith(f"{place}: TensorBoard's events cannot be written: ")
    assert line.endswith("continuing without them")


def test_events_can_be_read_during_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("neural_style.runs.tensorboard.FLUSH_SECONDS", 0.2)
    with TensorBoardWriter(tmp_path, enabled=True) as writer:
        iterate(writer, 1)
        for _ in range(1200):  # or later on a busy machine
            found = read(tmp_path).Tags()["scalars"] if list(tmp_path.iterdir()) else []
            if found:
                break
            time.sleep(0.05)
        assert set(found) == set(COLUMNS)


def plugin(folder: Path) -> tuple[api_pb2.Experiment, dict[str, api_pb2.SessionGroup]]:
    """The columns of a folder and its rows by name, as TensorBoard's hparams plugin reads them."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload()
    provider = MultiplexerDataProvider(multiplexer, str(folder))
    context = backend_context.Context(TBContext(data_provider=provider))
    request = api_pb2.ListSessionGroupsRequest(
        allowed_statuses=api_pb2.Status.values(), slice_size=100, include_metrics=True
    )
    request_context = RequestContext()
    handler = list_session_groups.Handler(request_context, context, "", request)
    metadata = context.hparams_metadata(request_context, "")
    experiment = context.experiment_from_metadata(request_context, "", True, metadata, [])
    return experiment, {group.name: group for group in handler.run().session_groups}


def values_of(group: api_pb2.SessionGroup) -> dict[str, object]:
    kinds = {key: value.WhichOneof("kind") for key, value in group.hparams.items()}
    return {key: getattr(group.hparams[key], kind) for key, kind in kinds.items()}


def shown(group: api_pb2.SessionGroup) -> dict[str, float]:
    return {metric.name.tag: metric.value for metric in group.metric_values}


def test_a_sweep_is_a_table_of_its_keys_and_measures(tmp_path):
    """Measures that are not finite are left out; a resumed sweep replaces its table.

    A key is a number in every run or in none.
    """
    for written, told in ((("256", "null"), ["256", "null"]), (("1e-3", "1"), [0.001, 1])):
        assert [row["x"] for row in typed([{"x": value} for value in written])] == told
    assert typed([{"x": "nan"}, {"x": "1"}]) == [{"x": "nan"}, {"x": "1"}]
    pairs = itertools.product(("1e2", "2500"), ("max", "average"))
    rows = [{"style.weight": weight, "network.pooling": pooling} for weight, pooling in pairs]
    announce(tmp_path, typed([{"style.weight": "1"}]), ["total"], [])
    announce(tmp_path, typed(rows), ["style/relu1_1", "total"], ["ssim", "border"])
    for number, row in enumerate(typed(rows), 1):
        home = tmp_path / f"{number:04d}-run"
        home.mkdir()
        with TensorBoardWriter(home, enabled=True, values=row) as writer:
            iterate(writer, 1)
            losses = {"style/relu1_1": float("inf"), "total": 10.0 * number}
            writer.score(losses, {"ssim": 0.25, "border": None})
    experiment, groups = plugin(tmp_path)
    columns = {info.name: info for info in experiment.hparam_infos}
    interval = columns["style.weight"].domain_interval
    assert (interval.min_value, interval.max_value) == (100, 2500)
    assert list(columns["network.pooling"].domain_discrete) == ["average", "max"]
    tags = ["saved/total", "metrics/ssim", "saved/style/relu1_1", "metrics/border"]
    assert [info.name.tag for info in experiment.metric_infos] == tags
    assert [*groups] == [f"{number:04d}-run" for number in (1, 2, 3, 4)]
    for number, (row, group) in enumerate(zip(rows, groups.values(), strict=True), 1):
        assert values_of(group) == {**row, "style.weight": float(row["style.weight"])}
        assert shown(group) == {"saved/total": 10.0 * number, "metrics/ssim": 0.25}
        assert [session.name for session in group.sessions] == [f"{number:04d}-run"]


def test_a_run_is_found_before_it_has_ended_and_without_its_sweep(tmp_path):
    home = tmp_path / "0001-run"
    home.mkdir()
    with TensorBoardWriter(home, enabled=True, values={"init.noise": 0.5}) as writer:
        iterate(writer, 1)
        writer._writer.flush()
        experiment, groups = plugin(tmp_path)
    assert [info.name for info in experiment.hparam_infos] == ["init.noise"]
    assert values_of(groups["0001-run"]) == {"init.noise": 0.5}


def test_a_real_sweep_is_found_with_every_term_and_every_value(experiment):
    settings = ["optimizer.iterations=3", "sweep.grid.style.weight=[100, 500]"]
    assert style_transfer.main(command(experiment, *settings, "output.tensorboard=true")) == 0
    (home,) = (experiment.parent / "out").glob("0*")
    runs = sorted(path.parent for path in home.glob("*/record.json"))
    _, groups = plugin(home)
    assert [*groups] == [run.name for run in runs]
    assert [values_of(each)["style.weight"] for each in groups.values()] == [100.0, 500.0]
    for run, group in zip(runs, groups.values(), strict=True):
        header, *rows = csv.reader((run / "losses.csv").read_text().splitlines())
        assert {"style/relu1_1", "style/relu2_1", "content/relu3_1", "total"} <= {*header}
        found = read(run)
        for index, term in enumerate(header[3:], 3):
            events = found.Scalars(term)
            assert [event.step for event in events] == [0, 1, 2, 3]
            values = np.float32([row[index] for row in rows])
            np.testing.assert_array_equal(np.float32([event.value for event in events]), values)
            assert len(found.Scalars(f"saved/{term}")) == 1
        assert {"iterate", "pastiche"} <= {*found.Tags()["images"]}
        told = json.loads((run / "record.json").read_text())
        assert shown(group)["saved/total"] == pytest.approx(told["losses"]["saved"]["total"])
        assert shown(group)["metrics/ssim"] == pytest.approx(told["metrics"]["ssim"])
