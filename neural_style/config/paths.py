"""Paths as settings name them: relative to their file, in the home folder, or of the project."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, PlainValidator, WithJsonSchema

from neural_style.config.source import SourceText
from neural_style.config.values import expected, mistake
from neural_style.project import INSTALLED, ROOT, SHIPPED, WEIGHTS, locate_weights
from neural_style.text import SHOWN, printable

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ESCAPES = {"\a": "a", "\b": "b", "\t": "t", "\n": "n", "\v": "v", "\f": "f", "\r": "r"}
_ESCAPES |= {"\x1b": "e", "\x85": "N", "\u2028": "L", "\u2029": "P"}  # YAML 1.2, section 5.7
_DRIVE = re.compile(r"([A-Za-z]):[\\/]+")


def absolute_path(value: object) -> Path:
    """Return an absolute path, relative to the folder of a SourceText or else to the current one.

    `~` at the start is the home folder. Where there is no file of the given name but one with
    slashes for its backslashes, it is that one. Links and `..` are resolved in its folder, but its
    name is kept, even that of a link.

    Raises:
        PydanticCustomError: The name is one that YAML or another system made; says what to write.
        ValueError: The value cannot be a path.
    """
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise ValueError
    text = os.path.expanduser(value)  # noqa: PTH111 - Path.expanduser raises for unknown users
    path = getattr(value, "folder", Path.cwd()) / text
    if not os.path.lexists(path):
        slashed = getattr(value, "folder", Path.cwd()) / text.replace("\\", "/")
        if "\\" in text and os.path.lexists(slashed):
            path = slashed
        else:
            _check_name(text)
    return Path(os.path.realpath(path.parent)) / path.name


def _check_name(text: str) -> None:
    """Check that the name of a file that does not exist is not one that nobody meant."""
    if _CONTROLS.search(text):
        meant = _CONTROLS.sub(lambda each: f"\\{_ESCAPES.get(each[0], '')}", text)
        slashed = printable(meant.replace("\\", "/"), SHOWN)
        raise mistake(
            f"found '{printable(text, SHOWN)}' with a control character, as \\ begins an escape "
            f"in double quotes; write '{slashed}'"
        )
    if text.startswith("~"):
        user = printable(re.split(r"[/\\]", text)[0], SHOWN)
        raise mistake(
            f"found '{printable(text, SHOWN)}', but no home folder for '{user}'; write "
            f"'./{printable(text, SHOWN)}' for a file of this name"
        )
    if os.name != "nt" and _DRIVE.match(text):
        mounted = _DRIVE.sub(lambda each: f"/mnt/{each[1].lower()}/", text).replace("\\", "/")
        raise mistake(
            f"found '{printable(text, SHOWN)}', a path of Windows, expected one of this system, "
            f"such as '{printable(mounted, SHOWN)}'"
        )


def weights_path(value: object) -> Path:
    """Return the absolute path of a weights file.

    `weights/...` that is not there, as in a copy of `config.yaml`, is in the project's own folder.
    The published file is also sought elsewhere, see `locate_weights`.
    """
    path, written = absolute_path(value), Path(str(value))
    if os.path.lexists(path):
        return path
    own = ROOT / written
    if written.parts[:1] == ("weights",) and os.path.lexists(own) and not INSTALLED:
        return own
    shipped = written in (WEIGHTS, SHIPPED / WEIGHTS) and not path.parent.is_dir()
    return locate_weights(None if shipped else path)


def output_folder(value: object) -> Path:
    """Return the absolute path of the folder for the runs.

    A relative one that an installed `config.yaml` names is in the current directory.
    """
    inside = INSTALLED and getattr(value, "folder", Path.cwd()).is_relative_to(SHIPPED)
    return absolute_path(str(value) if inside and isinstance(value, str) else value)


_Start = Literal["content", "style", "noise"]
STARTS = get_args(_Start)


def start_image(value: object) -> str | Path:
    """Return a keyword, or else an absolute path; that of a file named `noise` is `./noise`."""
    keyword = isinstance(value, str) and value in STARTS
    return str(value) if keyword else absolute_path(value)


_Flow = Literal["dis", "frames", "none"]
FLOWS = get_args(_Flow)
_FIELD = re.compile(r"\{(from|to)(:0?[0-9]{1,2}d?)?\}")


def flow_source(value: object) -> str | Path:
    """Return a keyword, or else an absolute path with `{from}` and `{to}` in the name of the file.

    Raises:
        PydanticCustomError: The name of the file has other fields, or lacks one.
        ValueError: The value cannot be a path.
    """
    if isinstance(value, str) and value in FLOWS:
        return str(value)
    path = absolute_path(value)
    fields = sorted({match[1] for match in _FIELD.finditer(path.name)})
    if fields != ["from", "to"] or re.search(r"[{}]", _FIELD.sub("", path.name)):
        raise mistake(
            f"found '{printable(path.name, SHOWN)}', expected dis, frames, none, or a path with "
            "{from} and {to} for the numbers of two frames, such as flow/{from:06d}-{to:06d}.flo"
        )
    return path


AbsolutePath = Annotated[Path, BeforeValidator(absolute_path), expected("a path")]
OutputFolder = Annotated[Path, BeforeValidator(output_folder), expected("a path")]
WeightsPath = Annotated[Path, BeforeValidator(weights_path), expected("a path")]
StartImage = Annotated[
    _Start | Path,
    PlainValidator(start_image),
    WithJsonSchema({"anyOf": [{"enum": list(STARTS)}, {"type": "string"}]}),
    expected("content, style, noise or the path of an image"),
]

FlowSource = Annotated[
    _Flow | Path,
    PlainValidator(flow_source),
    WithJsonSchema({"anyOf": [{"enum": list(FLOWS)}, {"type": "string"}]}),
    expected("dis, frames, none, or the path of .flo files with {from} and {to} in its name"),
]


def told_apart(paths: Sequence[Path]) -> list[str]:
    """Return short names for files: their stems or, where those agree, as much as differs.

    `monet/style.jpg` and `vangogh/style.jpg` are `monet/style` and `vangogh/style`, `a.png` and
    `a.jpg` keep their endings. Files of one path have one name.
    """
    groups: dict[str, set[Path]] = {}
    for path in paths:
        groups.setdefault(path.stem, set()).add(path)
    names: dict[Path, str] = {}
    for group in groups.values():
        names |= next(form for form in _forms(group) if len(set(form.values())) == len(group))
    return [names[path] for path in paths]


def _forms(group: Collection[Path]) -> Iterator[dict[Path, str]]:
    """Yield ever longer names of files, each form without and with their endings."""
    for depth in range(1, max(len(path.parts) for path in group) + 1):
        yield {path: "/".join((*path.parts[-depth:-1], path.stem)) for path in group}
        yield {path: "/".join(path.parts[-depth:]) for path in group}
    yield {path: path.as_posix() for path in group}


RELATIVE = "relative_paths"
RELATIVE_SCHEMA = {
    "additionalProperties": {"type": "string"},
    "description": "Written with a run: its paths as they are seen from the folder of this file, "
    "by the absolute ones. They count where the absolute ones do not exist any more.",
    "title": "Relative paths",
    "type": "object",
}


def relative_paths(values: Any, folder: Path) -> dict[str, str]:
    """Return every absolute path among nested values, and the same relative to a folder."""
    if isinstance(values, Mapping):
        values = list(values.values())
    if isinstance(values, list | tuple):
        return {k: v for each in values for k, v in relative_paths(each, folder).items()}
    if not isinstance(values, str) or not Path(values).is_absolute():
        return {}
    try:
        seen = os.path.relpath(values, os.path.realpath(folder))
    except ValueError:  # another drive of Windows
        return {}
    return {values: Path(seen).as_posix()}


def found_beside(values: Any, moved: Mapping[str, str], folder: Path) -> Any:
    """Return nested values whose missing absolute paths are those that are found by relative ones.

    Args:
        values: Settings as plain values.
        moved: See `relative_paths`.
        folder: The folder to which those are relative.
    """
    if isinstance(values, dict):
        return {key: found_beside(each, moved, folder) for key, each in values.items()}
    if isinstance(values, list):
        return [found_beside(each, moved, folder) for each in values]
    if not isinstance(values, str) or values not in moved or os.path.lexists(values):
        return values
    beside = os.path.normpath(folder / moved[values])
    return SourceText(beside, folder) if os.path.lexists(beside) else values
