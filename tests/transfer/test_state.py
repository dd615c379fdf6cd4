"""The plain data of a run: its losses against the csv module, its clock, its checkpoint."""

import csv
import io
from unittest.mock import Mock

import numpy as np
import pytest

from neural_style.transfer.state import (
    Checkpoint,
    Iterate,
    Iteration,
    LossHistory,
    Stopped,
    Stopwatch,
    Watch,
)


def test_history_takes_terms_by_name_and_in_order_and_as_csv_reads_back(rng):
    values = (10.0 ** rng.uniform(-10, 12, (50, 3))).astype(np.float32)
    history = LossHistory(("a", "with, comma", "total"))
    for i, row in enumerate(values):
        history.append(i, 0.5 * i, row, "384x288")
    header, *rows = csv.reader(io.StringIO(history.to_csv().decode()))
    assert header == ["scale", "iteration", "seconds", "a", "with, comma", "total"]
    assert [row[:3] for row in rows] == [["384x288", str(i), f"{0.5 * i:g}"] for i in range(50)]
    np.testing.assert_array_equal(np.array([row[3:] for row in rows], dtype=np.float32), values)
    history = LossHistory(("content/relu4_2", "style/relu1_1", "total"))
    with pytest.raises(ValueError, match=r"^2 values for 3 columns$"):
        history.append(1, 0.0, [1.0, 2.0], "96x72")
    with pytest.raises(KeyError, match="total"):
        history.append(1, 0.0, {"content/relu4_2": 1.0, "style/relu1_1": 1.0}, "96x72")
    assert history == LossHistory(("content/relu4_2", "style/relu1_1", "total"))
    assert history.values().shape == (0, 3)
    history.append(1, 0.25, [1.5, 3e8, 300000001.5], "96x72")
    named = {"total": 7.0, "content/relu4_2": np.float32(0.1), "style/relu1_1": 6.9}
    history.append(2, 1 / 3, named, "192x144")
    assert history.scales == ["96x72", "192x144"]
    expected = [[1.5, 3e8, 300000001.5], [np.float32(0.1), 6.9, 7.0]]
    np.testing.assert_array_equal(history.values(), expected)
    assert history.to_csv().decode() == (
        "scale,iteration,seconds,content/relu4_2,style/relu1_1,total\n"
        "96x72,1,0.25,1.5,300000000,300000002\n"
        "192x144,2,0.333333333,0.100000001,6.9,7\n"
    )


def test_a_scale_begins_where_the_size_or_the_count_of_iterates_does():
    """The last row of a scale has the number at which the next one begins, if none was left out."""
    history = LossHistory(("total",))
    rows = [(0, "6x4"), (1, "6x4"), (1, "9x6"), (2, "9x6"), (2, "9x6"), (3, "9x6"), (9, "9x6")]
    for iteration, scale in rows:
        history.append(iteration, 0.0, [1.0], scale)
    assert history.begins == [2, 4, 6]
    assert LossHistory(("total",)).begins == []


def looks(each: Iterate) -> bool:
    """Use the image twice, which is fetched once."""
    return each.image is each.image


def test_a_callback_is_given_an_iterate_whose_image_costs_nothing_until_it_is_used():
    """False stops, and nothing else that is false; a later look would show another iterate."""
    fetched, kept = Mock(return_value=np.ones((2, 3, 3), np.float32)), []
    losses = {"content": 1.0, "total": 2.5}
    moment = Iteration("3x2", 7, losses, LossHistory([*losses]), fetched, dict)
    for answer in (None, True, 0, np.True_):
        Watch.calling(lambda each, answer=answer: kept.append(each) or answer, 9).iteration(moment)
    each = kept[0]
    assert (each.number, each.total, each.size, each.loss) == (7, 9, (2, 3), 2.5)
    fetched.assert_not_called()
    with pytest.raises(RuntimeError, match=r"^iterate 7 is gone; use its image inside the callba"):
        looks(each)
    for answer in (False, np.False_):
        watch = Watch.calling(lambda each, answer=answer: answer if looks(each) else None, 9)
        with pytest.raises(Stopped):
            watch.iteration(moment)
    assert fetched.call_count == 2
    Watch.calling(None, 9).iteration(moment)


def test_stopwatch_adds_by_phase_and_counts_failed_blocks(monkeypatch):
    clock = iter([10.0, 11.5, 20.0, 22.0, 30.0, 30.25])
    monkeypatch.setattr("neural_style.transfer.state.time.perf_counter", lambda: next(clock))
    stopwatch = Stopwatch()
    for phase in ("optimise", "write"):
        with stopwatch(phase):
            pass
    with pytest.raises(RuntimeError), stopwatch("optimise"):
        raise RuntimeError
    assert stopwatch.seconds == {"optimise": 1.75, "write": 2.0}


def test_a_checkpoint_lets_go_of_the_state_that_it_hands_over():
    """It takes as much memory as the run."""
    state = {"image": np.zeros(3)}
    checkpoint = Checkpoint(1, LossHistory(["total"]), state, {})
    assert checkpoint.hand_over() is state
    assert checkpoint.state == {}
