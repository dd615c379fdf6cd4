#!/usr/bin/env python3
"""Neural style transfer by image optimisation (Gatys, Ecker and Bethge), as a static graph.

    python style_transfer.py --config config.yaml

From Python, with pictures as arrays: `from style_transfer import stylize`.
"""

from __future__ import annotations

import os
import signal

if __name__ == "__main__":  # until `main` knows better, Ctrl-C ends it without a traceback
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

import logging
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

import vgg19_matconvnet as vgg
from neural_style import (
    command_line,
    objective,
    optimizers,
    outputs,
    record,
    session,
    viewer,
)
from neural_style.color_control import as_compared
from neural_style.config import Config, load_config, make_config, to_yaml
from neural_style.guidance import guides_of
from neural_style.images import read_image
from neural_style.inputs import (
    Pictures,
    check_layers,
    for_styles,
    prepare_inputs,
    read_pictures,
    take_pictures,
)
from neural_style.interrupts import held_back
from neural_style.prediction import describe, predict
from neural_style.progress import Progress
from neural_style.pyramid import Scale, schedule
from neural_style.pyramid import work as work_of
from neural_style.scale_mixing import mix_scales
from neural_style.structure import structure_of
from neural_style.supply import RANDOM_FILTERS, find_weights
from neural_style.transfer import Workspace, evaluate, optimise
from neural_style.weights import VGGWeights, transpose_kernels

log = logging.getLogger("style_transfer")


def stylize(
    content: np.ndarray,
    styles: Sequence[np.ndarray],
    config: Config | None = None,
    *,
    weights: VGGWeights | None = None,
    start: np.ndarray | None = None,
) -> outputs.Result:
    """Paint a content image in the manner of style images.

    Args:
        content: RGB, 0..255, [H, W, 3].
        styles: In the same form, each of its own size; they take weights and scales of
            `config.style.images` in order, or, if that has another number, all weigh the same.
        config: Settings, the defaults if not given. Its masks and fine structures are read from
            their paths; other paths of pictures and its output are not used.
        weights: The network; if not given, what `config.network` says.
        start: What to start from if `config.init.source` is a path.

    Returns:
        The pastiche, its longest side `image.size`, and its losses.

    Raises:
        InputError: The pictures, the settings or the weights cannot be used; the message says why.
    """
    config = for_styles(config or make_config({}), len(styles))
    pictures = take_pictures(config, content, styles, start)
    notice = ""
    if weights is None:
        weights, notice = find_weights(config.network, config.init.seed, vgg.load_weights)
    check_scales(config, pictures, weights)
    if notice:
        log.warning("%s", notice)
    session.import_tensorflow()
    device = session.open_device(config.runtime, log.warning)
    work, pictures = begin(config, weights, pictures, device)
    with work.session:
        result = optimise(work, config, pictures)
    if result.interrupted:
        raise KeyboardInterrupt
    return result


def begin(
    config: Config, weights: VGGWeights, pictures: Pictures, device: session.Device
) -> tuple[Workspace, Pictures]:
    """Return an open workspace for a run and the pictures that it is used with."""
    weights = fit_filters(config, weights, pictures)

    def paint(coarse: np.ndarray, fine: np.ndarray, settings: Config) -> np.ndarray:
        work = open_workspace(settings, weights, device)
        log.info("painting a style image in the fine structure of another")
        with work.session:
            made = optimise(work, settings, Pictures(coarse, (fine,)))
        if made.interrupted:
            raise KeyboardInterrupt
        return made.image

    pictures = mix_scales(config, pictures, paint)
    return open_workspace(config, weights, device), pictures


def open_workspace(config: Config, weights: VGGWeights, device: session.Device) -> Workspace:
    """Build the graph of a run's structure, finalise it and open a session on it."""
    import tensorflow.compat.v1 as tf

    structure = structure_of([config])
    pooling = vgg.pooling_for(weights, config.network.pooling)
    with tf.Graph().as_default() as graph:
        canvas = objective.build_canvas(structure)
        pixels = vgg.network_input(canvas.pixels, weights.mean, config.network.white)
        network = vgg.build_vgg(
            pixels,
            weights,
            structure.layers,
            pooling,
            device.precision,
            replicate=config.network.padding == "replicate",
        )
        goal = objective.build_objective(canvas, network.features, structure)
        optimizer = optimizers.build_optimizer(goal, config.optimizer, weights.mean)
        initialize = tf.global_variables_initializer()
    opened = session.build_session(graph, device)
    network.initialize(opened)
    opened.run(initialize)
    return Workspace(weights.mean, weights.layers, goal, optimizer, opened)


def fit_filters(config: Config, weights: VGGWeights, pictures: Pictures) -> VGGWeights:
    """Return weights ready for use: kernels are transposed if that is asked for, and random filters
    normalised over the pictures at hand.
    """
    if config.network.transpose_kernels:
        weights = transpose_kernels(weights)
    if weights.origin != "random":
        return weights
    return vgg.normalise_filters(weights, [pictures.content, *pictures.styles])


def check_scales(config: Config, pictures: Pictures, weights: VGGWeights) -> None:
    """Check that every layer exists and keeps a position of every picture and mask at every scale.

    Raises:
        InputError: Naming the layer, or the picture and its side.
    """
    for scale in schedule(config, pictures):
        inputs = prepare_inputs(config, pictures, scale.longest)
        check_layers(config, inputs, weights)
        guides_of(config.style, inputs, weights.layers)


@dataclass(frozen=True)
class Job:
    """A config whose every input was read and found good."""

    config: Config
    pictures: Pictures
    weights: VGGWeights


def check(config: Config, *, fetch: bool = True) -> Job:
    """Read everything that a config names, before TensorFlow is imported and anything is written.

    Raises:
        InputError: Something cannot be used.
    """
    pictures = read_pictures(config)
    record.check_output_folder(config.output.folder)
    weights, notice = find_weights(config.network, config.init.seed, vgg.load_weights, fetch)
    check_scales(config, pictures, weights)
    if notice:
        log.warning("%s", notice)
    return Job(config, pictures, weights)


def run(job: Job, clock: record.Stopwatch, *, quiet: bool) -> int:
    """Make the pastiche in a run folder of its own; return the exit code."""
    with clock("start"):
        log.debug("%s", session.import_tensorflow())
        device = session.open_device(job.config.runtime, log.warning)
        config = _resolved(job, device)
        work, pictures = begin(config, job.weights, job.pictures, device)
    scales = schedule(config, pictures)
    log.info("%s", _headline(config, scales, device))
    with held_back() as pressed:
        folder = record.create_run_folder(config.output.folder, config.output.name or "pastiche")
        record.write_atomically(folder / "config.yaml", to_yaml(config).encode())
        snapshots = outputs.Snapshots(folder, config.output.save_every)
        total = scales[-1].first + scales[-1].iterations
        bar = Progress(total, lambda done: work_of(scales, done), quiet=quiet)

        def watch(
            scale: str, done: int, losses: Mapping[str, float], fetch: Callable[[], np.ndarray]
        ) -> None:
            bar.update(scale, done, losses["total"])
            snapshots.take(done, fetch)
            if pressed:
                raise KeyboardInterrupt  # here, where all is in order

        with clock("optimise"), bar:
            result = optimise(work, config, pictures, watch)
        with clock("write"):
            made = outputs.Run(config, job.weights, device)
            path = outputs.write_results(made, folder, result, job.pictures.alpha)
            if config.output.animation != "none":
                outputs.write_film(folder, config.output.animation, snapshots, result.image)
    if job.weights.origin == "random":
        log.warning("made with %s", RANDOM_FILTERS)
    if result.interrupted:
        log.warning("interrupted; the best image so far is %s", path)
        return 130
    picture = read_image(path, "output.image").rgb
    saved = evaluate(work, as_compared(config.color, picture))
    record.write_record(folder, outputs.describe(made, result, saved, clock.seconds))
    if not math.isfinite(saved["total"]):
        log.warning("the total loss is beyond float32, so nothing was optimised; lower the weights")
    log.info("%s: loss %.4g", path, saved["total"])
    if config.output.show and not viewer.show(path):
        log.warning("output.show: there is no display to open a window on")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; see `command_line.exit_code`."""
    options = command_line.parse(arguments)
    clock = record.Stopwatch()

    def obey() -> int:
        with clock("read"):
            job = check(load_config(options.config, options.set), fetch=not options.dry_run)
        if not options.dry_run:
            return run(job, clock, quiet=options.quiet)
        # As bytes: YAML is UTF-8, which the terminal or the pipe may not be set to.
        sys.stdout.buffer.write(to_yaml(job.config).encode())
        log.info("%s", describe(predict(job.config, job.weights, job.pictures)))
        return 0

    return command_line.exit_code(obey)


def _resolved(job: Job, device: session.Device) -> Config:
    """Return the config with the pooling, device, threads and precision that the run has."""
    config = job.config
    pooling = vgg.pooling_for(job.weights, config.network.pooling)
    runtime = {
        "device": device.kind,
        "threads": device.threads,
        "precision": device.precision,
    }
    return config.model_copy(
        update={
            "network": config.network.model_copy(update={"pooling": pooling}),
            "runtime": config.runtime.model_copy(update=runtime),
        }
    )


def _headline(config: Config, scales: Sequence[Scale], device: session.Device) -> str:
    steps = ", ".join(f"{scale.iterations} at {scale.longest} px" for scale in scales)
    return (
        f"{config.optimizer.name} iterations: {steps}; "
        f"{device.name}, {device.threads} threads, {device.precision}"
    )


if __name__ == "__main__":
    code = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # only the interpreter's own end is left
    sys.exit(code)
