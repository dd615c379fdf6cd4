"""Disks that are full for tests, at some writes or for some files."""

from __future__ import annotations

import errno
import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NO_SPACE = "No space left on device"


class FullFile(io.FileIO):
    """A file that takes so many bytes and no more."""

    def __init__(self, path: Path, mode: str, room: int) -> None:
        super().__init__(path, mode)
        self.room = room

    def write(self, data: Any) -> int:
        if len(data) > self.room:
            super().write(memoryview(data)[: self.room])
            raise OSError(errno.ENOSPC, NO_SPACE)
        self.room -= len(data)
        return super().write(data)


class FullDisk:
    """A disk that has no room below a folder for the paths that are `full`, but for some bytes.

    Attributes:
        struck: Whether there was no room.
        before: What every file below the folder held when that was so first.
    """

    def __init__(self, folder: Path, full: Callable[[Path], bool], room: int = 9) -> None:
        self.struck = False
        self.before: dict[Path, bytes] = {}
        self._folder, self._full, self._room = folder, full, room

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stand in the way of all that takes room."""
        opens, makes, replaces = Path.open, Path.mkdir, Path.replace

        def open_(path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
            if set(mode) & set("wxa") and self._strikes(path):
                return FullFile(path, mode.replace("b", ""), self._room)
            return opens(path, mode, *args, **options)

        def refuse(path: Path, target: Path) -> None:
            if self._strikes(target):
                raise OSError(errno.ENOSPC, NO_SPACE, str(path))

        def mkdir(path: Path, *args: Any, **options: Any) -> None:
            refuse(path, path)
            makes(path, *args, **options)

        def replace(path: Path, target: Path) -> Path:
            refuse(path, target)
            return replaces(path, target)

        for name, act in (("open", open_), ("mkdir", mkdir), ("replace", replace)):
            monkeypatch.setattr(Path, name, act)

    def _strikes(self, path: Path) -> bool:
        if self._folder not in path.parents or not self._full(path):
            return False
        if not self.struck:
            self.struck, self.before = True, contents(self._folder)
        return True


def nth(number: int, *, stays: bool) -> Callable[[Path], bool]:
    """A disk that is full at its n-th write, or from there on."""
    writes = itertools.count(1)
    return lambda _path: (write := next(writes)) == number or (stays and write > number)


def named(name: str) -> Callable[[Path], bool]:
    """A disk that has no room for a file of this name."""
    return lambda path: path.name == name


def contents(folder: Path) -> dict[Path, bytes]:
    """What every file below a folder holds, but for the log, which grows, and unfinished files."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "log.txt")
    return {path: path.read_bytes() for path in files if not path.name.startswith(".")}
