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
    "properties": {"numpy", "hypothesis", "pytest", "coverage", "cells", "strategies", "properties"},
}
FILES = [path for folder in ALLOWED for path in sorted((ROOT / folder).rglob("*.py"))]


def imported(path):
    """Top-level names of the modules that a file imports, relative imports under their own folder."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0] if node.level == 0 else path.relative_to(ROOT).parts[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    """Only an adapter, and a test of the suite itself, may import more: its own library."""
    folder, *rest = path.relative_to(ROOT).parts
    others = {name for name in imported(path) if name not in sys.stdlib_module_names} - ALLOWED[folder]
    assert not others & OURS
    assert not others or rest[0] in ("adapters", "meta", "mutants")
