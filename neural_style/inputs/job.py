"""A run that can begin: settings whose every input was read and found good."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neural_style.config import Config
from neural_style.images import check_sides
from neural_style.inputs.controls import check_fine
from neural_style.inputs.find_weights import FoundWeights, find_weights
from neural_style.inputs.guidance import guides_of
from neural_style.inputs.pictures import Pictures, read_pictures
from neural_style.inputs.scales import check_layers, masks_at, schedule, sizes_at
from neural_style.network.weights import VGGWeights
from neural_style.objective.spec import ObjectiveSpec
from neural_style.system.files import digest

_KEPT_NETWORKS = 4
_KEPT = 1 << 30  # bytes of pictures, so that the runs of a sweep need not read them again


@dataclass(frozen=True)
class Job:
    """A config whose every input was read and found good.

    Attributes:
        config: Settings.
        pictures: What it names.
        weights: The network, random filters as they are drawn.
        digests: SHA-256 of each input file by its key, `content.image`, `style.images[0].mask`.
        structure: That of the graph which it shares with others; None for its own.
        mark: Its fingerprint in the plan of a sweep; empty to take it of its settings.
        extends: Name of the folder of the run that this one goes on with.
        values: What each swept key has, for TensorBoard.
    """

    config: Config
    pictures: Pictures
    weights: VGGWeights
    digests: Mapping[str, str]
    structure: ObjectiveSpec | None = None
    mark: str = ""
    extends: str = ""
    values: Mapping[str, str | float] = field(default_factory=dict)

    @property
    def styles(self) -> tuple[tuple[np.ndarray, float], ...]:
        """The style images with their weights."""
        images = self.config.style.images
        weights = [image.weight for image in images]
        return tuple(zip(self.pictures.styles, weights, strict=bool(self.pictures.styles)))


@dataclass
class Desk:
    """Reads and checks the inputs of runs; what several of them name is read once.

    Attributes:
        warn: Is told, once, of a network that is not the published one.
        fetch: Whether missing weights may be downloaded.
    """

    warn: Callable[[str], None]
    fetch: bool = True
    _pictures: OrderedDict[str, Pictures] = field(default_factory=OrderedDict)
    _weights: OrderedDict[str, FoundWeights] = field(default_factory=OrderedDict)
    _told: set[str] = field(default_factory=set)
    _digests: dict[tuple[Path, int, int], str] = field(default_factory=dict)
    _checked: set[str] = field(default_factory=set)

    def job(self, config: Config) -> Job:
        """Return a run that can begin.

        Raises:
            InputError: One of its inputs cannot be used.
        """
        pictures = self._read(config)
        weights, notice = self._supply(config)
        longest = schedule(config, pictures)[-1].longest
        check_sides(config.output.image, sizes_at(config, pictures, longest).content)
        shape = shape_key(config)
        if shape not in self._checked:
            check_scales(config, pictures, weights)
            self._checked.add(shape)
        if notice:
            self.warn(notice)
        digests = {key: self._digest(path) for key, path in input_files(config).items()}
        return Job(config, pictures, weights, digests)

    def _read(self, config: Config) -> Pictures:
        key = _dump(config, {"content": {"image"}, "style": {"images"}, "init": {"source"}})
        key += repr([_stamp(path) for path in input_files(config).values()])
        pictures = self._pictures.pop(key, None) or read_pictures(config)
        self._pictures[key] = pictures
        while len(self._pictures) > 1 and sum(map(_bytes_of, self._pictures.values())) > _KEPT:
            self._pictures.popitem(last=False)
        return pictures

    def _supply(self, config: Config) -> FoundWeights:
        network = _dump(config, {"network": {"weights", "url", "if_missing"}})
        drawn = f"{network} {config.init.seed}"  # only random filters depend on the seed
        for key in (network, drawn):
            if key in self._weights:
                return self._weights[key]._replace(notice="")
        found = find_weights(config.network, config.init.seed, self.fetch)
        told = found.notice in self._told
        self._told.add(found.notice)
        random = found.weights.origin == "random"
        self._weights[drawn if random else network] = found
        while len(self._weights) > _KEPT_NETWORKS:
            self._weights.popitem(last=False)
        return found._replace(notice="") if told else found

    def _digest(self, path: Path) -> str:
        key = _stamp(path)
        if key not in self._digests:
            self._digests[key] = digest(path)
        return self._digests[key]


def _stamp(path: Path) -> tuple[Path, int, int]:
    """Return what changes when a file is written anew."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # whoever reads it tells why it cannot be read
        return path, 0, 0
    return path, status.st_mtime_ns, status.st_size


def decisive(config: Config, digests: Mapping[str, str], network: str | None) -> dict[str, Any]:
    """Return all that decides a result, in which paths have no part.

    Args:
        config: Settings, with the precision and the pooling that the run has.
        digests: Of its input files, by their keys.
        network: Digest of the weights; None for random filters, which the seed decides.
    """
    settings = json.loads(config.deciding("identity"))
    return {"settings": settings, "inputs": dict(digests), "network": network}


def fingerprint(config: Config, digests: Mapping[str, str], network: str | None) -> str:
    """Return a digest of what `decisive` returns."""
    return mark_of(decisive(config, digests, network))


def mark_of(deciding: Mapping[str, Any]) -> str:
    """Return the digest of what decides a run."""
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()


def check_scales(config: Config, pictures: Pictures, weights: VGGWeights) -> None:
    """Check that every layer exists and keeps a position of every picture and mask at every scale.

    Raises:
        InputError: Naming the layer, or the picture and its side.
    """
    for scale in schedule(config, pictures):
        sizes = sizes_at(config, pictures, scale.longest)
        check_layers(config, sizes, weights)
        guides_of(config.style, masks_at(config, pictures, sizes), weights.layers)
    check_fine(pictures, weights)


def input_files(config: Config) -> dict[str, Path]:
    """Return the files that a run reads, but for the network, by their keys."""
    files = {"content.image": config.content.image}
    files |= {f"style.images[{i}]": style.path for i, style in enumerate(config.style.images)}
    for i, style in enumerate(config.style.images):
        for name in ("mask", "from_mask"):
            mask = getattr(style, name)
            if mask:
                files[f"style.images[{i}].{name}"] = mask.path
        if style.fine:
            files[f"style.images[{i}].fine"] = style.fine
    if config.init.path:
        files["init.from"] = config.init.path
    return files


def shape_key(config: Config) -> str:
    """Return what decides whether the scales and layers of a run fit its pictures."""
    used = {
        name: [layer for layer, weight in section.layers.items() if section.weight * weight > 0]
        for name, section in (("content", config.content), ("style", config.style))
    }
    rest: dict[str, Any] = {
        "content": {"image", "layers"},
        "style": {"images", "layers", "guidance", "feather"},
        "init": {"source"},
        "image": True,
        "network": {"weights"},
        "optimizer": {"iterations"},
    }
    return json.dumps(used) + _dump(config, rest)


def _dump(config: Config, include: dict[str, Any]) -> str:
    return json.dumps(config.model_dump(mode="json", include=include), default=str)


def _bytes_of(pictures: Pictures) -> int:
    return pictures.content.nbytes + sum(style.nbytes for style in pictures.styles)
