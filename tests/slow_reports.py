"""The report of every mutant: run by name, and under coverage; some minutes.

pytest -n auto tests/slow_reports.py
"""

import pytest
from cellcheck.properties.reports.short import LINES

from tests import test_reports
from tests.test_reports import MUTANTS, guest_of, told_of

code_of = test_reports.code_of
DECLARED = [  # the fault is in `weight_blocks`, of which a script knows nothing: the cell as such is right
    "GatesDeclaredIOFG",
    "GatesDeclaredIFGO",
    "ResetAndUpdateDeclaredSwapped",
    "UnrolledGatesDeclaredFIOG",
    "BiasesInAnotherOrderThanWeights",
    "RowsDeclaredStateFirst",
    "RNNRowsDeclaredStateFirst",
    "SplitByFeatures",
]
RESIZED = ["StateAsWideAsInput"]  # the right cell does not take states of the wrong size, which the script says by 2
pytestmark = pytest.mark.filterwarnings("ignore")  # of broken cells


@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_is_told_and_its_script_knows_when_it_is_fixed(name, tmp_path, code_of):
    """In few lines, without an error of ours; in another process exit 1 on the broken cell, 0 on the right one."""
    case, text = told_of(tmp_path, MUTANTS[name])
    assert case.faults == []
    assert text.startswith(f"{name} breaks the law {case.name}: ")
    assert len(text.splitlines()) <= LINES
    assert f"# {name} breaks the law `{case.name}`" in case.path.read_text(encoding="utf-8")
    script = case.path.with_suffix(".py")
    assert code_of(script) == 1
    guest_of(tmp_path / name, MUTANTS[name], broken=False)
    assert code_of(script) == (2 if name in RESIZED else int(name in DECLARED))
