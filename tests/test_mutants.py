"""The laws kill what they name: every mutant of the catalogue, in the proportions of real bugs, and nothing that is correct."""

from collections import Counter
from math import ceil

import pytest
from cellcheck.cells import CELLS
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.mutants import CATALOGUE, CLASSES, EditError, Mutant, killed
from cellcheck.properties.mutants.judge import EXAMPLES, drawn, examples
from cellcheck.properties.mutants.kills import STAYS
from cellcheck.strategies import TOGETHER, problems
from hypothesis import HealthCheck, given, settings

SEEN = {  # of 88 real bug reports
    "convention": 18,
    "batch, state, layout, dtype, purity": 16,
    "backward formula": 14,
    "lengths and masks": 14,
    "through time": 11,
    "numerics": 9,
    "step versus sequence": 6,
}
ENOUGH = 120


@pytest.mark.parametrize("mutant", CATALOGUE, ids=lambda mutant: mutant.name)
def test_mutant_dies_by_the_law_that_names_its_fault(mutant):
    """Within the examples of a derandomised run under the default profile."""
    law = laws()[mutant.law]
    assert law.applies(mutant.cls)
    assert killed(law, mutant.cls), f"{mutant.name} survives {mutant.law}: {mutant.fault}"


@pytest.mark.parametrize("law", laws())
def test_law_is_asked_to_kill(law):
    """Each law is named by a mutant that no other law is asked to kill, or there is a reason for it to stay."""
    assert any(mutant.law == law for mutant in CATALOGUE) != (law in STAYS)


@pytest.mark.parametrize(("bugs", "seen"), SEEN.items(), ids=SEEN)
def test_catalogue_has_the_proportions_of_real_bugs(bugs, seen):
    """At least 120 mutants, and of each class the share that it has among 88 bug reports."""
    assert len(CATALOGUE) >= ENOUGH
    assert len(CLASSES[bugs]) >= ceil(ENOUGH * seen / sum(SEEN.values()))


def test_mutants_are_told_apart_by_name():
    """No two mutants share a name, and none makes the same edit as another."""
    assert max(Counter(mutant.name for mutant in CATALOGUE).values()) == 1
    assert max(Counter((mutant.cell, mutant.edited, mutant.old, mutant.new) for mutant in CATALOGUE).values()) == 1


@pytest.mark.parametrize("law", laws())
def test_law_applies_to_the_shipped_cells(law):
    """No shipped cell goes unverified: only what speaks of sequences does not apply to steps."""
    asked = {Cell for Cell in CELLS if laws()[law].applies(Cell)}
    assert asked == {Cell for Cell in CELLS if Cell.sequence or not laws()[law].needs & {"sequence", "lengths"}} or law in STAYS


def test_every_cell_has_mutants():
    """All six shipped cells are broken somewhere."""
    assert {mutant.cell for mutant in CATALOGUE} == {Cell.__name__ for Cell in CELLS}


@pytest.mark.parametrize(("old", "found"), [("no such text", 0), ("self", "")])
def test_edit_that_is_not_found_once_is_refused(old, found):
    """An edit whose old text is missing or ambiguous raises and says how often it is there."""
    mutant = Mutant("Any", "RNN", old, "", "", "", "")
    with pytest.raises(EditError, match=f"{found}.* times; wanted once"):
        _ = mutant.cls


def test_mutant_without_an_edit_is_the_shipped_cell():
    """The machinery itself breaks nothing: an edit of nothing lives under every law it is named by."""
    for cell in ("RNN", "UnrolledLSTM"):
        for file in ("contract", "activations", cell.removeprefix("Unrolled").lower()):
            Same = Mutant("Same", cell, "import numpy as np\n", "import numpy as np \n", "", "", "", file).cls
            assert Same.__name__ == "Same"
            assert not killed(laws()["weight_gradients"], Same, drawn("weight_gradients")[:5])


def test_engine_asks_what_the_law_would_ask():
    """The problems are those of the law itself under derandomize, each with its family, and its own settings are left alone."""
    seen, law = [], laws()["vjp_is_linear"]

    def recorded(Cell, problem):
        seen.extend(problem.family())

    recorded.__wrapped__ = law.check
    few = 1 + ceil((EXAMPLES - 1) / TOGETHER)
    quiet = settings(max_examples=few, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    quiet(given(problem=problems())(recorded))(Cell=None)
    assert seen[:EXAMPLES] == drawn("vjp_is_linear") == list(examples("vjp_is_linear"))
