"""The laws there are, read from their files without running them."""

import ast
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parents[1]
GROUPS = ("gradients", "linearity", "stability", "equations", "symmetries", "purity", "layout", "sequences", "errors")


class Law(NamedTuple):
    """group, name: as in `properties/test_GROUP.py` and `test_NAME`; equation: its docstring; promise: whether it is one."""

    group: str
    name: str
    equation: str
    promise: bool


def every():
    """All laws, group by group."""
    files = sorted(FOLDER.glob("test_*.py"), key=lambda file: rank(file.stem.removeprefix("test_")))
    return [law for file in files for law in _of(file)]


def rank(group):
    """The place of a group, unknown ones last."""
    return (GROUPS.index(group) if group in GROUPS else len(GROUPS), group)


def grouped(some, results):
    """The laws of `some`; where they are all that there are in a group of `results`, the group."""
    parts = []
    for group in dict.fromkeys(r["group"] for r in some):
        ours = [r["law"] for r in some if r["group"] == group]
        whole = len(ours) > 1 and len(ours) == sum(r["group"] == group for r in results)
        parts += [f"{group} group"] if whole else ours
    return ", ".join(parts)


def _of(file):
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            promise = any("mark.promise" in ast.unparse(decorator) for decorator in node.decorator_list)
            equation = " ".join((ast.get_docstring(node) or "").split()).rstrip(".")
            yield Law(file.stem.removeprefix("test_"), node.name.removeprefix("test_"), equation, promise)
