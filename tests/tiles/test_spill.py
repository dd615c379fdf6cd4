"""Where large arrays are stored: in memory, or in files beyond a limit."""

from __future__ import annotations

import errno
import os
import tempfile

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from neural_style.tiles.spill import Spill, Stored


def test_arrays_are_held_in_memory_while_there_is_room_and_in_files_beyond():
    spill = Spill(room=100)
    held, spilled = (spill.empty((5, 4), np.dtype(np.float32)) for _ in range(2))
    assert not isinstance(held, np.memmap)
    assert isinstance(spilled.base, np.memmap)
    assert spill.room == 20
    nothing = np.zeros((0, 4), np.float32)
    assert Spill(room=0).keep(nothing) is nothing


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_values_beyond_the_limit_share_a_file_from_which_they_are_read(dtype, rng):
    spill = Spill(room=80)
    arrays = [rng.normal(size=(5, 4)).astype(tf.as_dtype(dtype).as_numpy_dtype) for _ in range(6)]
    kept = [spill.keep(array) for array in arrays]
    held = 80 // arrays[0].nbytes
    assert all(isinstance(each, Stored) for each in kept[held:])
    assert len({id(each.file) for each in kept[held:]}) == 1
    for found, values in zip(kept, arrays, strict=True):
        assert (found.nbytes, found.shape) == (values.nbytes, values.shape)
        assert np.asarray(found).dtype == values.dtype
        np.testing.assert_array_equal(np.asarray(found), values)
    with tf.Graph().as_default(), tf.Session() as session:
        fed = tf.placeholder(dtype, [None, 4])
        assert (session.run(fed, {fed: kept[-1]}) == arrays[-1]).all()


def test_a_file_has_all_its_room_on_the_disk_before_it_is_written_to(monkeypatch):
    made, make = [], tempfile.TemporaryFile

    def remember(**options):
        file = make(**options)
        made.append(os.dup(file.fileno()))
        return file

    monkeypatch.setattr(tempfile, "TemporaryFile", remember)
    array = Spill(room=0).empty((1 << 20,), np.dtype(np.uint8))
    status = os.fstat(made[0])
    os.close(made[0])
    assert array.size == status.st_size == 1 << 20
    if hasattr(os, "posix_fallocate"):
        assert 512 * status.st_blocks >= 1 << 20


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system promises no room")
def test_a_full_disk_of_temporary_files_is_an_error_and_not_the_end_of_the_process(monkeypatch):
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    nothing, spill = np.zeros((3, 5)), Spill(room=0)
    for make in (lambda: spill.empty(nothing.shape, nothing.dtype), lambda: spill.keep(nothing)):
        with pytest.raises(OSError, match="No space left on device") as error:
            make()
        assert error.value.filename == tempfile.gettempdir()
