"""Errors from inside TensorFlow: one line on the terminal, all of it in a file."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from conftest import write_experiment

import style_transfer
from neural_style.errors import DivergedError, FailedRunError, InputError
from neural_style.runs.outputs import logged_in
from neural_style.text import describe
from neural_style.transfer import TransferSession


def a_failure() -> tf.errors.OpError:
    """An error of TensorFlow's own, of an operation `misfit` that is fed what does not fit it."""
    with tf.Graph().as_default(), tf.Session() as session:
        left, right = (tf.placeholder(tf.float32, [None]) for _ in range(2))
        total = tf.add(left, right, name="misfit")
        with pytest.raises(tf.errors.OpError) as caught:
            session.run(total, {left: np.ones(2), right: np.ones(3)})
    return caught.value


def test_errors_are_told_by_kind_and_those_of_tensorflow_by_operation_and_first_sentence():
    error = a_failure()
    assert "\n" in str(error)
    assert describe(error) == "InvalidArgumentError in misfit: Incompatible shapes: [2] vs. [3]"
    assert describe(InputError("content.image: no such file")) == "content.image: no such file"
    assert describe(KeyError("a\nb")) == r"KeyError: 'a\nb'"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("2 root error(s) found.\n  (0) INTERNAL: it broke\n\t [[{{node a}}]]\n", "it broke"),
        ("{{function_node __inference_f_1}} no rows. See the log.", "no rows"),
        ("no rows\n" * 900, "no rows"),
        ("long" * 900, "long" * 125 + "..."),
    ],
)
def test_the_first_sentence_is_without_headings_and_nodes(message, shown):
    error = tf.errors.InternalError(None, None, message)
    assert describe(error) == f"InternalError: {shown}"


def test_the_whole_of_an_unexpected_error_is_in_the_folder(tmp_path):
    error = a_failure()
    with pytest.raises(FailedRunError) as caught, logged_in(tmp_path):
        raise error
    path = tmp_path / "error.log"
    assert str(caught.value) == f"{describe(error)}; the whole message is in {path}"
    assert str(error) in path.read_text()
    assert "Traceback" in path.read_text()
    with logged_in(tmp_path):
        pass
    assert not path.exists()  # another attempt has not failed


@pytest.mark.parametrize(
    "error", [InputError("a"), DivergedError("b"), OSError(28, "full"), MemoryError()]
)
def test_errors_that_tell_all_by_themselves_are_left_alone(error, tmp_path):
    with pytest.raises(type(error)) as caught, logged_in(tmp_path):
        raise error
    assert caught.value is error
    assert not list(tmp_path.iterdir())


def test_a_run_that_fails_inside_tensorflow_ends_in_one_line(
    tmp_path, small_mat, monkeypatch, capsys
):
    error = a_failure()

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(TransferSession, "set_targets", fail)
    path = write_experiment(tmp_path, small_mat)
    assert style_transfer.main(["-q", "--config", str(path)]) == 1
    folder = tmp_path / "out" / "0001-small"
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: InvalidArgumentError in misfit: Incompatible shapes: [2] vs. [3]; "
        f"the whole message is in {folder / 'error.log'}"
    )
    assert (folder / "error.log").is_file()
    monkeypatch.undo()
    assert style_transfer.main(["-q", "--resume", str(folder)]) == 0
    assert not (folder / "error.log").exists()
