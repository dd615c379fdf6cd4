"""The unit of a gradient, of one number whose range float32 limits."""

import math

import numpy as np
import pytest

from neural_style.optimizers.unit import choose_unit


def evaluated(true: float, seen: list[float]) -> object:
    """Returns the gradient in a unit as float32 has it, without denormal numbers."""

    def largest_in(unit: float) -> float:
        seen.append(unit)
        with np.errstate(over="ignore", under="ignore"):
            value = np.float32(np.longdouble(true) * unit)
        return float(value) if not value < 2.0**-126 else 0.0

    return largest_in


@pytest.mark.parametrize("true", [1e-9, 3.0, 7e11, 0.0, math.nan])
def test_an_ordinary_gradient_and_none_at_all_keep_the_unit_of_1(true):
    seen: list[float] = []
    assert choose_unit(evaluated(true, seen)) == seen[-1] == 1
    assert len(seen) == (1 if true > 0 else 3)


@pytest.mark.parametrize("true", [1e-44, 3e-38, 1e-33, 5e-10, 2e12, 1e20, 1e38, 1e41])
def test_other_gradients_get_a_power_of_two_that_takes_them_to_between_1_and_2(true):
    seen: list[float] = []
    unit = choose_unit(evaluated(true, seen))
    assert unit == seen[-1]
    assert math.frexp(unit)[0] == 0.5
    assert 2.0**-120 <= unit <= 2.0**120
    assert 1 <= true * unit < 2 or unit in (2.0**-120, 2.0**120)
