"""Errors from inside TensorFlow: one line on the terminal, all of it in a file."""

from __future__ import annotations

import pytest
from conftest import write_experiment
from graphs import a_failure

import style_transfer
from neural_style.errors import DivergedError, FailedRunError, InputError
from neural_style.runs.outputs import logged_in
from neural_style.text import describe
from neural_style.transfer import TransferSession


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
