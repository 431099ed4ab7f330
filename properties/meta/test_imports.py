"""Imports go one way: cells know numpy only, strategies know hypothesis and numpy, properties know both, nothing knows conftest."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = {"cells", "strategies", "properties", "conftest"}
ALLOWED = {
    "cells": {"numpy", "cells"},
    "strategies": {"numpy", "hypothesis", "strategies"},
    "properties": {
        "numpy",
        "hypothesis",
        "pytest",
        "coverage",
        "execnet",
        "cells",
        "strategies",
        "properties",
    },  # execnet is xdist's
}
FILES = [path for folder in ALLOWED for path in sorted((ROOT / folder).rglob("*.py"))]


def imported(path):
    """(top-level name, whether the import waits for a call) of each module that a file imports, relative ones under their own folder."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {id(node) for function in ast.walk(tree) if isinstance(function, ast.FunctionDef) for node in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], id(node) in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0] if node.level == 0 else path.relative_to(ROOT).parts[0], id(node) in inside


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    """Only an adapter and a test of the suite itself may import more; elsewhere an extra waits for its call."""
    folder, *rest = path.relative_to(ROOT).parts
    others = {(name, waits) for name, waits in imported(path) if name not in sys.stdlib_module_names | ALLOWED[folder]}
    assert not {name for name, _ in others} & OURS
    assert folder == "properties" or rest[0] == "adapters" or not others
    assert all(waits for _, waits in others) or rest[0] in ("adapters", "meta")
