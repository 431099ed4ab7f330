"""Outputs of a step that know later steps: told, unless that is declared."""

import pytest
from cellcheck.cells import lift
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.mutants import CATALOGUE
from cellcheck.properties.reports.diagnosis.grown import PLAIN, grown
from cellcheck.properties.reports.diagnosis.promises import promise_faults
from cellcheck.properties.reports.diagnosis.sequence import sequence_faults

from tests.cases import broken, holds
from tests.guests import looking_ahead

pytestmark = pytest.mark.filterwarnings("ignore")  # of problems that a law rejects
LAW = "outputs_do_not_depend_on_later_steps"
TOLD = {
    "ReadsOneAhead": "ys of step 0 changes with x of step 1: each output reads one step ahead; if that is on purpose, ",
    "WithoutMask": "ys of step 0 changes with x of steps 1, 2 and 3; if that is on purpose, ",
}


@pytest.mark.parametrize("name", ["Mixed", "ByConvolution"])
def test_what_waits_holds(name):
    """Rounding of later steps is no knowledge of them."""
    assert laws()[LAW].applies(lift(getattr(looking_ahead, name)))
    assert holds(lift(getattr(looking_ahead, name)), LAW, 60)


@pytest.mark.parametrize("name", TOLD)
def test_what_reads_ahead_breaks_this_promise_alone(name):
    """Its gradients are right, and no law can cut it."""
    Cell = lift(getattr(looking_ahead, name))
    assert broken(Cell, n=25) == set()
    assert not holds(Cell, LAW, 25)


@pytest.mark.parametrize("name", TOLD)
def test_it_is_told_which_steps_it_knows(name):
    """And what to declare."""
    [told] = promise_faults(grown(lift(getattr(looking_ahead, name)), PLAIN), LAW)
    assert told.startswith(TOLD[name])
    assert 'declare choices={"future": True}' in told


@pytest.mark.parametrize("sizes", [{"features": (2,)}, {"features": (3,)}, {"features": (4,)}])
def test_tokens_that_are_read_ahead_are_found(sizes):
    """Whatever their number: the other end has other tokens."""
    Ahead, Waiting = (lift(looking_ahead.Tokens, sizes=sizes), lift(type("Waits", (looking_ahead.Tokens,), {"ahead": 0})))
    assert broken(Ahead, n=12) == set()
    assert not holds(Ahead, LAW, 12)
    assert holds(Waiting, LAW, 12)
    [told] = promise_faults(grown(Ahead, PLAIN), LAW)
    assert told.startswith("ys of step 0 changes with x of step 1: each output reads one step ahead")


def test_it_may_be_meant():
    """By a declaration."""
    law = laws()[LAW]
    assert law.applies(lift(looking_ahead.WithoutMask))
    assert not law.applies(lift(looking_ahead.BothWays))


def test_a_layer_that_runs_backwards_is_told_to_declare_it():
    """Then no law cuts it, and all others hold."""
    [backwards] = [mutant.cls for mutant in CATALOGUE if mutant.name == "GoesBackwards"]
    [told] = sequence_faults(grown(lift(backwards, kind=None), PLAIN))
    assert 'if that is on purpose, declare choices={"future": True}' in told
    declared = lift(backwards, kind=None, choices={"future": True})
    cutting = ["a_sequence_is_its_steps", "a_sequence_may_be_split", "vjp_of_a_sequence_may_be_split"]
    assert not any(laws()[law].applies(declared) for law in cutting)
    assert broken(lift(backwards, kind=None), cutting, n=25)


def test_a_cell_that_is_cut_needs_no_such_law():
    """Unless its steps depend on their number, and cannot be cut."""
    assert not holds(lift(looking_ahead.TimedAhead), LAW, 25)
    undeclared = lift(type("Guest", (looking_ahead.TimedAhead,), {"choices": {}}))
    assert not laws()[LAW].applies(undeclared)
    assert broken(undeclared, ["a_sequence_may_be_split"], n=25) == {"a_sequence_may_be_split"}
