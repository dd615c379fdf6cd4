"""How TensorFlow is loaded, and how device, threads, precision and memory are chosen."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import pytest

from neural_style.system import hardware, tensorflow_v1
from neural_style.system.tensorflow_v1 import (
    Device,
    DeviceError,
    choose_device,
    open_device,
    session_options,
)


def test_device_follows_the_request_and_the_gpus_that_are_seen():
    gpu = ["/gpu:0"]
    asked = [("auto", gpu), ("auto", []), ("cpu", gpu), ("gpu", gpu)]
    assert [choose_device(*each) for each in asked] == ["gpu", "cpu", "cpu", "gpu"]
    message = r"^runtime\.device: found 'gpu', but TensorFlow sees none"
    with pytest.raises(DeviceError, match=message):
        choose_device("gpu", [])


@pytest.mark.parametrize("fast", [False, True])
def test_minimal_filtering_is_for_cpus_with_the_products_that_they_have(monkeypatch, fast):
    monkeypatch.setattr(hardware, "bfloat16_cpu", lambda: fast)
    assert tensorflow_v1.winograd_products("cpu", "float32") == "float32"
    found = tensorflow_v1.winograd_products("cpu", "bfloat16")
    assert found == ("bfloat16" if fast else "float32")
    for precision in ("float32", "bfloat16"):
        assert tensorflow_v1.winograd_products("gpu", precision) is None


def test_memory_grows_and_the_cpu_hides_gpus():
    on_cpu = session_options(Device("cpu", "CPU", 2))
    assert on_cpu.gpu_options.allow_growth
    assert on_cpu.device_count["GPU"] == 0
    assert "GPU" not in session_options(Device("gpu", "A card", 2)).device_count
    assert on_cpu.intra_op_parallelism_threads == on_cpu.inter_op_parallelism_threads == 2


def test_a_driver_without_libraries_is_a_warning_that_names_what_to_install(monkeypatch, caplog):
    monkeypatch.setattr(hardware, "nvidia_driver", lambda: True)
    monkeypatch.setattr(tensorflow_v1, "_set_threads", lambda threads: None)
    assert open_device().kind == "cpu"
    [message] = [each.message for each in caplog.records if each.levelname == "WARNING"]
    assert "requirements-gpu.txt" in message


def run(code: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    asked = [sys.executable, "-c", code]
    return subprocess.run(asked, capture_output=True, text=True, env=env, check=True)


def test_tensorflow_is_pickled_by_name():
    assert pickle.loads(pickle.dumps(tensorflow_v1.tf)) is tensorflow_v1.tf


def test_threads_are_set_for_the_process_and_cannot_change_later():
    program = """
from neural_style.system import tensorflow_v1
tensorflow_v1.import_tensorflow()
from neural_style.system.tensorflow_v1 import tf
device = tensorflow_v1.open_device(threads=1)
assert device.threads == 1 == tf.config.threading.get_intra_op_parallelism_threads()
tf.config.list_logical_devices()
try:
    tensorflow_v1.open_device(threads=2)
except tensorflow_v1.DeviceError as error:
    print(error)
"""
    done = run(program)
    assert done.stdout == (
        "runtime.threads: found 2, but TensorFlow already runs in this process with 1; "
        "set it in the first call\n"
    )
    assert done.stderr == ""


def test_tensorflow_is_imported_without_keras_which_can_still_be_imported():
    script = (
        "import os, sys\n"
        "from neural_style.system import tensorflow_v1\n"
        "tensorflow_v1.import_tensorflow()\n"
        "assert 'keras' not in sys.modules and 'TF_USE_LEGACY_KERAS' not in os.environ\n"
        "import tensorflow as tf\n"
        "print(tf.keras.layers.Dense(2).units)\n"
    )
    done = run(script, {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"})
    assert done.stdout.strip() == "2"
