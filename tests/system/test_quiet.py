"""Standard error is captured at the level of the file descriptor, and given back."""

import os
import subprocess
import sys

import pytest

from neural_style.system.quiet import captured_stderr


def test_captured_stderr_tells_what_native_code_and_child_processes_print_as_it_comes(capfd):
    with captured_stderr() as captured:
        os.write(2, b"from C\n")
        assert captured.text() == "from C\n"
        child = r"import os; os.write(2, b'child\xff!')"
        subprocess.run([sys.executable, "-c", child], check=True)
    assert captured.text() == "from C\nchild\ufffd!"  # for a byte that is no text
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("fails", [False, True])
def test_captured_stderr_gives_the_descriptor_back_and_the_text(fails, capfd):
    try:
        with captured_stderr() as captured:
            os.write(2, b"inside")
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    os.write(2, b"outside")
    assert captured.text() == "inside"
    assert capfd.readouterr().err == "outside"


def test_captured_stderr_can_be_nested_and_leaves_no_descriptor_open(capfd):
    def next_free() -> int:
        descriptor = os.dup(0)
        os.close(descriptor)
        return descriptor

    before = next_free()
    with captured_stderr() as outer:
        os.write(2, b"a")
        with captured_stderr() as inner:
            os.write(2, b"b")
        os.write(2, b"c")
    assert (outer.text(), inner.text(), capfd.readouterr().err) == ("ac", "b", "")
    assert next_free() == before


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run the code in a fresh interpreter, where standard error is a pipe of its own."""
    code = "import os, sys\nfrom neural_style.system.quiet import captured_stderr\n" + code
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_captured_stderr_flushes_python_text_to_where_it_was_meant():
    result = run(
        "sys.stderr = open(2, 'w', buffering=4096, closefd=False)\n"
        "sys.stderr.write('before ')\n"
        "with captured_stderr() as captured: sys.stderr.write('inside')\n"
        "sys.stderr.write('after')\n"
        "sys.stderr.flush()\n"
        "print(captured.text())"
    )
    assert (result.stdout, result.stderr) == ("inside\n", "before after")


@pytest.mark.parametrize("stream", ["sys.stderr = None", "sys.stderr.close()", "os.close(2)"])
def test_captured_stderr_works_without_a_standard_error(stream):
    result = run(
        f"{stream}\n"
        "with captured_stderr(): os.write(2, b'first')\n"
        "with captured_stderr() as captured:\n"
        "    os.write(2, b'inside')\n"
        "print(captured.text())"
    )
    assert (result.returncode, result.stdout) == (0, "inside\n")
