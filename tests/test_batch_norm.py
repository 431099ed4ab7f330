"""Rows that depend on each other on purpose, once that is declared."""

import re

import pytest
from cellcheck.cells import lift
from cellcheck.properties.intake.capabilities import missing
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.intake.loading import GuestError
from cellcheck.properties.intake.preflight import cleared
from cellcheck.properties.reports.diagnosis.conduct import rows
from cellcheck.properties.reports.diagnosis.grown import PLAIN, grown

from tests.cases import broken
from tests.guests import batch_norm

ALONE = {
    "each_row_equals_its_solo_run",
    "sum_output_is_additive_over_rows",
    "weight_gradient_is_the_sum_over_rows",
    "nan_stays_in_its_row",
}


def test_a_declared_batch_norm_passes_every_law():
    """Those that compare a row with itself alone are not verified."""
    Cell = cleared("guest.py:Guest", batch_norm.BatchNorm).Cell
    assert broken(Cell, n=40) == set()
    assert {missing(Cell, laws()[law].needs) for law in ALONE} == {"its rows depend on each other"}


def test_its_gradients_are_verified():
    """And nothing is said of its rows."""
    Cell = lift(batch_norm.VarianceIsAConstant)
    assert {"weight_gradients", "input_gradients", "state_gradients"} <= broken(Cell, n=25)
    assert rows(grown(Cell, PLAIN)) == []


def test_without_the_declaration_it_is_told_what_to_declare():
    """Where no mistake is known that mixes rows up."""
    Cell = lift(batch_norm.Undeclared)
    assert broken(Cell, ALONE, n=25) == ALONE
    [told] = rows(grown(Cell, PLAIN))
    assert told.startswith("rows depend on each other: in a batch of 3, rows [0, 1, 2] of h' differ")
    assert told.endswith('if that is on purpose, as in batch normalisation, declare choices={"batch": True}')


@pytest.mark.parametrize("name", ["batch", "future"])
def test_it_is_declared_by_true(name):
    """Nothing else."""
    Guest = type("Guest", (batch_norm.Undeclared,), {"choices": {name: 3}})
    with pytest.raises(GuestError, match=re.escape(f"choices has {name} = 3; give True or False")):
        cleared("guest.py:Guest", Guest)
