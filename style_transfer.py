#!/usr/bin/env python3
"""Neural style transfer by image optimisation (Gatys, Ecker and Bethge 2015, 2016) as a static
graph.

    python style_transfer.py --config config.yaml

From Python, with pictures as arrays: `from style_transfer import stylize`.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import vgg19_matconvnet as vgg
from neural_style import (
    __version__,
    objective,
    optimizers,
    outputs,
    record,
    session,
    viewer,
)
from neural_style.config import Config, load_config, make_config, to_yaml
from neural_style.errors import InputError, printable
from neural_style.images import read_image
from neural_style.inputs import Inputs, Pictures, check_layers, prepare_inputs, read_pictures
from neural_style.progress import Progress
from neural_style.start import start_image
from neural_style.supply import RANDOM_FILTERS, find_weights
from neural_style.weights import VGGWeights

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

log = logging.getLogger("style_transfer")
Watch = Callable[[int, Mapping[str, float], Callable[[], np.ndarray]], None]


@dataclass(frozen=True)
class Workspace:
    """One graph and one session, which serve every run of a structure.

    Attributes:
        mean: The network's mean pixel, RGB, [3].
        objective, adam: Handles of the graph.
        session: The session, open.
    """

    mean: np.ndarray
    objective: objective.Objective
    adam: optimizers.Adam
    session: tf.Session


@dataclass(frozen=True)
class Result:
    """What a run made.

    Attributes:
        image: The lowest-loss iterate, RGB, 0..255, float32, [H, W, 3].
        losses: Every term at every iterate.
        interrupted: Whether it was stopped by Ctrl-C.
    """

    image: np.ndarray
    losses: record.LossHistory
    interrupted: bool = False


def stylize(
    content: np.ndarray,
    styles: Sequence[np.ndarray],
    config: Config | None = None,
    *,
    weights: VGGWeights | None = None,
    start: np.ndarray | None = None,
) -> Result:
    """Paint a content image in the manner of style images.

    Args:
        content: RGB, 0..255, [H, W, 3].
        styles: In the same form, each of its own size; they take weights and scales of
            `config.style.images` in order, or, if that has another number, all weigh the same.
        config: Settings, the defaults if not given. Its paths of pictures and its output are not
            used.
        weights: The network; if not given, what `config.network` says.
        start: What to start from if `config.init.source` is a path.

    Returns:
        The pastiche, its longest side `image.size`, and its losses.

    Raises:
        InputError: The pictures, the settings or the weights cannot be used; the message says why.
    """
    config = config or make_config({})
    inputs = prepare_inputs(config, Pictures(content, tuple(styles), start))
    weights = weights or find_weights(config.network, config.init.seed, vgg.load_weights)
    check_layers(config, inputs, weights)
    session.import_tensorflow()
    device = session.open_device(config.runtime, log.warning)
    work = open_workspace(config, fit_filters(weights, inputs), device)
    with work.session:
        result = optimise(work, config, inputs, lambda *_: None)
    if result.interrupted:
        raise KeyboardInterrupt
    return result


def open_workspace(config: Config, weights: VGGWeights, device: session.Device) -> Workspace:
    """Build the graph of a run's structure, finalise it and open a session on it."""
    import tensorflow.compat.v1 as tf

    structure = objective.structure_of([config])
    box = (-weights.mean, 255 - weights.mean) if config.optimizer.box else None
    with tf.Graph().as_default() as graph:
        image = objective.build_image()
        network = vgg.build_vgg(
            image.variable.read_value(),
            weights,
            structure.layers,
            vgg.pooling_for(weights, config.network.pooling),
        )
        goal = objective.build_objective(image, network.features, structure)
        adam = optimizers.build_adam(goal, box)
        initialize = tf.global_variables_initializer()
    opened = session.build_session(graph, device)
    network.initialize(opened)
    opened.run(initialize)
    return Workspace(weights.mean, goal, adam, opened)


def optimise(work: Workspace, config: Config, inputs: Inputs, watch: Watch) -> Result:
    """Measure the targets, put the start image in place, iterate.

    Args:
        work: Graph and session of the config's structure.
        config: Settings of the run.
        inputs: Its pictures.
        watch: Called after every iteration with the number done, the losses it started from, and a
            function that fetches the new iterate, RGB, 0..255, [H, W, 3].
    """
    run, goal, adam = work.session, work.objective, work.adam
    content = vgg.preprocess(inputs.content, work.mean)
    styles = [(vgg.preprocess(style, work.mean), weight) for style, weight in inputs.styles]
    objective.set_targets(run, goal, objective.measure_targets(run, goal, content, styles))
    objective.set_weights(run, goal, objective.term_weights(config))
    start = start_image(config.init, inputs.start, inputs.size, work.mean)
    optimizers.start(run, adam, config.optimizer, vgg.preprocess(start, work.mean))

    history = record.LossHistory([*adam.losses])
    began, interrupted = time.perf_counter(), False
    try:
        for done in range(config.optimizer.iterations):
            losses = optimizers.step(run, adam, config.optimizer, done)
            history.append(done, time.perf_counter() - began, losses, _label(inputs))
            watch(done + 1, losses, lambda: _picture(work, run.run(goal.image.variable)))
        losses = optimizers.finish(run, adam)
        history.append(done + 1, time.perf_counter() - began, losses, _label(inputs))
    except KeyboardInterrupt:
        interrupted = True
    return Result(_picture(work, optimizers.best_image(run, adam)), history, interrupted)


def evaluate(work: Workspace, image: np.ndarray) -> dict[str, float]:
    """Return the losses of an image, RGB, 0..255, [H, W, 3], under the targets and weights in
    place.
    """
    objective.set_image(work.session, work.objective, vgg.preprocess(image, work.mean))
    return {name: float(value) for name, value in work.session.run(work.adam.losses).items()}


def fit_filters(weights: VGGWeights, inputs: Inputs) -> VGGWeights:
    """Return weights ready for use: random filters are normalised over the pictures at hand."""
    if weights.origin != "random":
        return weights
    return vgg.normalise_filters(weights, [inputs.content, *(style for style, _ in inputs.styles)])


@dataclass(frozen=True)
class Job:
    """A config whose every input was read and found good."""

    config: Config
    pictures: Pictures
    inputs: Inputs
    weights: VGGWeights


def check(config: Config, *, fetch: bool = True) -> Job:
    """Read everything that a config names, before TensorFlow is imported and anything is written.

    Raises:
        InputError: Something cannot be used.
    """
    pictures = read_pictures(config)
    inputs = prepare_inputs(config, pictures)
    record.check_output_folder(config.output.folder)
    weights = find_weights(config.network, config.init.seed, vgg.load_weights, fetch)
    check_layers(config, inputs, weights)
    return Job(config, pictures, inputs, weights)


def run(job: Job, clock: record.Stopwatch, *, quiet: bool) -> int:
    """Make the pastiche in a run folder of its own; return the exit code."""
    with clock("start"):
        log.debug("%s", session.import_tensorflow())
        device = session.open_device(job.config.runtime, log.warning)
        config = _resolved(job, device)
        weights = fit_filters(job.weights, job.inputs)
        work = open_workspace(config, weights, device)
    log.info("%s", _headline(config, job.inputs, device))
    folder = record.create_run_folder(config.output.folder, config.output.name or "pastiche")
    record.write_atomically(folder / "config.yaml", to_yaml(config).encode())
    snapshots = outputs.Snapshots(folder, config.output.save_every)
    bar = Progress(config.optimizer.iterations, _label(job.inputs), quiet=quiet)

    def watch(done: int, losses: Mapping[str, float], fetch: Callable[[], np.ndarray]) -> None:
        bar.update(done, losses["total"])
        snapshots.take(done, fetch)

    with clock("optimise"), bar:
        result = optimise(work, config, job.inputs, watch)
    with clock("write"):
        made = outputs.Run(config, weights, device, job.inputs.size)
        path = outputs.write_results(made, folder, result.image, job.pictures.alpha, result.losses)
        if config.output.animation != "none":
            outputs.write_film(folder, config.output.animation, snapshots, result.image)
    if weights.origin == "random":
        log.warning("made with %s", RANDOM_FILTERS)
    if result.interrupted:
        log.warning("interrupted; the best image so far is %s", path)
        return 130
    saved = evaluate(work, read_image(path, "output.image").rgb)
    record.write_record(folder, outputs.describe(made, result.losses, saved, clock.seconds))
    log.info("%s: loss %.4g", path, saved["total"])
    if config.output.show and not viewer.show(path):
        log.warning("output.show: there is no display to open a window on")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0 done, 2 bad input, 130 interrupted (with the best image so far saved), 1 anything else.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    level = logging.WARNING if options.quiet else logging.DEBUG if options.verbose else logging.INFO
    log.setLevel(level)
    clock = record.Stopwatch()
    try:
        with clock("read"):
            job = check(load_config(options.config, options.set), fetch=not options.dry_run)
        if options.dry_run:
            print(to_yaml(job.config), end="")
            return 0
        return run(job, clock, quiet=options.quiet)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:  # the last resort: one line, and where it happened with -v
        log.debug("", exc_info=True)
        print(f"error: {type(error).__name__}: {printable(error)}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="style_transfer.py",
        description="Neural style transfer by image optimisation (Gatys, Ecker and Bethge 2016).",
        epilog="Exit codes: 0 done, 2 bad input, 130 interrupted (best image saved), 1 else.",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, YAML")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting, such as style.weight=1e3; may be repeated",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check every input and the output folder, print the resolved settings, stop",
    )
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("-v", "--verbose", action="store_true", help="tell more")
    loudness.add_argument("-q", "--quiet", action="store_true", help="tell warnings only")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def _resolved(job: Job, device: session.Device) -> Config:
    """Return the config with the pooling, the device and the threads that the run has."""
    config = job.config
    pooling = vgg.pooling_for(job.weights, config.network.pooling)
    runtime = {"device": device.kind, "threads": device.threads}
    return config.model_copy(
        update={
            "network": config.network.model_copy(update={"pooling": pooling}),
            "runtime": config.runtime.model_copy(update=runtime),
        }
    )


def _picture(work: Workspace, image: np.ndarray) -> np.ndarray:
    return np.clip(vgg.deprocess(image, work.mean), 0, 255)


def _label(inputs: Inputs) -> str:
    return "{1}x{0}".format(*inputs.size)


def _headline(config: Config, inputs: Inputs, device: session.Device) -> str:
    optimizer = config.optimizer
    return (
        f"{_label(inputs)} px, {optimizer.iterations} iterations of {optimizer.name} "
        f"on the {device.name}, {device.threads} threads, {config.runtime.precision}"
    )


if __name__ == "__main__":
    sys.exit(main())
