"""Imports go one way: from the front door down to the cells, never up."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = [  # a file may import from its own room and from the floors below
    ["cells"],
    ["strategies"],
    ["properties/verdicts", "properties/writing"],
    ["properties/intake", "properties/shrinking"],
    ["properties/oracles"],
    ["properties"],
    ["properties/mutants", "properties/reports", "properties/certificate"],
    ["cellcheck"],
    ["tests", "bench"],
]
FLOOR = {room: k for k, rooms in enumerate(FLOORS) for room in rooms}
LIBRARIES = {"cells": {"numpy"}, "strategies": {"numpy", "hypothesis"}}
CORE = {"numpy", "hypothesis", "pytest", "coverage", "execnet"}  # execnet comes with pytest-xdist
FILES = [path for folder in ("cells", "strategies", "properties", "cellcheck") for path in sorted((ROOT / folder).rglob("*.py"))]


def room_of(folders):
    """The room of a file below these folders: the longest that is listed."""
    names = ["/".join(folders[:n]) for n in range(len(folders), 0, -1)]
    return next(name for name in names if name in FLOOR)


def imported(path):
    """(module, whether the import waits for a call) of everything that a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {id(node) for function in ast.walk(tree) if isinstance(function, ast.FunctionDef) for node in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from ((f"{node.module}.{alias.name}", id(node) in inside) for alias in node.names)


def ours(module):
    """The folders of a module of ours below the project, or None."""
    top, *rest = module.split(".")
    if top != "cellcheck":
        return None
    return rest if rest and rest[0] in ("cells", "strategies", "properties") else ["cellcheck"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    """A file imports from its own room and from the floors below; an optional library waits for its call."""
    folders = list(path.relative_to(ROOT).parts[:-1])
    room = room_of(folders)
    for module, waits in imported(path):
        if below := ours(module):
            other = room_of(below)
            assert other == room or FLOOR[other] < FLOOR[room], f"{room} imports {module}"
        elif module.split(".")[0] not in sys.stdlib_module_names | LIBRARIES.get(folders[0], CORE):
            assert waits or path.name.endswith(("_cells.py", "_tape.py", "_modes.py")), (
                f"{module} is optional: import it where it is needed"
            )


def test_importing_the_plugin_is_cheap():
    """It imports neither NumPy, nor Hypothesis, nor any law: every pytest run of an environment imports it."""
    code = "import sys, cellcheck.plugin; print(*sorted({'numpy', 'hypothesis'} & set(sys.modules)), *(m for m in sys.modules if 'properties' in m))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == []
