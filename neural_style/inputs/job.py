"""A job: settings with every input read and checked, ready to run."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from neural_style.config import Config, layers_in_use
from neural_style.errors import InputError
from neural_style.images.io import check_sides
from neural_style.inputs import scales
from neural_style.inputs.controls import check_fine, is_grey, settings_for
from neural_style.inputs.guidance import guides_of
from neural_style.inputs.pictures import (
    Alphas,
    Pictures,
    check_visible,
    read_pictures,
    seen_through,
)
from neural_style.inputs.scales import Scale, Sizes
from neural_style.inputs.terms import spec_of
from neural_style.inputs.weights import FoundWeights, find_weights, warn_once
from neural_style.network.weights import Layer, VGGWeights, layers_needed, with_remainder
from neural_style.objective import ObjectiveSpec
from neural_style.system.files import digest
from neural_style.system.lru import LRUCache
from neural_style.text import printable

_KEPT_NETWORKS = 4
PREVIEW = 256  # px, longest side of the frames of a preview
_KEPT_BYTES = 1 << 30  # of pictures, so that the runs of a sweep need not read them again


@dataclass(frozen=True)
class Provenance:
    """What a sweep, or the extension of a run, adds to a job.

    Attributes:
        spec: Objective of the graph that the run shares with others; None for its own.
        fingerprint: The run's fingerprint in the plan of a sweep; None to compute it.
        extends: Name of the folder of the run that this one extends; empty for none.
        values: Value of each swept key, for TensorBoard.
    """

    spec: ObjectiveSpec | None = None
    fingerprint: str | None = None
    extends: str = ""
    values: Mapping[str, str | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """Settings with every input read and checked.

    Attributes:
        weights: The network, its poolings as the settings have them; random filters as drawn.
        digests: SHA-256 of each input file by its key, `content.image`, `style.images[0].mask`.
        provenance: What a sweep or an extension adds.
    """

    config: Config
    pictures: Pictures
    weights: VGGWeights
    digests: Mapping[str, str] = field(default_factory=dict)
    provenance: Provenance = Provenance()

    def __post_init__(self) -> None:
        kept = self.config.network.pooling_remainder == "keep"
        object.__setattr__(self, "weights", with_remainder(self.weights, kept))

    @cached_property
    def scales(self) -> tuple[Scale, ...]:
        """The scales of the run, the coarsest first."""
        return scales.schedule(self.config, self.pictures)

    def sizes(self, scale: Scale) -> Sizes:
        """Return the sizes of the pictures at a scale."""
        return scales.sizes_at(self.config, self.pictures, scale.longest)

    @cached_property
    def spec(self) -> ObjectiveSpec:
        """The run's own objective."""
        return spec_of(self.config, guided=bool(self.pictures.masks))

    @cached_property
    def grey(self) -> bool:
        """Whether all pictures that take part are grey, and so is the result; see `is_grey`."""
        return self.pictures.film is None and is_grey(self.config, self.pictures)

    @property
    def columns(self) -> list[str]:
        """Names of the terms, and `total`."""
        return [*self.spec.terms, "total"]

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Layers of the network that the objective needs, in the order of depth."""
        return layers_needed(self.weights, self.spec.layers)

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides the result: settings and digests of files. Paths have no part in it.

        Random filters have no digest, as the seed decides them.
        """
        settings = json.loads(self.config.deciding("identity"))
        network = self.weights.sha256
        return {"settings": settings, "inputs": dict(self.digests), "network": network}

    @property
    def fingerprint(self) -> str:
        """Digest of the identity; in a sweep, of the one before a tile was chosen."""
        return self.provenance.fingerprint or fingerprint_of(self.identity)

    @property
    def filters(self) -> tuple[Hashable, ...]:
        """Seed and pictures on which random filters depend; empty for the filters of a file."""
        drawn = self.weights.origin == "random"
        return (self.config.init.seed, *self.digests.items()) if drawn else ()

    @property
    def styles(self) -> tuple[tuple[np.ndarray, float], ...]:
        """The style images with their weights."""
        weights = [image.weight for image in self.config.style.images]
        return tuple(zip(self.pictures.styles, weights, strict=bool(self.pictures.styles)))

    def fine_job(self, index: int) -> Job:
        """Return the transfer that paints a style image in the fine structure of another."""
        asked, fine = self.config.style.images[index], self.pictures.fine[index]
        if fine is None:
            raise ValueError(f"style.images[{index}] names no fine structure")
        longest = max(1, round(asked.scale * self.scales[-1].longest))
        seen = self.pictures.alphas
        alphas = Alphas(self.pictures.style_alphas[index], seen.fine and (seen.fine[index],))
        masks = seen_through((), alphas.styles)
        pictures = Pictures(self.pictures.styles[index], (fine,), alphas=alphas, masks=masks)
        return Job(settings_for(self.config, longest), pictures, self.weights)

    def having(self, changes: Mapping[str, Any]) -> Job:
        """Return the job with other settings, by their dotted keys; see `Config.having`."""
        return replace(self, config=self.config.having(changes))

    def check(self) -> None:
        """Check that every layer keeps a position of every picture and mask at every scale.

        Raises:
            InputError: Naming the layer that is missing, or the picture and its side.
        """
        for scale in self.scales:
            sizes = self.sizes(scale)
            scales.check_layers(self.config, sizes, self.weights)
            masks = scales.masks_at(self.config, self.pictures, sizes)
            guides_of(self.config.style, masks, self.weights.layers)
        check_fine(self.pictures, self.weights)


def fingerprint_of(identity: Mapping[str, Any]) -> str:
    """Return the digest by which a finished run is recognised."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


class JobReader:
    """Reads and checks the inputs of runs; files that several runs name are read once.

    Missing weights are downloaded only with `fetch`.
    """

    def __init__(self, fetch: bool = True) -> None:
        self.fetch = fetch
        self._pictures: LRUCache[Pictures] = LRUCache(_KEPT_BYTES, lambda each: each.nbytes)
        self._networks: LRUCache[FoundWeights] = LRUCache(_KEPT_NETWORKS)
        self._seeds: dict[str, int] = {}
        self._notices: set[str] = set()
        self._digests: dict[Hashable, str] = {}
        self._checked: set[str] = set()

    def job(self, config: Config) -> Job:
        """Return the job of a run; warn, once, of an unpublished network and scales left out.

        With the packaged network its own settings are in place.

        Raises:
            InputError: One of its inputs cannot be used.
        """
        config = previewed(config)
        pictures, network = self._read_pictures(config), self._find_weights(config)
        settled = config.settled(network.weights.origin)
        notices = (
            network.notice,
            _changed(config, settled),
            scales.left_out(settled, pictures),
            scales.advice(settled, pictures),
        )
        warn_once(*notices, said=self._notices)
        config = settled
        check_visible(config, pictures)
        job = Job(config, pictures, network.weights)
        try:
            self._check(job)
        except InputError as error:
            raise InputError(_naming_file(str(error), config)) from None
        digests = {key: self._digest(path) for key, path in input_files(config).items()}
        return replace(job, digests=digests)

    def _check(self, job: Job) -> None:
        check_sides(job.config.output.image, job.sizes(job.scales[-1]).content)
        shape = shape_key(job.config)
        if shape not in self._checked:
            job.check()
            self._checked.add(shape)

    def _read_pictures(self, config: Config) -> Pictures:
        key = config.deciding("pictures")
        key += repr([_stamp(path) for path in input_files(config).values()])
        return self._pictures.get_or_make(key, lambda: read_pictures(config))

    def _find_weights(self, config: Config) -> FoundWeights:
        network = config.deciding("weights")
        seed = self._seeds.get(network, config.init.seed)
        found = self._networks.get_or_make(
            (network, seed), lambda: find_weights(config.network, seed, self.fetch)
        )
        if found.weights.origin != "random":  # a file serves every seed
            self._seeds[network] = seed
        return found

    def _digest(self, path: Path) -> str:
        key = _stamp(path)
        if key not in self._digests:
            self._digests[key] = _folder_digest(path) if path.is_dir() else digest(path)
        return self._digests[key]


def _changed(config: Config, settled: Config) -> str:
    """Return a notice of the settings that the network has in place of the user's; empty if none.

    A mapping of layers is written as in YAML.
    """
    keys = [key for key in config.network.packaged_settings if config.at(key) != settled.at(key)]
    values = (f"{key}: {json.dumps(settled.at(key), default=dict)}" for key in keys)
    listed = re.sub(r'"|\.0(?=[,}]|$)', "", ", ".join(values))
    return f"network.packaged_settings: with this network {listed}" if keys else ""


def _stamp(path: Path) -> tuple[Path, int, int]:
    """Return the path, time and size of a file, which change when it is written again."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # the reader of the file reports why
        return path, 0, 0
    return path, status.st_mtime_ns, status.st_size


def _folder_digest(folder: Path) -> str:
    """Return the digest of the names and digests of the files in a folder."""
    names = {path.name: digest(path) for path in sorted(folder.iterdir()) if path.is_file()}
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()


def previewed(config: Config) -> Config:
    """Return the settings of a preview of a film, at a small size; any others as they are."""
    if config.video.input is None or not config.video.preview:
        return config
    return config.having({"image.size": min(config.image.size or PREVIEW, PREVIEW)})


def input_files(config: Config) -> dict[str, Path]:
    """Return the files that a run reads, but for the network, by their keys."""
    files = {"content.image": config.content.image}
    if config.video.input:
        files = {"video.input": config.video.input}
    if isinstance(config.video.flow, Path):
        files["video.flow"] = config.video.flow.parent
    files |= {f"style.images[{i}]": style.path for i, style in enumerate(config.style.images)}
    for i, style in enumerate(config.style.images):
        for name in ("mask", "from_mask"):
            if mask := getattr(style, name):
                files[f"style.images[{i}].{name}"] = mask.path
        if style.fine:
            files[f"style.images[{i}].fine"] = style.fine
    if config.init.path:
        files["init.from"] = config.init.path
    return files


def _naming_file(message: str, config: Config) -> str:
    """Return a message about the picture of a key, with the picture's file after the key."""
    key, colon, rest = message.partition(": ")
    if key == "content.image" and config.video.input:
        key = "video.input"
    path = input_files(config).get(key)
    return f"{key}: {printable(path)}: {rest}" if path and colon else message


def check_present(config: Config, advice: str) -> None:
    """Check that the pictures and masks of a run that is continued are where they were.

    Raises:
        InputError: One is not; `advice`, with the `{key}` that names the file, is what to do.
    """
    for key, path in input_files(config).items():
        if not os.path.lexists(path):
            named = f"{key}.path" if key.endswith(("]", "mask")) else key
            told = advice.format(key=named)
            raise InputError(f"{key}: no such file: {printable(path)}; {told}")


def shape_key(config: Config) -> str:
    """Return a key of all that decides whether scales and layers fit the pictures."""
    used = {"content": layers_in_use(config.content), "style": layers_in_use(config.style)}
    return json.dumps(used) + config.deciding("scales")
