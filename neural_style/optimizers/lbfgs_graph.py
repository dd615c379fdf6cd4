"""The graph of L-BFGS: its vectors, which stay where the network runs, and what is done to them.

The host's part, which sees scalars only, is in `lbfgs.py`. What takes in many vectors at once does
so for a block of their rows, so that it never needs a second copy of the history.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from neural_style.objective import LeftGradient, Objective
from neural_style.objective.variables import FedVariable, build_fed
from neural_style.optimizers.vectors import (
    CHUNK,
    Box,
    as_image,
    block,
    clip,
    combine,
    dot,
    free_variables,
    in_rows,
    inner_products,
)
from neural_style.system.tensorflow_v1 import tf

LEVELS = 5  # of the preconditioner's pyramid
_STRIDES = [1, 2, 2, 1]
_FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64


@dataclass(frozen=True)
class Graph:
    """Handles of the graph; M rows of CHUNK numbers hold a vector.

    Attributes:
        objective: What is minimised.
        anchor: The last iterate, [1, H, W, 3]; the image may be a trial step away from it.
        slope: The gradient there, [R, CHUNK].
        free: 1 for variables that may move from there, 0 for those held at a bound or outside the
            region, [R, CHUNK].
        steps, changes: s_1..s_m and y_1..y_m, each [R, CHUNK].
        losses: Terms by name and their `total`, at the current image.
        history: Number of pairs kept, m.
        evaluate: Keeps the gradient at the current image, for `pair` and `advance`.
        evaluate_tiles: Keeps that which tiles have left; None without them.
        pair: Of the step s since the anchor and the change of the gradient y: s.y, s.s, y.y.
        predicted: The gradient times the way from the anchor to the image.
        bend: Keeps P y as the direction, where P is the preconditioner.
        bent: The direction's inner product with y; after `bend`, y.Py.
        store: Puts that pair into the slot fed.
        advance: Makes the current image and its gradient the anchor.
        products: Inner products over the free variables of s_1..s_m with y_1..y_m and the anchor's
            gradient, [m, m + 1], float64; of the block.
        turn: Keeps q, the combination of y_1..y_m and the gradient with the coefficients fed, over
            the free variables, as the direction; of the block.
        smooth: Makes the direction P times what it is, over the free variables.
        direction: Where the search goes, [R, CHUNK].
        along: Inner products of the direction with y_1..y_m, [m], float64; of the block.
        steepest: The direction's largest entry; of the block.
        aim: Multiplies the direction by `scale` and adds the combination of s_1..s_m with the
            coefficients fed; of the block.
        move: Puts the image at the anchor plus `length` times the direction, inside the box.
        reset: Empties the history and makes the current image the anchor.
        rows, slot, turning, aiming, scale, length: Placeholders: the block's first row and the one
            after its last, [2]; the coefficients of `turn`, [m + 1], and of `aim`, [m].
    """

    objective: Objective
    anchor: FedVariable
    slope: FedVariable
    free: FedVariable
    steps: tuple[FedVariable, ...]
    changes: tuple[FedVariable, ...]
    losses: Mapping[str, tf.Tensor]
    history: int
    evaluate: tf.Operation
    evaluate_tiles: tf.Operation | None
    pair: tf.Tensor
    predicted: tf.Tensor
    bend: tf.Operation
    bent: tf.Tensor
    store: tf.Operation
    advance: tf.Operation
    products: tf.Tensor
    turn: tf.Operation
    smooth: tf.Operation
    direction: tf.Variable
    along: tf.Tensor
    steepest: tf.Tensor
    aim: tf.Operation
    move: tf.Operation
    reset: tf.Operation
    rows: tf.Tensor
    slot: tf.Tensor
    turning: tf.Tensor
    aiming: tf.Tensor
    scale: tf.Tensor
    length: tf.Tensor


def build_graph(
    objective: Objective,
    box: Box | None,
    history: int,
    preconditioned: bool,
    tiles: LeftGradient | None = None,
) -> Graph:
    """Add L-BFGS to the graph.

    Args:
        objective: What to minimise.
        box: Lowest and highest value of each channel, [3] and [3]; None for no bounds.
        history: Number of pairs to keep.
        preconditioned: Whether to use the multilevel preconditioner; without it, P = 1.
        tiles: The same objective tile by tile, if there is to be one.
    """
    image = objective.image.variable
    number = image.dtype
    with tf.name_scope("lbfgs"):
        held_anchor = build_fed("anchor", [1, None, None, 3], number)
        held_slope, held_free = (
            build_fed(name, [None, CHUNK], number) for name in ("slope", "free")
        )
        new_slope, direction = (
            build_fed(name, [None, CHUNK], number).variable for name in ("new_slope", "direction")
        )
        held_steps, held_changes = (
            tuple(build_fed(f"{name}_{j}", [None, CHUNK], number) for j in range(history))
            for name in ("step", "change")
        )
        anchor, slope, free = held_anchor.variable, held_slope.variable, held_free.variable
        steps, changes = ([h.variable for h in some] for some in (held_steps, held_changes))
        rows = tf.placeholder(tf.int32, [2], "rows")
        slot = tf.placeholder(tf.int32, [], "slot")
        turning = tf.placeholder(number, [history + 1], "turning")
        aiming = tf.placeholder(number, [history], "aiming")
        scale = tf.placeholder(number, [], "scale")
        length = tf.placeholder(number, [], "length")

        here, down, ahead = anchor.value(), slope.value(), direction.value()
        held = free.value()
        way = in_rows(image.value() - here)
        change = new_slope.value() - down
        gradient = tf.convert_to_tensor(tf.gradients(objective.total, image)[0])
        target = here + length * as_image(ahead, tf.shape(here))
        begin = anchor.assign(image.value(), read_value=False)
        descend = slope.assign(new_slope.value(), read_value=False)
        blank = tf.zeros([-(-tf.size(image.value()) // CHUNK), CHUNK], number)

        went, turned = ([block(each.value(), rows) for each in some] for some in (steps, changes))
        down_part, held_part, ahead_part = (block(each, rows) for each in (down, held, ahead))
        part = direction[rows[0] : rows[1]]

        def smooth(vector: tf.Tensor) -> tf.Tensor:
            if not preconditioned:
                return vector
            return in_rows(precondition(as_image(vector, tf.shape(here))))

        def put(j: int) -> tf.Tensor:
            pair = (steps[j].assign(way), changes[j].assign(change))
            with tf.control_dependencies(pair):
                return tf.constant(j)

        with tf.control_dependencies([begin, descend]):
            may_move = free_variables(anchor.value(), slope.value(), box)
            if objective.image.region:  # the preconditioner would smooth steps beyond it
                region = objective.image.region.variable.value()
                may_move *= in_rows(region * tf.ones_like(anchor.value()))
        return Graph(
            objective=objective,
            anchor=held_anchor,
            slope=held_slope,
            free=held_free,
            steps=held_steps,
            changes=held_changes,
            losses={**objective.terms, "total": objective.total},
            history=history,
            evaluate=new_slope.assign(in_rows(gradient), read_value=False),
            evaluate_tiles=tiles
            and new_slope.assign(in_rows(tiles.gradient.variable.value()), read_value=False),
            pair=tf.stack([dot(way, change), dot(way, way), dot(change, change)]),
            predicted=dot(down, way),
            bend=direction.assign(smooth(change), read_value=False),
            bent=dot(ahead, change),
            store=tf.switch_case(slot, [partial(put, j) for j in range(history)]).op,
            advance=free.assign(may_move, read_value=False),
            products=inner_products([each * held_part for each in went], [*turned, down_part]),
            turn=part.assign(combine(turning, [*turned, down_part]) * held_part).op,
            smooth=direction.assign(smooth(ahead) * held, read_value=False),
            direction=direction,
            along=inner_products([ahead_part], turned)[0],
            steepest=tf.reduce_max(tf.abs(ahead_part)),
            aim=part.assign(scale * ahead_part + combine(aiming, went) * held_part).op,
            move=image.assign(clip(target, box), read_value=False),
            reset=tf.group(
                begin,
                direction.assign(blank, read_value=False),
                *(each.assign(blank[:0], read_value=False) for each in (*steps, *changes)),
            ),
            rows=rows,
            slot=slot,
            turning=turning,
            aiming=aiming,
            scale=scale,
            length=length,
        )


def precondition(gradient: tf.Tensor) -> tf.Tensor:
    """Return P times a gradient by an image, both [1, H, W, 3] of any size.

    The style and content losses curve far more along fine changes of an image than along coarse
    ones, so that a plain optimiser spends most of its iterations on broad areas. The BPX
    preconditioner (Bramble, Pasciak and Xu 1990) answers that at the price of an image pyramid:

        P v = v + sum_l 2^(l - 1) U^l D^l v,    l = 1 ... LEVELS

    where D halves a picture with the binomial filter (1, 3, 3, 1) / 8 along each side and U is its
    transpose, times 4. P is symmetric and positive definite by construction.
    """
    return gradient + _coarser(gradient, 1)


def _coarser(image: tf.Tensor, level: int) -> tf.Tensor:
    """Return the sum's terms from a level on, for an image [1, H, W, 3] of the level before."""
    kernel = tf.constant(np.tile(_FILTER[:, :, None, None], [1, 1, 3, 1]), image.dtype)
    half = tf.nn.depthwise_conv2d(image, kernel, _STRIDES, "SAME")
    terms = 2.0 ** (level - 1) * half
    if level < LEVELS:
        terms += _coarser(half, level + 1)
    return 4 * tf.nn.depthwise_conv2d_backprop_input(
        tf.shape(image), kernel, terms, _STRIDES, "SAME"
    )
