"""The machine's own rate of matrix products."""

from __future__ import annotations

import subprocess

from neural_style.transfer import product_rate


def test_rate_is_that_of_a_machine():
    """Between a slow interpreter's and that of a hall of computers."""
    assert 1e8 < product_rate.product_rate(1) < 1e15


def test_openblas_is_told_of_avx512_that_it_may_not_know(monkeypatch):
    def run(command, env, **_options):
        assert (command[-1], env["OPENBLAS_NUM_THREADS"]) == ("3", "1")
        assert env.get("OPENBLAS_CORETYPE") == ("SkylakeX" if avx512 else None)
        return subprocess.CompletedProcess(command, 0, b"2.5e11\n")

    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    monkeypatch.setattr(product_rate.subprocess, "run", run)
    for avx512 in (True, False):
        monkeypatch.setattr(product_rate, "has_avx512", lambda told=avx512: told)
        assert product_rate.product_rate(3) == 2.5e11


def test_threads_add_up(monkeypatch):
    monkeypatch.setattr(product_rate, "_median_seconds", lambda thread: 2.0**thread)
    operations = 2 * product_rate.SIDE**3
    assert product_rate.measure(3) == operations * (1 + 1 / 2 + 1 / 4)
