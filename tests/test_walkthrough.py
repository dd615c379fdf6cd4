"""The notebook that explains the algorithm: kept without outputs, and it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

NOTEBOOK = Path(__file__).resolve().parents[1] / "experiments" / "walkthrough.ipynb"

# What the notebook says, in numbers, asked of its kernel at the end.
QUESTIONS = """
import json
import time

spent = time.process_time()  # on all threads

exact = first["relu3_1"].astype(float)
products = np.einsum("hwi,hwj->ij", exact, exact) / exact.size


def distance(picture):
    made, wanted = gram(look(picture, ["relu4_1"])["relu4_1"]), gram(first["relu4_1"])
    return float(np.mean((made - wanted) ** 2))


print(json.dumps({
    "gram": float(abs(gram(exact) - products).max() / products.max()),
    "swapped": distance(swapped),
    "photograph": distance(other),
    "start": losses_of_adam.rows[0][-1],
    "adam": min(row[-1] for row in losses_of_adam.rows),
    "lbfgs": min(row[-1] for row in losses_of_lbfgs.rows),
    "rows": [len(losses_of_adam.rows), len(losses_of_lbfgs.rows), ITERATIONS + 1],
    "seconds": spent,
    "range": [float(by_lbfgs.min()), float(by_lbfgs.max())],
}))
"""


def code_cells() -> list[dict[str, Any]]:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_is_kept_without_what_it_printed():
    assert code_cells()
    for cell in code_cells():
        assert (cell["outputs"], cell["execution_count"], cell["metadata"]) == ([], None, {})


def test_the_notebook_is_valid():
    nbformat.validate(nbformat.read(NOTEBOOK, as_version=4))


@pytest.mark.parametrize("index", range(len(code_cells())))
def test_every_cell_is_python_and_short(index):
    cell = "".join(code_cells()[index]["source"])
    compile(TransformerManager().transform_cell(cell), f"cell {index}", "exec")
    assert len(cell.splitlines()) <= 35


@pytest.mark.slow
def test_the_notebook_runs_and_what_it_says_is_so():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(QUESTIONS))
    place = {"metadata": {"path": str(NOTEBOOK.parent)}}
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=place).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    told = [output["text"] for output in outputs if output.get("name") == "stderr"]
    assert told == []
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 11
    answers = json.loads(outputs[-1]["text"])
    assert answers["gram"] < 1e-9
    assert answers["swapped"] < answers["photograph"] / 3
    assert answers["lbfgs"] < answers["adam"] < answers["start"] / 3
    assert len(set(answers["rows"])) == 1
    assert answers["seconds"] < 240  # two minutes on two cores
    low, high = answers["range"]
    assert low > -0.01
    assert high < 255.01
