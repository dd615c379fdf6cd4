#!/usr/bin/env python3
"""Neural style transfer by image optimisation (Gatys, Ecker and Bethge), as a static graph.

    python style_transfer.py --config config.yaml

From Python, with pictures as arrays: `from style_transfer import stylize`.
"""

from __future__ import annotations

import os
import signal

if __name__ == "__main__":  # until `main` knows better, these end it without a traceback
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(130))
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import vgg19_matconvnet as vgg
from neural_style import command_line, objective, optimizers
from neural_style.config import Config, load_source, make_config, to_yaml, validate
from neural_style.errors import DivergedError
from neural_style.evaluation import Evaluator, open_evaluator
from neural_style.failures import logged_in
from neural_style.images import read_image
from neural_style.inputs import Pictures, for_styles, take_pictures
from neural_style.inputs.controls import as_compared, mix_scales
from neural_style.inputs.find_weights import find_weights, fit_filters
from neural_style.inputs.job import Desk, Job, check_scales, decisive
from neural_style.inputs.scales import schedule
from neural_style.inputs.terms import columns_of, spec_of
from neural_style.network import VGGWeights, pooling_for
from neural_style.objective.spec import ObjectiveSpec
from neural_style.runs import checkpoint, outputs, record
from neural_style.runs import command as run_command
from neural_style.runs.tensorboard import TensorBoardWriter
from neural_style.sweeps import command as sweep_command
from neural_style.sweeps.plan import plan_sweep
from neural_style.system import files, tensorflow_v1
from neural_style.system.process import ENDING
from neural_style.system.tensorflow_v1 import tf
from neural_style.text import printable
from neural_style.tiles.graph import build_tiled_objective
from neural_style.tiles.passes import Tick, ignore
from neural_style.transfer.fitting import fit, fit_within, may_be_cut, shortage
from neural_style.transfer.graph_cache import GraphCache, Hands
from neural_style.transfer.guard import told_of_memory
from neural_style.transfer.level import optimise
from neural_style.transfer.session import TransferSession, evaluate
from neural_style.transfer.state import Iteration, Result, Scores, Stopwatch, Watch
from neural_style.transfer.targets import KeptTargets

log = logging.getLogger("style_transfer")


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
        config: Settings, the defaults if not given. Its masks and fine structures are read from
            their paths; other paths of pictures and its output are not used.
        weights: The network; if not given, what `config.network` says.
        start: What to start from if `config.init.source` is a path.

    Returns:
        The pastiche, its longest side `image.size`, and its losses.

    Raises:
        InputError: The pictures, the settings or the weights cannot be used; the message says why.
        OutOfMemoryError: There is too little memory for them.
    """
    config = for_styles(config or make_config({}), len(styles))
    pictures = take_pictures(config, content, styles, start)
    notice = ""
    if weights is None:
        weights, notice = find_weights(config.network, config.init.seed)
    check_scales(config, pictures, weights)
    if notice:
        log.warning("%s", notice)
    tensorflow_v1.import_tensorflow()
    studio = open_studio(
        tensorflow_v1.open_device(
            config.runtime.device, config.runtime.threads, config.runtime.precision
        )
    )
    try:
        job = prepare(Job(config, pictures, weights, {}), studio.device)
        with told_of_memory(job):
            work, pictures = studio.workspace(job)
            result = optimise(work, job.config, pictures)
    finally:
        studio.close()
    if result.interrupted:
        raise KeyboardInterrupt
    return result


def open_studio(device: tensorflow_v1.Device, kept_bytes: int = 0) -> GraphCache:
    """Return what lends graphs and sessions on a device to runs."""

    def workspace(job: Job, structure: ObjectiveSpec) -> TransferSession:
        weights = fit_filters(job.config, job.weights, job.pictures)
        return open_workspace(job.config, weights, device, structure, kept_bytes)

    def critic(job: Job) -> Evaluator:
        weights = fit_filters(make_config({}), job.weights, job.pictures)
        return open_evaluator(weights, device)

    def mix(job: Job) -> Pictures:
        weights = fit_filters(job.config, job.weights, job.pictures)

        def paint(coarse: np.ndarray, fine: np.ndarray, settings: Config) -> np.ndarray:
            own = Pictures(coarse, (fine,))
            if is_foretold(settings, device):
                settings = fit_within(settings, weights, own, precision_of(settings, device))
            structure = replace(spec_of(settings), tiled=may_be_cut(settings))
            work = open_workspace(settings, weights, device, structure)
            log.info("painting a style image in the fine structure of another")
            with work.session:
                made = optimise(work, settings, own)
            if made.interrupted:
                raise KeyboardInterrupt
            if made.failure:
                raise DivergedError(
                    f"style.images: in the fine structure of another, {made.failure}"
                )
            return made.image

        return mix_scales(job.config, job.pictures, paint)

    return GraphCache(workspace, critic, mix, device, lasting=kept_bytes > 0)


def open_workspace(
    config: Config,
    weights: VGGWeights,
    device: tensorflow_v1.Device,
    structure: ObjectiveSpec | None = None,
    kept_bytes: int = 0,
) -> TransferSession:
    """Build the graph of a structure, the run's own if not given, finalise it and open a session
    on it, which keeps so many bytes of targets.
    """
    precision = precision_of(config, device)
    exact = tensorflow_v1.wants_exact_sums(device.kind, precision)
    structure = replace(structure or spec_of(config), float64_sums=exact)
    pooling = pooling_for(weights, config.network.pooling)
    with tf.Graph().as_default() as graph:
        canvas = objective.build_image(structure)
        network = vgg.build_vgg(
            canvas.pixels,
            weights,
            structure.layers,
            pooling,
            precision,
            white=config.network.white,
            replicate=config.network.padding == "replicate",
            transform=tensorflow_v1.wants_winograd(device.kind, precision),
        )
        goal = objective.build_objective(canvas, network.features, structure)
        tiles = build_tiled_objective(goal, network, structure) if structure.tiled else None
        optimizer = optimizers.build_optimizer(goal, config.optimizer, weights.mean, tiles)
        initialize = tf.global_variables_initializer()
    opened = tensorflow_v1.build_session(graph, device)
    network.initialize(opened)
    opened.run(initialize)
    kept = KeptTargets(kept_bytes)
    return TransferSession(
        weights.mean, weights.layers, goal, optimizer, opened, kept, tiles, network.layers
    )


def precision_of(config: Config, device: tensorflow_v1.Device) -> str:
    """Return the precision of a run's convolutions."""
    asked = config.runtime.precision
    return device.precision if asked == "auto" else asked


def resolve(config: Config, weights: VGGWeights, device: tensorflow_v1.Device) -> Config:
    """Return settings with the pooling, device, threads and precision that a run has."""
    pooling = pooling_for(weights, config.network.pooling)
    precision = precision_of(config, device)
    return config.having(
        {
            "network.pooling": pooling,
            "runtime.device": device.kind,
            "runtime.threads": device.threads,
            "runtime.precision": precision,
        }
    )


def prepare(job: Job, device: tensorflow_v1.Device) -> Job:
    """Return a job with all settled that `auto` leaves open, so that it fits into memory."""
    asked = resolve(job.config, job.weights, device)
    if not is_foretold(asked, device):
        return replace(job, config=asked)
    own = job.weights, job.pictures, asked.runtime.precision
    config = fit(asked, *own)
    if told := shortage(asked, config, *own):
        log.warning("%s", told)
    return replace(job, config=config)


def is_foretold(config: Config, device: tensorflow_v1.Device) -> bool:
    """Tell whether it is known what a run has to fit into; a card tells when it is full."""
    return device.kind == "cpu" or config.runtime.memory is not None


def make(
    job: Job,
    studio: GraphCache,
    folder: Path,
    watch: Watch,
    clock: Stopwatch,
    tick: Tick = ignore,
) -> Result:
    """Make a pastiche and leave all that belongs to it in a folder; go on where it ended early.

    Raises:
        InputError: The folder has a checkpoint of other settings or inputs.
        DivergedError: The losses are no numbers; the best image is saved.
        OutOfMemoryError: There is too little memory for the smallest tiles.
        FailedRunError: An error from inside TensorFlow, which is in `error.log`.
    """
    folder.mkdir(exist_ok=True)
    with told_of_memory(job), logged_in(folder):
        return _make(job, studio, folder, watch, clock, tick)


def _make(
    job: Job, studio: GraphCache, folder: Path, watch: Watch, clock: Stopwatch, tick: Tick
) -> Result:
    config, deciding = job.config, decisive(job.config, job.digests, job.weights.sha256)
    files.remove_unfinished(folder)
    resumed = checkpoint.find_checkpoint(folder, deciding)
    with clock("start"):
        work, pictures = studio.workspace(job)
    files.write_atomically(folder / "config.yaml", to_yaml(config).encode())
    done = resumed.done if resumed else 0
    snapshots = outputs.Snapshots(folder, config.output.save_every)
    snapshots.find(done)
    end = schedule(config, pictures)[-1]
    last = end.first + end.iterations if config.output.keep_checkpoint else None
    keeper = checkpoint.CheckpointManager(folder, config.output.checkpoint_every, deciding, last)
    with TensorBoardWriter(folder, config.output.tensorboard, job.values, done) as board:

        def each(moment: Iteration) -> None:
            snapshots.take(moment.done, moment.image)
            board.iterate(moment)
            watch(moment)
            keeper.keep(moment)

        with clock("optimise"):
            result = optimise(work, config, pictures, each, resumed, tick)
        with clock("write"):
            if result.interrupted and result.last:
                keeper.write(result.last)
            path = outputs.write_results(job, folder, result)
            board.result(result.image, result.losses)
            if config.output.animation != "none":
                outputs.write_film(folder, config.output.animation, snapshots, result.image)
        if result.interrupted:
            return result
        if result.failure:
            raise DivergedError(f"{result.failure}; the best image is {printable(path)}")
        with clock("score"):
            saved = judge(job, work, studio, path)
            board.score(saved.losses, saved.metrics)
    record.write_record(folder, outputs.describe(job, studio.device, result, saved, clock.seconds))
    checkpoint.remove_checkpoints(folder, kept=int(config.output.keep_checkpoint))
    return result


def judge(job: Job, work: TransferSession, studio: GraphCache, path: Path) -> Scores:
    """Return the losses of a saved picture for the goal that is set, and its measures."""
    picture = read_image(path, "output.image", job.config.image.max_pixels).rgb
    losses = evaluate(work, as_compared(job.config.color, picture))
    return Scores(
        {name: losses[name] for name in columns_of(job.config)},
        studio.critic(job).score(picture, job.pictures.content, job.styles),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; see `command_line.exit_code`."""
    options = command_line.parse(arguments)
    clock = Stopwatch()

    def obey() -> int:
        path = options.config or (options.resume and options.resume / "config.yaml")
        source = load_source(path, options.set)
        config = validate(source, path)
        desk = Desk(log.warning, fetch=not options.dry_run)
        hands = Hands(open_studio, resolve, prepare, make)
        if config.sweep:
            return sweep_command.conduct(plan_sweep(source, config), desk, hands, options)
        return run_command.conduct(config, desk, hands, options, clock)

    return command_line.exit_code(obey)


if __name__ == "__main__":
    code = main()
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)  # only the interpreter's own end is left
    sys.exit(code)
