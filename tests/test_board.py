"""Events are read back by TensorBoard's own readers, and hyperparameters by its plugin."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

import style_transfer
from neural_style.board import Board, announce, check_board, typed
from neural_style.errors import InputError
from neural_style.record import LossHistory
from neural_style.transfer import Moment

BLACK = np.zeros((2, 2, 3), np.float32)
COLUMNS = ("content/relu4_2", "style/relu1_1", "total_variation", "total")


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def a_history(rng: np.random.Generator, rows: int) -> LossHistory:
    history = LossHistory(COLUMNS)
    for number, row in enumerate(rng.lognormal(5, 3, (rows, len(COLUMNS)))):
        history.append(number, float(number), row, "5x4")
    return history


def moment_of(
    history: LossHistory, done: int, image: Callable[[], np.ndarray] = lambda: BLACK
) -> Moment:
    """A run after so many iterations, whose losses are known up to the iterate before."""
    known = LossHistory(history.columns)
    for number, row in zip(history.iterations[:done], history.rows[:done], strict=True):
        known.append(number, 0.0, row, "5x4")
    losses = dict(zip(history.columns, known.rows[-1], strict=True)) | {"style/of_another": 0.0}
    return Moment("5x4", done, losses, known, image, dict)


def tell(board: Board, history: LossHistory, picture: np.ndarray) -> None:
    """Tell a board a whole run."""
    with board:
        for done in range(1, len(history.rows)):
            board.iterate(moment_of(history, done, lambda: picture))
        board.result(picture, history)


def a_total(rows: int) -> LossHistory:
    history = LossHistory(["total"])
    for number in range(rows):
        history.append(number, 0.0, [float(rows - number)], "5x4")
    return history


def read(folder: Path) -> event_accumulator.EventAccumulator:
    everything = {event_accumulator.SCALARS: 0, event_accumulator.IMAGES: 0}
    return event_accumulator.EventAccumulator(str(folder), everything).Reload()


def decoded(event: event_accumulator.ImageEvent) -> np.ndarray:
    """The pixels of a PNG, [H, W, 3], 0..255."""
    return np.rint(matplotlib.image.imread(io.BytesIO(event.encoded_image_string)) * 255)


def picture_of(rng: np.random.Generator, height: int = 4, width: int = 5) -> np.ndarray:
    return rng.integers(0, 256, (height, width, 3)).astype(np.float32)


def test_every_term_is_found_at_every_iterate_by_its_column(tmp_path, rng):
    history = a_history(rng, 30)
    tell(Board(tmp_path, enabled=True), history, picture_of(rng))
    found = read(tmp_path)
    assert set(found.Tags()["scalars"]) == set(COLUMNS)
    for index, column in enumerate(COLUMNS):
        events = found.Scalars(column)
        assert [event.step for event in events] == history.iterations
        expected = np.float32([row[index] for row in history.rows])
        np.testing.assert_array_equal(np.float32([event.value for event in events]), expected)


def test_first_iterate_and_pastiche_are_found_pixel_by_pixel(tmp_path, rng):
    history, picture = a_history(rng, 4), picture_of(rng)
    tell(Board(tmp_path, enabled=True), history, picture)
    found = read(tmp_path)
    assert set(found.Tags()["images"]) == {"iterate", "pastiche"}
    [iterate], [pastiche] = found.Images("iterate"), found.Images("pastiche")
    assert (iterate.step, pastiche.step) == (1, 3)
    for event in (iterate, pastiche):
        assert (event.height, event.width) == (4, 5)
        np.testing.assert_array_equal(decoded(event), picture)


def test_pixel_values_are_rounded_and_kept_to_a_byte(tmp_path):
    picture = np.float32([[[-3, 0.4, 0.6], [254.6, 255, 300]]])
    history = a_total(1)
    with Board(tmp_path, enabled=True) as board:
        board.result(picture, history)
    [event] = read(tmp_path).Images("pastiche")
    np.testing.assert_array_equal(decoded(event), [[[0, 0, 1], [255, 255, 255]]])


def test_an_image_is_at_most_1024_pixels_long(tmp_path):
    history = a_total(1)
    with Board(tmp_path, enabled=True) as board:
        board.result(np.full((20, 1536, 3), 9, np.float32), history)
    [event] = read(tmp_path).Images("pastiche")
    assert (event.height, event.width) == (13, 1024)


def test_a_resumed_run_tells_each_iterate_once_and_as_it_was_last(tmp_path, rng):
    first, second = a_history(rng, 10), a_history(rng, 12)
    with Board(tmp_path, enabled=True) as board:
        for done in range(1, 9):
            board.iterate(moment_of(first, done))
    with Board(tmp_path, enabled=True, done=5) as board:
        for done in range(6, 12):
            board.iterate(moment_of(second, done))
        board.result(BLACK, second)
    events = read(tmp_path).Scalars("total")
    assert [event.step for event in events] == [*range(12)]
    totals = [row[-1] for row in (*first.rows[:5], *second.rows[5:])]
    np.testing.assert_array_equal(np.float32([event.value for event in events]), np.float32(totals))


def test_a_run_that_begins_again_tells_nothing_of_what_it_was(tmp_path, rng):
    tell(Board(tmp_path, enabled=True), a_history(rng, 9), picture_of(rng))
    tell(Board(tmp_path, enabled=True), a_history(rng, 4), picture_of(rng))
    found = read(tmp_path)
    assert [event.step for event in found.Scalars("total")] == [0, 1, 2, 3]
    assert [event.step for event in found.Images("pastiche")] == [3]


def steps_of_images(folder: Path, seconds_to_fetch: float, iterations: int) -> list[int]:
    """The iterates shown of a run that takes a second an iteration, beside what showing takes."""
    clock = Clock()

    def fetch() -> np.ndarray:
        clock.now += seconds_to_fetch
        return BLACK

    history = a_total(iterations)
    with Board(folder, enabled=True, clock=clock) as board:
        for done in range(1, iterations + 1):
            clock.now += 1
            board.iterate(moment_of(history, done, fetch))
    return [event.step for event in read(folder).Images("iterate")]


def test_images_are_ten_seconds_apart_and_later_a_tenth_of_the_time(tmp_path):
    expected, second = [], 1.0
    while second <= 400:
        expected.append(int(np.ceil(second)))
        second = expected[-1] + max(10.0, expected[-1] / 10)
    assert steps_of_images(tmp_path, 0.0, 400) == expected
    assert len(expected) < 30


def test_images_that_take_long_take_a_hundredth_of_the_time(tmp_path):
    # Of 2 s each: the next is due 200 s after this one began, of which 2 s are its own.
    assert steps_of_images(tmp_path, 2.0, 450) == [1, 199, 397]


def test_a_board_that_is_off_does_nothing(tmp_path, rng, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # nor does it need the package
    history = a_history(rng, 3)
    with Board(tmp_path, enabled=False, values={"style.weight": 1.0}) as board:
        board.iterate(moment_of(history, 1, lambda: pytest.fail("an image was fetched")))
        board.result(picture_of(rng), history)
        board.score({"total": 1.0}, {"ssim": 0.5})
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_told_in_one_line(monkeypatch, tmp_path):
    check_board(True)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    check_board(False)
    told = (
        "output.tensorboard: found true, but TensorBoard is not installed; "
        "pip install -r requirements-tensorboard.txt, or set it to false"
    )
    with pytest.raises(InputError, match=f"^{re.escape(told)}$"):
        check_board(True)
    with pytest.raises(InputError), Board(tmp_path, enabled=True):
        pass
    assert (Path(__file__).parents[1] / "requirements-tensorboard.txt").exists()


def test_a_folder_that_cannot_be_written_costs_the_events_and_not_the_run(tmp_path, rng, caplog):
    place = tmp_path / "file"
    place.write_text("no folder")
    tell(Board(place, enabled=True), a_history(rng, 3), picture_of(rng))
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"{place}: TensorBoard's events cannot be written: ")
    assert caplog.messages[0].endswith("going on without")


def test_the_graph_of_the_run_gets_no_operation(tmp_path, rng):
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default() as graph:
        tf.constant(1.0)
        graph.finalize()
        tell(Board(tmp_path, True, {"style.weight": 3.0}), a_history(rng, 5), picture_of(rng))
        assert len(graph.get_operations()) == 1


def test_events_can_be_read_while_the_run_goes_on(tmp_path):
    import time

    with Board(tmp_path, enabled=True) as board:
        board.iterate(moment_of(a_total(1), 1))
        for _ in range(1200):  # they are there after five seconds, or later on a busy machine
            found = read(tmp_path).Tags()["scalars"] if list(tmp_path.iterdir()) else []
            if found:
                break
            time.sleep(0.05)
        assert found == ["total"]


def plugin(folder: Path) -> tuple[api_pb2.Experiment, dict[str, api_pb2.SessionGroup]]:
    """What TensorBoard's hparams plugin makes of a folder: its columns, and its rows by name."""
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


def a_sweep(folder: Path, rows: list[dict[str, str]], score: Mapping[str, float | None]) -> None:
    folder.mkdir(exist_ok=True)
    values = typed(rows)
    announce(folder, values, ["style/relu1_1", "total"], ["ssim", "border"])
    for number, row in enumerate(values, 1):
        home = folder / f"{number:04d}-run"
        home.mkdir(exist_ok=True)
        with Board(home, enabled=True, values=row) as board:
            board.iterate(moment_of(a_total(1), 1))
            board.score({"style/relu1_1": 1.5, "total": 10.0 * number}, score)


def values_of(group: api_pb2.SessionGroup) -> dict[str, object]:
    kinds = {key: value.WhichOneof("kind") for key, value in group.hparams.items()}
    return {key: getattr(group.hparams[key], kind) for key, kind in kinds.items()}


def test_a_sweep_is_a_table_of_its_keys_and_measures(tmp_path):
    rows = [
        {"style.weight": weight, "network.pooling": pooling}
        for weight in ("1e2", "2500")
        for pooling in ("max", "average")
    ]
    a_sweep(tmp_path, rows, {"ssim": 0.25, "border": None})
    experiment, groups = plugin(tmp_path)
    columns = {info.name: info for info in experiment.hparam_infos}
    interval = columns["style.weight"].domain_interval
    assert (interval.min_value, interval.max_value) == (100, 2500)
    assert list(columns["network.pooling"].domain_discrete) == ["average", "max"]
    assert [info.name.tag for info in experiment.metric_infos] == [
        "saved/total",
        "metrics/ssim",
        "saved/style/relu1_1",
        "metrics/border",
    ]
    assert [*groups] == [f"{number:04d}-run" for number in (1, 2, 3, 4)]
    for number, (row, group) in enumerate(zip(rows, groups.values(), strict=True), 1):
        expected = {**row, "style.weight": float(row["style.weight"])}
        assert values_of(group) == expected
        assert {metric.name.tag: metric.value for metric in group.metric_values} == {
            "saved/style/relu1_1": 1.5,
            "saved/total": 10.0 * number,
            "metrics/ssim": 0.25,
        }
        assert [session.name for session in group.sessions] == [f"{number:04d}-run"]


def test_a_run_is_found_before_it_has_ended_and_without_its_sweep(tmp_path):
    home = tmp_path / "0001-run"
    home.mkdir()
    with Board(home, enabled=True, values={"init.noise": 0.5}) as board:
        board.iterate(moment_of(a_total(1), 1))
        board._writer.flush()
        experiment, groups = plugin(tmp_path)
    assert [info.name for info in experiment.hparam_infos] == ["init.noise"]
    assert values_of(groups["0001-run"]) == {"init.noise": 0.5}


def test_a_resumed_sweep_is_told_as_it_is_now(tmp_path):
    a_sweep(tmp_path, [{"style.weight": "1"}], {})
    announce(tmp_path, typed([{"style.weight": "1"}, {"style.weight": "9"}]), ["total"], [])
    experiment, _ = plugin(tmp_path)
    assert experiment.hparam_infos[0].domain_interval.max_value == 9
    assert [info.name.tag for info in experiment.metric_infos] == ["saved/total"]


def test_what_is_no_finite_number_is_left_out_of_the_measures(tmp_path):
    with Board(tmp_path, enabled=True) as board:
        board.score({"total": float("inf"), "total_variation": 2.0}, {"ssim": None, "grain": 3.0})
    assert set(read(tmp_path).Tags()["scalars"]) == {"saved/total_variation", "metrics/grain"}


def test_a_key_is_a_number_in_every_run_or_in_none():
    rows = [{"image.size": "256", "init.noise": "1e-3"}, {"image.size": "null", "init.noise": "1"}]
    assert typed(rows) == [
        {"image.size": "256", "init.noise": 0.001},
        {"image.size": "null", "init.noise": 1.0},
    ]
    assert typed([{"x": "nan"}, {"x": "1"}]) == [{"x": "nan"}, {"x": "1"}]


def test_a_real_sweep_is_found_with_every_term_and_every_value(tmp_path, tiny_mat, monkeypatch):
    monkeypatch.chdir(Path(style_transfer.__file__).parent)
    settings = [
        f"network.weights={tiny_mat}",
        "style.layers=[relu1_1, relu2_1]",
        "image.size=48",
        "image.scales=null",
        "optimizer.iterations=3",
        "sweep.grid.style.weight=[100, 500]",
        "output.tensorboard=true",
        f"output.folder={tmp_path}",
    ]
    options = [part for each in settings for part in ("--set", each)]
    assert style_transfer.main(["-q", "--config", "config.yaml", *options]) == 0
    (home,) = tmp_path.iterdir()
    runs = sorted(path.parent for path in home.glob("*/record.json"))
    for run in runs:
        header, *rows = csv.reader((run / "losses.csv").read_text().splitlines())
        found = read(run)
        assert {"style/relu1_1", "style/relu2_1", "content/relu4_2", "total"} <= {*header}
        for index, term in enumerate(header[3:], 3):
            events = found.Scalars(term)
            assert [event.step for event in events] == [0, 1, 2, 3]
            values = np.float32([row[index] for row in rows])
            np.testing.assert_array_equal(np.float32([event.value for event in events]), values)
            assert len(found.Scalars(f"saved/{term}")) == 1
        assert {"iterate", "pastiche"} <= {*found.Tags()["images"]}
    _, groups = plugin(home)
    assert [*groups] == [run.name for run in runs]
    assert [values_of(group) for group in groups.values()] == [
        {"style.weight": 100.0},
        {"style.weight": 500.0},
    ]
    for run, group in zip(runs, groups.values(), strict=True):
        shown = {metric.name.tag: metric.value for metric in group.metric_values}
        told = json.loads((run / "record.json").read_text())
        assert shown["saved/total"] == pytest.approx(told["losses"]["saved"]["total"])
        assert shown["metrics/content"] == pytest.approx(told["metrics"]["content"])
