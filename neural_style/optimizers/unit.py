"""The unit of a gradient, with which float32 holds the products of its values.

A loss of 1e-30 or 1e30 is an ordinary number, but squares of its gradient vanish or overflow. Both
optimisers are the same in any unit. A power of two changes no digit, so that the weights of all
terms can have a common factor without effect on the iterates.
"""

from __future__ import annotations

import math
from collections.abc import Callable

LEAST, MOST = 2.0**-30, 2.0**40  # largest values of gradients for which the unit is 1
LIMIT = 2.0**120  # of units and of their inverses: float32 ends at 2^128 and 2^-126
FAR = 2.0**64  # tried where all values vanish or one overflows


def choose_unit(largest_in: Callable[[float], float]) -> float:
    """Return a unit in which a gradient has ordinary values: a power of two.

    Args:
        largest_in: Evaluates the gradient in a unit, and returns its largest absolute value.

    Returns:
        The unit of the last evaluation: 1 if the values are ordinary in it, and also if they are
        zero or NaN in any; else the one in which the largest is between 1 and 2.
    """
    unit, largest = 1.0, largest_in(1.0)
    if LEAST <= largest <= MOST:
        return unit
    if not 0 < largest < math.inf:
        unit = FAR if largest == 0 else 1 / FAR
        largest = largest_in(unit)
    if 0 < largest < math.inf:
        unit = min(max(unit * 2.0 ** -math.floor(math.log2(largest)), 1 / LIMIT), LIMIT)
    else:
        unit = 1.0
    largest_in(unit)
    return unit
