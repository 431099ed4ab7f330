"""The catalogue of laws, read from their files: group, name, equation, what a cell must offer, and whether it is a promise."""

import ast
import importlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cellcheck.properties.intake.capabilities import missing

FOLDER = Path(__file__).parents[1]
# The most informative first: a wrong gradient says more about a cell than a wrong stride.
GROUPS = (
    "gradients",
    "equations",
    "equivalence",
    "sequences",
    "symmetries",
    "linearity",
    "stability",
    "purity",
    "layout",
    "errors",
)
# What compiled code does with such arguments may damage its process, so these come last.
UNUSUAL = ("layout", "errors")


@dataclass(frozen=True)
class Law:
    """One test of properties/test_GROUP.py.

    equation: its docstring; needs: capabilities that a cell must have (see `capabilities`); promise: whether a guest may break
    it without failing the run.
    """

    group: str
    name: str
    equation: str
    needs: frozenset
    promise: bool

    @property
    def unusual(self):
        """Whether the cell gets arguments of another layout, dtype or shape than it may be written for."""
        return self.group in UNUSUAL

    @property
    def test(self):
        """The law as Hypothesis's test of (Cell, problem). Importing it imports every module of its group."""
        return getattr(importlib.import_module(f"cellcheck.properties.test_{self.group}"), f"test_{self.name}")

    @property
    def check(self):
        """The law as a plain function of (Cell, problem) that raises where it does not hold."""
        return self.test.hypothesis.inner_test

    def applies(self, Cell):
        """Whether the cell offers what the law needs."""
        return not missing(Cell, self.needs)


@cache
def laws():
    """All laws by name, group by group."""
    files = sorted(FOLDER.glob("test_*.py"), key=lambda file: rank(file.stem.removeprefix("test_")))
    return {law.name: law for file in files for law in _of(file)}


def rank(group):
    """The place of a group among all, unknown ones last."""
    return (GROUPS.index(group) if group in GROUPS else len(GROUPS), group)


def grouped(some, results):
    """The names of the laws of `some`, or of their group where `some` has all of its `results`."""
    parts = []
    for group in dict.fromkeys(r["group"] for r in some):
        ours = [r["law"] for r in some if r["group"] == group]
        whole = len(ours) > 1 and len(ours) == sum(r["group"] == group for r in results)
        parts += [f"{group} group"] if whole else ours
    return ", ".join(parts)


def _of(file):
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            equation = " ".join((ast.get_docstring(node) or "").split()).rstrip(".")
            marks = list(map(ast.unparse, node.decorator_list))
            calls = [d for d in node.decorator_list if isinstance(d, ast.Call) and ast.unparse(d.func) == "pytest.mark.needs"]
            needs = frozenset(need for call in calls for need in map(ast.literal_eval, call.args))
            yield Law(
                file.stem.removeprefix("test_"), node.name.removeprefix("test_"), equation, needs, "pytest.mark.promise" in marks
            )
