"""The notebook that explains the algorithm: kept without outputs, and it runs."""

from __future__ import annotations

import json

import nbclient
import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from references import ROOT

NOTEBOOK = ROOT / "experiments" / "walkthrough.ipynb"

# What the notebook sets, and what is tried in its place; it shows six iterates of more than 40.
SIZES, SMALLER = "SIZE, ITERATIONS = 160, 60", "SIZE, ITERATIONS = 96, 41"

# What the notebook says, in numbers, asked of its kernel at the end.
QUESTIONS = """
import json

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
    "range": [float(by_lbfgs.min()), float(by_lbfgs.max())],
}))
"""


def test_the_notebook_is_kept_valid_and_without_what_it_printed_in_short_cells_of_python():
    nbformat.validate(nbformat.read(NOTEBOOK, as_version=4))
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    codes = [cell for cell in cells if cell["cell_type"] == "code"]
    assert codes
    for number, cell in enumerate(codes):
        assert (cell["outputs"], cell["execution_count"], cell["metadata"]) == ([], None, {})
        source = "".join(cell["source"])
        compile(TransformerManager().transform_cell(source), f"cell {number}", "exec")
        assert len(source.splitlines()) <= 35


@pytest.mark.slow
def test_the_notebook_runs_and_what_it_says_is_so():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (cell,) = (cell for cell in notebook.cells if SIZES in cell["source"])
    cell["source"] = cell["source"].replace(SIZES, SMALLER)
    notebook.cells.append(nbformat.v4.new_code_cell(QUESTIONS))
    place = {"metadata": {"path": str(NOTEBOOK.parent)}}
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=place).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [output["text"] for output in outputs if output.get("name") == "stderr"] == []
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 11
    answers = json.loads(outputs[-1]["text"])
    assert answers["gram"] < 1e-9
    assert answers["swapped"] < answers["photograph"] / 3
    assert answers["lbfgs"] < answers["adam"] < answers["start"] / 3
    assert len(set(answers["rows"])) == 1
    assert -0.01 < answers["range"][0] < answers["range"][1] < 255.01
