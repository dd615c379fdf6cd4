"""The graph of L-BFGS: its vectors, which stay where the network runs, and the operations on them.

The host's part, which sees only scalars, is in `lbfgs`. Operations on many vectors at once work on
a block of their rows, so that they never need a second copy of the history.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from neural_style.objective import LeftGradient, Objective
from neural_style.objective.variables import FedVariable, build_fed
from neural_style.optimizers import vectors
from neural_style.optimizers.vectors import CHUNK, as_image, block, combine, dot, in_rows
from neural_style.system.tensorflow_v1 import tf

LEVELS = 5  # of the preconditioner's pyramid
_STRIDES = [1, 2, 2, 1]
_FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64


@dataclass(frozen=True)
class LBFGSGraph:
    """Handles of the graph; R rows of CHUNK numbers hold a vector.

    Notation: s_1..s_m and y_1..y_m are the steps and the changes of the gradient in the history.
    g is the gradient, P the preconditioner, d the direction. s and y without an index lead from the
    anchor to the current image.

    Attributes:
        objective: What is minimised.
        anchor: The last iterate, [1, H, W, 3]; the image may be a trial step away from it.
        gradient: g, at the anchor, [R, CHUNK].
        free: 1 for variables that may move from the anchor, 0 for those held at a bound or outside
            the region, [R, CHUNK].
        steps, changes: s_1..s_m and y_1..y_m, [R, CHUNK].
        direction: d, [R, CHUNK].
        evaluate: Computes the gradient at the current image.
        evaluate_tiles: Takes it from an evaluation in tiles; None without tiles.
        pair: s.y, s.s and y.y, [3].
        predicted: g.s.
        steepest: Largest absolute value in the gradient at the current image.
        precondition_change: d = P y.
        along_change: d.y.
        store: Stores s and y in the slot fed.
        advance: Makes the current image and its gradient the anchor.
        products: Inner products over the free variables of s_1..s_m with y_1..y_m and g,
            [m, m + 1], float64; of the block.
        combine_changes: Sets d to the combination of y_1..y_m and g over the free variables; of the
            block.
        precondition: d = P d over the free variables.
        along: Inner products of d with y_1..y_m, [m], float64; of the block.
        combine_steps: Multiplies d by `scale` and adds the combination of s_1..s_m; of the block.
        largest: Largest absolute value in d; of the block.
        move: Moves the image to the anchor plus `length` times d, inside the box.
        reset: Empties the history and makes the current image the anchor.
        rows: Placeholder of the block: its first row and the one after its last, [2].
        coefficients: Placeholder for both combinations, [m + 1] or [m].
        slot, scale, length: Placeholders, scalars.
    """

    objective: Objective
    anchor: FedVariable
    gradient: FedVariable
    free: FedVariable
    steps: tuple[FedVariable, ...]
    changes: tuple[FedVariable, ...]
    direction: tf.Variable
    evaluate: tf.Operation
    evaluate_tiles: tf.Operation | None
    pair: tf.Tensor
    predicted: tf.Tensor
    steepest: tf.Tensor
    precondition_change: tf.Operation
    along_change: tf.Tensor
    store: tf.Operation
    advance: tf.Operation
    products: tf.Tensor
    combine_changes: tf.Operation
    precondition: tf.Operation
    along: tf.Tensor
    combine_steps: tf.Operation
    largest: tf.Tensor
    move: tf.Operation
    reset: tf.Operation
    rows: tf.Tensor
    coefficients: tf.Tensor
    slot: tf.Tensor
    scale: tf.Tensor
    length: tf.Tensor


def build_lbfgs_graph(
    objective: Objective,
    box: vectors.Box | None,
    history: int,
    preconditioned: bool,
    tiles: LeftGradient | None = None,
) -> LBFGSGraph:
    """Add L-BFGS to the graph; without a box, the image has no bounds.

    Args:
        history: Number of pairs to keep.
        preconditioned: Whether to use the multilevel preconditioner; without it, P = 1.
    """
    image = objective.image.variable
    number = image.dtype
    with tf.name_scope("lbfgs"):
        fed_anchor = build_fed("anchor", [1, None, None, 3], number)
        fed_gradient, fed_free, fed_new, fed_direction = (
            build_fed(name, [None, CHUNK], number)
            for name in ("slope", "free", "new_slope", "direction")
        )
        fed_steps, fed_changes = (
            tuple(build_fed(f"{name}_{j}", [None, CHUNK], number) for j in range(history))
            for name in ("step", "change")
        )
        anchor, gradient, free = fed_anchor.variable, fed_gradient.variable, fed_free.variable
        new_gradient, direction = fed_new.variable, fed_direction.variable
        steps, changes = ([fed.variable for fed in each] for each in (fed_steps, fed_changes))
        rows = tf.placeholder(tf.int32, [2], "rows")
        coefficients = tf.placeholder(number, [None], "coefficients")
        slot = tf.placeholder(tf.int32, [], "slot")
        scale = tf.placeholder(number, [], "scale")
        length = tf.placeholder(number, [], "length")

        # TensorFlow reorders sums by the order of creation: moving a line can change the rounding.
        x, g, d, mask = anchor.value(), gradient.value(), direction.value(), free.value()
        s, y = in_rows(image.value() - x), new_gradient.value() - g
        by_image = tf.convert_to_tensor(tf.gradients(objective.total, image)[0])
        target = x + length * as_image(d, tf.shape(x))
        set_anchor = anchor.assign(image.value(), read_value=False)
        set_gradient = gradient.assign(new_gradient.value(), read_value=False)
        blank = tf.zeros([-(-tf.size(image.value()) // CHUNK), CHUNK], number)

        # The same vectors, of the block alone.
        s_block, y_block = ([block(each.value(), rows) for each in v] for v in (steps, changes))
        g_block, mask_block, d_block = (block(each, rows) for each in (g, mask, d))
        y_and_g, d_rows = [*y_block, g_block], direction[rows[0] : rows[1]]

        def smooth(vector: tf.Tensor) -> tf.Tensor:
            if not preconditioned:
                return vector
            return in_rows(precondition(as_image(vector, tf.shape(x))))

        def put(j: int) -> tf.Tensor:
            with tf.control_dependencies((steps[j].assign(s), changes[j].assign(y))):
                return tf.constant(j)

        with tf.control_dependencies([set_anchor, set_gradient]):
            may_move = vectors.free_variables(anchor.value(), gradient.value(), box)
            if objective.image.region:  # the preconditioner would smooth steps beyond it
                region = objective.image.region.variable.value()
                may_move *= in_rows(region * tf.ones_like(anchor.value()))
        return LBFGSGraph(
            objective=objective,
            anchor=fed_anchor,
            gradient=fed_gradient,
            free=fed_free,
            steps=fed_steps,
            changes=fed_changes,
            direction=direction,
            evaluate=new_gradient.assign(in_rows(by_image), read_value=False),
            evaluate_tiles=tiles
            and new_gradient.assign(in_rows(tiles.gradient.variable.value()), read_value=False),
            pair=tf.stack([dot(s, y), dot(s, s), dot(y, y)]),
            predicted=dot(g, s),
            steepest=tf.reduce_max(tf.abs(new_gradient.value())),
            precondition_change=direction.assign(smooth(y), read_value=False),
            along_change=dot(d, y),
            store=tf.switch_case(slot, [partial(put, j) for j in range(history)]).op,
            advance=free.assign(may_move, read_value=False),
            products=vectors.inner_products([each * mask_block for each in s_block], y_and_g),
            combine_changes=d_rows.assign(combine(coefficients, y_and_g) * mask_block).op,
            precondition=direction.assign(smooth(d) * mask, read_value=False),
            along=vectors.inner_products([d_block], y_block)[0],
            combine_steps=d_rows.assign(
                scale * d_block + combine(coefficients, s_block) * mask_block
            ).op,
            largest=tf.reduce_max(tf.abs(d_block)),
            move=image.assign(vectors.clip(target, box), read_value=False),
            reset=tf.group(
                set_anchor,
                direction.assign(blank, read_value=False),
                *(each.assign(blank[:0], read_value=False) for each in (*steps, *changes)),
            ),
            rows=rows,
            coefficients=coefficients,
            slot=slot,
            scale=scale,
            length=length,
        )


def precondition(gradient: tf.Tensor) -> tf.Tensor:
    """Return P times a gradient by an image, both [1, H, W, 3] of any size.

    The style and content losses curve far more along fine changes of an image than along coarse
    ones. A plain optimiser therefore spends most of its iterations on broad areas. The BPX
    preconditioner (Bramble, Pasciak and Xu 1990) answers that at the price of an image pyramid:

        P v = v + sum_l 2^(l - 1) U^l D^l v,    l = 1 ... LEVELS

    where D halves a picture with the binomial filter (1, 3, 3, 1) / 8 along each side and U is its
    transpose, times 4. P is symmetric and positive definite by construction.
    """
    return gradient + _coarser(gradient, 1)


def _coarser(image: tf.Tensor, level: int) -> tf.Tensor:
    """Return the terms of the sum from a level on, for the image of the level before."""
    kernel = tf.constant(np.tile(_FILTER[:, :, None, None], [1, 1, 3, 1]), image.dtype)
    half = tf.nn.depthwise_conv2d(image, kernel, _STRIDES, "SAME")
    terms = 2.0 ** (level - 1) * half
    if level < LEVELS:
        terms += _coarser(half, level + 1)
    return 4 * tf.nn.depthwise_conv2d_backprop_input(
        tf.shape(image), kernel, terms, _STRIDES, "SAME"
    )
