"""The machine's own rate of matrix products."""

from __future__ import annotations

import subprocess

from neural_style.transfer import product_rate


def test_rate_is_that_of_a_machine():
    """Between a slow interpreter's and that of a hall of computers."""
    rate = product_rate.product_rate(1)
    assert 1e8 < rate.busy <= rate.idle < 1e15


def test_openblas_is_told_of_avx512_that_it_may_not_know(monkeypatch):
    def run(command, env, **_options):
        assert (command[-1], env["OPENBLAS_NUM_THREADS"]) == ("3", "1")
        assert env.get("OPENBLAS_CORETYPE") == ("SkylakeX" if avx512 else None)
        return subprocess.CompletedProcess(command, 0, b"2.5e11 2e11\n")

    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    monkeypatch.setattr(product_rate.subprocess, "run", run)
    for avx512 in (True, False):
        monkeypatch.setattr(product_rate, "has_avx512", lambda told=avx512: told)
        assert product_rate.product_rate(3) == (2.5e11, 2e11)


def test_the_idle_rate_is_that_of_the_fastest_products_and_the_busy_one_that_of_all():
    """Of ten products on two threads, most are delayed, and rounds wait for the slower one."""
    operations = 2 * product_rate.SIDE**3
    seconds = [2.0, 9.0, 1.5, 4.0, 3.0, 8.0, 4.0, 1.0, 9.0, 9.0]
    idle, busy = product_rate.rate_of(seconds, elapsed=40.0, threads=2)
    assert idle == 2 * operations / 1.5
    assert busy == 10 * operations / 40
