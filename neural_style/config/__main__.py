"""The schema of the settings, and their page: from the models, and the comments of `config.yaml`.

python -m neural_style.config > config.schema.json
python -m neural_style.config page > docs/settings.md
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from neural_style.config.load import json_schema
from neural_style.config.models import Config
from neural_style.config.values import Section
from neural_style.project import SHIPPED

_HEAD = """# Settings

This page is generated: `python -m neural_style.config page > docs/settings.md`. The descriptions
are those of the models in `neural_style/config`. Values and advice are the comments of
[config.yaml](../config.yaml), the file to copy from.

A key is written in a YAML file, or for one run as `--set style.weight=1000`. See
[usage](usage.md#settings) for files upon a `base`, and [sweeps](sweeps.md) for many values at once.
"""


class Key(NamedTuple):
    """A key of the settings.

    Attributes:
        name: The dotted key, `style.images[].scale`.
        field: Its default and description.
        inner: The model of the mapping that it holds, if it holds one.
    """

    name: str
    field: FieldInfo
    inner: type[Section] | None


def settings_page(text: str) -> str:
    """Return the page.

    Args:
        text: The text of `config.yaml`, every key of which has a comment.
    """
    every = list(keys(Config))
    notes = comments(text, {key.name for key in every})
    parts = [_HEAD]
    for top in every:
        if "." not in top.name:
            inside = [key for key in every if key.name.startswith(f"{top.name}.")]
            parts += [f"## {top.name}\n\n{_about(top)}\n", _table(inside, notes)]
    return "\n".join(parts)


def keys(model: type[Section], above: str = "") -> Iterator[Key]:
    """Yield every key of a model, followed by the keys of its mapping."""
    for name, field in model.model_fields.items():
        key = Key(f"{above}{field.alias or name}", field, _model_in(field.annotation))
        yield key
        if key.inner:
            listed = str(field.annotation).startswith("tuple")
            yield from keys(key.inner, f"{key.name}{'[]' if listed else ''}.")


def comments(text: str, names: set[str]) -> dict[str, str]:
    """Return the comment beside each key of `config.yaml`.

    A comment continues on the next lines up to the next of the names, or to an empty line. The
    example of a sweep counts without the `#` before it.
    """
    before, sweep, example = text.partition("\nsweep:")
    first, _, rest = example.partition("\n")
    lines = [*before.splitlines(), f"{sweep.strip()}{first}"]
    lines += [line.removeprefix("#") for line in rest.splitlines()]
    found: dict[str, list[str]] = {}
    above: list[tuple[int, str]] = []  # indentation and name of the keys around this line
    current = ""
    for line in lines:
        written = re.match(r"( *)((?:- )?)([\w.]+):", line)
        if written:
            depth = len(written[1] + written[2])
            above = [*(each for each in above if each[0] < depth), (depth, written[3])]
            name = ".".join(part for _, part in above)
            name = name.replace("style.images.", "style.images[].")
            current = name if name in names else current
        comment = re.search(r"(?:^|\s)#\s*(.*)", line)
        if not line.strip():
            current = ""
        elif current and comment:
            found.setdefault(current, []).append(comment[1])
    return {name: re.sub(r"(\w)- ", r"\1-", " ".join(parts)) for name, parts in found.items()}


def _model_in(annotation: Any) -> type[Section] | None:
    """Return the model in a type such as `Mask | None` or `tuple[StyleImage, ...]`."""
    plain = get_origin(annotation) is None  # to Python 3.10 `tuple[int]` is a type too
    if plain and isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _about(key: Key) -> str:
    """Return the description of a key, or of the mapping that it holds."""
    return " ".join((key.field.description or (key.inner and key.inner.__doc__) or "").split())


def _table(inside: list[Key], notes: Mapping[str, str]) -> str:
    rows = ["| key | default | what it is | values and advice |", "|---|---|---|---|"]
    for key in inside:
        cells = f"`{key.name}`", _default(key), _about(key), _sentence(notes.get(key.name, ""))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _sentence(comment: str) -> str:
    """Return a comment with a full stop."""
    return comment if not comment or comment.endswith((".", "...")) else f"{comment}."


def _default(key: Key) -> str:
    if key.field.is_required():
        return "required"
    value = key.field.get_default(call_default_factory=True)
    if isinstance(value, Section):
        return ""
    text = yaml.safe_dump(_plain(value), default_flow_style=True, width=1000, sort_keys=False)
    return f"`{text.removesuffix('...' + chr(10)).strip()}`"


def _plain(value: Any) -> Any:
    """Return a default in the types of YAML, its paths relative to the project."""
    if isinstance(value, Section):
        return _plain(value.model_dump(exclude_defaults=True))
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, Path):
        return (value.relative_to(SHIPPED) if value.is_relative_to(SHIPPED) else value).as_posix()
    return int(value) if isinstance(value, float) and value.is_integer() else value


if __name__ == "__main__":
    if sys.argv[1:] == ["page"]:
        sys.stdout.write(settings_page((SHIPPED / "config.yaml").read_text(encoding="utf-8")))
    else:
        sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
