#!/usr/bin/env python3
"""Neural style transfer by image optimisation (Gatys, Ecker and Bethge), as a static graph.

    python style_transfer.py --config config.yaml

From Python, with pictures as arrays: `from style_transfer import stylize`.
"""

from __future__ import annotations

from neural_style import command_line

if __name__ == "__main__":
    command_line.end_quietly()  # until `main` has its own answer to Ctrl-C

import time
from collections.abc import Sequence
from functools import partial

import numpy as np

import vgg19_matconvnet as vgg
from neural_style import images, inputs, objective, optimizers, runs, sweeps, transfer
from neural_style.config import Config, Init, load_source, make_config, validate
from neural_style.inputs import Job, Pictures
from neural_style.network import VGGWeights, pooling_for
from neural_style.objective import ObjectiveSpec
from neural_style.system import tensorflow_v1
from neural_style.system.tensorflow_v1 import Device, tf
from neural_style.tiles import build_tiled_objective
from neural_style.transfer import Checkpoint, GraphCache, Level, Result, TransferSession, Watch


def stylize(
    content: np.ndarray,
    styles: Sequence[np.ndarray],
    config: Config | None = None,
    *,
    weights: VGGWeights | None = None,
    start: np.ndarray | None = None,
    callback: transfer.Callback | None = None,
) -> Result:
    """Paint a content image in the manner of style images.

    Args:
        content: RGB, 0..255, [H, W, 3].
        styles: In the same form, each of its own size. They take the weights and scales of
            `config.style.images` in order; if their number differs, all weigh the same.
        config: Settings, the defaults if not given. Masks and fine structures are read from its
            paths; its paths of pictures and its output are not used.
        weights: The network; if not given, the one that `config.network` names.
        start: Picture to start from, if `config.init.source` is a path.
        callback: Called with each `Iterate`; if it returns False, the best so far is the result.

    Returns:
        The pastiche, its longest side `image.size`, and its losses.

    Raises:
        InputError: The pictures, the settings or the weights cannot be used; the message says why.
        OutOfMemoryError: There is too little memory for them.
    """
    config = inputs.for_styles(config or make_config({}), len(styles))
    pictures = inputs.take_pictures(config, content, styles, start)
    notice = ""
    if weights is None:
        weights, notice = inputs.find_weights(config.network, config.init.seed)
    job = Job(config.settled(weights.origin), pictures, weights)
    inputs.warn_once(notice, inputs.left_out(config, pictures))
    job.check()
    runtime = config.runtime
    device = tensorflow_v1.open_device(runtime.device, runtime.threads, runtime.precision)
    job, graphs = transfer.prepare(job, device), GraphCache(device)
    try:
        with transfer.explained_memory(job):
            pictures = graphs.pictures(job, build_graph, optimise)
            watch = Watch.calling(callback, job.scales[-1].end)
            result = optimise(graphs.open(job, build_graph), job, pictures, watch)
    finally:
        graphs.close()
    if result.interrupted:
        raise KeyboardInterrupt
    return result


def run(job: Job, graphs: GraphCache, folder: runs.RunFolder, watch: Watch) -> Result:
    """Make a run in a folder: config -> images -> targets -> objective -> optimiser -> record.

    A run with a checkpoint continues from it.

    Raises:
        DivergedError: The losses stayed NaN or infinite; the best image is saved.
        OutOfMemoryError: There is too little memory for the smallest tiles.
        FailedRunError: An error from inside TensorFlow, which is in `error.log`.
    """
    with transfer.explained_memory(job), folder.open(watch) as watched:
        with watch.clock("start"):
            pictures = graphs.pictures(job, build_graph, optimise, watch)  # content, styles, masks
            graph = graphs.open(job, build_graph)  # network, objective, optimiser; finalised
        with watch.clock("optimise"):
            result, job = runs.paint(partial(optimise, graph), job, pictures, watched, folder)
        with watch.clock("write"):
            folder.write(result)  # pastiche, losses, plot, film
        if not result.interrupted:
            with watch.clock("score"):
                scores = graphs.judge(job, graph, folder.picture)
            folder.finish(result, scores, graphs.device, watch)  # record.json
    return result


def build_graph(job: Job, device: Device, spec: ObjectiveSpec) -> TransferSession:
    """Build and finalise the graph of a job, and open a session on it: image variable -> VGG ->
    losses (the same in tiles, where images may be cut) -> optimiser.
    """
    config, weights = job.config, job.weights
    precision = transfer.precision_of(config, device)
    with tf.Graph().as_default() as graph:
        image = objective.build_image(spec, mean=weights.mean)
        network = vgg.build_vgg(
            image.pixels,
            weights,
            spec.layers,
            pooling_for(weights, config.network.pooling),
            precision,
            white=config.network.white,
            replicate=config.network.padding == "replicate",
            transform=tensorflow_v1.winograd_products(device.kind, precision),
            until=image.until,
        )
        losses = objective.build_objective(image, network.features, spec)
        tiles = build_tiled_objective(losses, network, spec) if spec.tiled else None
        optimizer = optimizers.build_optimizer(losses, config.optimizer, weights.mean, tiles)
        initialize = tf.global_variables_initializer()
    session = tensorflow_v1.build_session(graph, device)
    network.initialize(session)
    session.run(initialize)
    return TransferSession(
        weights.mean, weights.layers, losses, optimizer, session, tiles, network.layers
    )


def base_image(
    init: Init, picture: np.ndarray | None, size: tuple[int, int], mean: np.ndarray
) -> np.ndarray:
    """Return clip((1 - n) blur(picture) + n (mean + N(0, noise_std^2))) with n = init.noise.

    Args:
        init: Share and deviation of the white Gaussian noise, blur, seed.
        picture: Picture to start from, RGB, 0..255, [H, W, 3]; it fills the size, cropped about
            its centre where its shape differs. None starts from noise alone (n = 1).
        size: (height, width) of the base image.
        mean: The mean of the noise, RGB, 0..255, [3], or that of grey noise, [1].

    Returns:
        [height, width, 3], RGB, 0..255, float32.
    """
    white = np.random.default_rng(init.seed).standard_normal((*size, mean.size), np.float32)
    noise = np.broadcast_to(mean + init.noise_std * white, (*size, 3))
    if picture is None:
        return np.clip(noise, 0, 255).astype(np.float32)
    base = images.gaussian_blur(images.fill(picture, size), init.blur)
    return np.clip((1 - init.noise) * base + init.noise * noise, 0, 255).astype(np.float32)


def optimise(
    graph: TransferSession,
    job: Job,
    pictures: Pictures,
    watch: Watch = transfer.state.NO_WATCH,
    resumed: Checkpoint | None = None,
) -> Result:
    """Optimise the pastiche, coarse to fine, each scale from the image of the one before.

    Args:
        graph: Graph and session of the job.
        job: Settings with their inputs.
        pictures: Its pictures, each style painted in its fine structure.
        watch: Callbacks; a KeyboardInterrupt that one raises ends the run with its best image.
        resumed: Checkpoint to continue from, if any.

    Raises:
        InputError: The checkpoint is that of another run.
    """
    history, done = transfer.history_of(job, resumed)
    begun = time.perf_counter() - (history.seconds[-1] if history.seconds else 0)
    guard = transfer.DivergenceGuard.of(history, job.config.optimizer.max_recoveries)
    pictures = inputs.recolor(job.config.color, pictures)
    level, last = None, None
    with transfer.Ending() as ending:
        for scale in (each for each in job.scales if each.end >= done):
            level = Level(graph, job, pictures, scale, watch, before=level)
            level.set_targets(resumed)  # content features, Gram matrices, neighbours
            if resumed:
                level.resume(resumed)
            elif level.begun:
                level.begin(level.enlarged())
            else:
                size = level.pictures.size
                base = base_image(job.config.init, level.pictures.start, size, level.noise_mean)
                level.begin(inputs.recolor_start(job.config.color, base))
            resumed = last = None
            for iteration in level.iterations(done):  # until the image no longer moves
                losses = level.step(iteration)  # smaller tiles if memory runs out
                guard.check(level.run, losses, level.label, iteration)  # back from NaN
                history.append(iteration, time.perf_counter() - begun, losses, level.label)
                last = level.iteration(iteration + 1, losses, history)
                watch.iteration(last)
            final = level.run.finish()
            history.append(level.done, time.perf_counter() - begun, final, level.label)
    if level is None or not level.begun:
        raise KeyboardInterrupt
    return level.result(history, ending, last)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; see `command_line.exit_code`."""
    options = command_line.parse(arguments)

    def command() -> int:
        path = options.config or (options.resume and options.resume / "config.yaml")
        source = load_source(path, options.set)
        config = validate(source, path)
        if config.sweep:
            return sweeps.conduct(sweeps.plan_sweep(source, config), run, options)
        return runs.conduct(config, run, options)

    return command_line.exit_code(command)


if __name__ == "__main__":
    command_line.leave(main())
