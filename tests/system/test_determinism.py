"""Products of multiples of twelve rows, and sums in float64, against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from graphs import evaluate

from neural_style.system.determinism import EVEN_ROWS, PART, multiply, total_of, with_even_rows


@pytest.mark.parametrize("rows", [1, 11, 12, 13, 30])
def test_rows_of_zeros_make_a_multiple_of_twelve(rng, rows):
    x = rng.standard_normal((2, 3, rows, 5)).astype(np.float32)
    found = evaluate(with_even_rows, x)
    assert found.shape == (2, 3, -(-rows // EVEN_ROWS) * EVEN_ROWS, 5)
    np.testing.assert_array_equal(found[:, :, :rows], x)
    assert not found[:, :, rows:].any()


@pytest.mark.parametrize("rows", [1, 12, 31, PART - 1, PART, 2 * PART + 5])
def test_a_product_is_numpys_for_any_number_of_rows(rng, rows):
    x, matrix = rng.standard_normal((rows, 7)), rng.standard_normal((7, 4))
    np.testing.assert_allclose(evaluate(multiply, x, matrix), x @ matrix, rtol=1e-12, atol=1e-13)


def test_no_product_takes_all_rows_at_once():
    with tf.Graph().as_default() as graph:
        multiply(tf.ones([2 * PART, 3]), tf.ones([3, 3]))
        assert not [op for op in graph.get_operations() if op.type == "MatMul"]  # but in a loop


def test_a_total_is_that_of_float64(rng):
    values = rng.uniform(0, 1, (7, 300, 3)).astype(np.float32)
    found = evaluate(total_of, values)
    assert found.dtype == np.float32
    assert found == pytest.approx(values.sum(dtype=np.float64), rel=1e-7)
