"""Arrays that find no room in memory are held by files, which have their room before it is used."""

import errno
import os
import tempfile

import numpy as np
import pytest

from neural_style.spill import Spill


def test_arrays_are_held_in_memory_while_there_is_room_and_in_files_beyond():
    spill = Spill(room=100)
    held, spilled = (spill.empty((5, 4), np.dtype(np.float32)) for _ in range(2))
    assert not isinstance(held, np.memmap)
    assert isinstance(spilled.base, np.memmap)
    values = np.arange(20, dtype=np.float32).reshape(5, 4)
    kept = spill.keep(values)
    assert kept is not values
    np.testing.assert_array_equal(kept, values)
    assert spill.room == 20


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
    with pytest.raises(OSError, match="No space left on device") as error:
        Spill(room=0).empty((3, 5), np.dtype(np.float32))
    assert error.value.filename == tempfile.gettempdir()
