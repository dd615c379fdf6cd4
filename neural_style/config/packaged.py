"""The settings that the packaged network has in place of the others.

That network, a VGG-16 tuned to find edges, wants other layers and weights than VGG-19. The block
`network.packaged_settings` holds them by their dotted keys. A key that is set later than the block
is written, in a file upon a base, by `--set` or by a sweep, drops out of the block: the user's own
value counts. Where no file writes the block, it is `PACKAGED_SETTINGS` without the keys that the
files set.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

SECTION, KEY = "network", "packaged_settings"
SECTIONS = ("content", "style", "total_variation", "init")
EXCLUDED = ("content.image", "style.images", "init.from", "init.seed")
"""The block may hold every other key of these sections: those that change the objective."""

PACKAGED_SETTINGS: Mapping[str, Any] = {
    "content.layers": {"relu3_1": 1.0},
    "style.layers": {"relu1_1": 20.0, "relu2_1": 5.0, "relu3_1": 2.0, "relu4_1": 1.0},
    "total_variation.weight": 0.01,
    "init.noise": 0.2,
}
"""Chosen by eye: the deep features of the packaged network know edges, and few colours."""


def give_way(values: dict[str, Any], changed: Iterable[str]) -> None:
    """Drop those keys of the block that later settings change: `init.noise`, or all of `init`."""
    values |= with_block(values)
    section = values[SECTION]
    block = section.get(KEY) if isinstance(section, Mapping) else None
    if isinstance(block, Mapping):
        values[SECTION] = {**section, KEY: _without(block, set(changed))}


def with_block(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return settings with the block; where they lack it, the recommended one gives way to them."""
    section = {} if values.get(SECTION) is None else values[SECTION]
    if not isinstance(section, Mapping) or section.get(KEY) is not None:
        return values
    block = _without(PACKAGED_SETTINGS, set(keys_of(values)))
    return {**values, SECTION: {**section, KEY: block}}


def keys_of(values: Mapping[str, Any]) -> Iterator[str]:
    """Return the dotted keys of settings that are nested by section."""
    for section, inner in values.items():
        if isinstance(inner, Mapping):
            yield from (f"{section}.{name}" for name in inner)


def _without(block: Mapping[str, Any], changed: Container[str]) -> dict[str, Any]:
    return {
        key: value
        for key, value in block.items()
        if key not in changed and str(key).partition(".")[0] not in changed
    }
