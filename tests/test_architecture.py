"""The order of the folders: a module imports only from its own folder or from one before it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from references import ROOT

ORDER = """
    errors text project config system images video network objective vgg19_matconvnet optimizers
    inputs
    evaluation tiles transfer runs sweeps.report sweeps command_line style_transfer
""".split()  # noqa: SIM905
MODULES = sorted((ROOT / "neural_style").rglob("*.py"))
TOP = [ROOT / "vgg19_matconvnet.py", ROOT / "style_transfer.py"]
MOST_LINES, MOST_MODULES, MOST_IN_A_FOLDER = 450, 133, 12
HEAVY = ("tensorflow", "scipy", "matplotlib", "jinja2", "ray", "tensorboard", "requests", "psutil")
HEAVY += ("h5py", "PIL", "tifffile", "imagecodecs", "pillow_heif", "av")


def dotted(path: Path) -> str:
    """The name of a module as an import writes it."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def place(module: str) -> str | None:
    """The part of the order that a module of the project belongs to; None for any other."""
    if module in ("vgg19_matconvnet", "style_transfer"):
        return module
    if not module.startswith("neural_style."):
        return None
    inside = module.removeprefix("neural_style.")
    return next((p for p in sorted(ORDER, key=len)[::-1] if f"{inside}.".startswith(f"{p}.")), None)


def imports(path: Path) -> list[tuple[str, int]]:
    """Every module that a file imports, at its head, inside functions, and for types alone."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(name.name, node.lineno) for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = (f"{node.module}.{name.name}" for name in node.names)
            found += [(part if part in NAMES else str(node.module), node.lineno) for part in parts]
    return found


NAMES = {dotted(path): path for path in [*MODULES, *TOP]}


@pytest.mark.parametrize("path", [*MODULES, *TOP], ids=dotted)
def test_a_module_imports_from_its_own_folder_or_from_one_before_it(path: Path) -> None:
    own = place(dotted(path))
    wrong = []
    for name, line in imports(path):
        other = place(name)
        if own and other and ORDER.index(other) > ORDER.index(own):
            wrong.append(f"{path.name}:{line} imports {name}")
    assert not wrong


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {
        name: {other for other, _ in imports(path) if other in NAMES and other != "neural_style"}
        for name, path in NAMES.items()
    }
    while leaves := {name for name, others in graph.items() if not others & graph.keys()}:
        graph = {name: others for name, others in graph.items() if name not in leaves}
    assert not graph


def test_a_folder_is_small_and_a_module_one_idea() -> None:
    modules = [path for path in MODULES if path.name != "__init__.py"]
    lengths = {dotted(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules}
    assert {name for name, lines in lengths.items() if lines > MOST_LINES} == set()
    assert len(modules) <= MOST_MODULES
    folders = {path.parent for path in modules}
    for folder in folders:
        assert sum(path.parent == folder for path in modules) <= MOST_IN_A_FOLDER, folder
    scripts = {path.stem: len(path.read_text(encoding="utf-8").splitlines()) for path in TOP}
    assert scripts["style_transfer"] <= 230
    assert scripts["vgg19_matconvnet"] <= 260


def test_tensorflow_comes_through_the_lazy_module_alone() -> None:
    found = [
        dotted(path)
        for path in [*MODULES, *TOP]
        for name, _ in imports(path)
        if name.split(".")[0] == "tensorflow"
    ]
    assert set(found) == {"neural_style.system.tensorflow_v1"}


def test_the_script_imports_few_modules() -> None:
    modules = {name for name, _ in imports(TOP[1]) if name in NAMES}
    assert len(modules) <= 14, sorted(modules)


def test_help_loads_none_of_the_large_libraries() -> None:
    code = (
        "import sys; from style_transfer import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stderr.strip() == "[]"


@pytest.mark.parametrize("path", [p for p in MODULES if p.parent.name == "objective"], ids=dotted)
def test_the_objective_knows_no_settings_no_network_and_no_file(path: Path) -> None:
    known = {place(name) for name, _ in imports(path)}
    assert known <= {None, "errors", "text", "system", "objective"}
