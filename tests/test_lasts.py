"""Sequences that return their last states alone, outputs of each step by any name, and what depends on the number of the step."""

import re

import numpy as np
import pytest
from cellcheck.cells import lift
from cellcheck.cells.adapters import adapt
from cellcheck.properties.intake.capabilities import missing
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.intake.loading import GuestError
from cellcheck.properties.intake.preflight import cleared
from cellcheck.strategies import Problem

from cellcheck import check
from tests.cases import broken
from tests.guests import lasts

pytestmark = pytest.mark.filterwarnings("ignore")  # of numbers that overflow in guests
SPLITS = ["a_sequence_is_its_steps", "a_sequence_may_be_split", "vjp_of_a_sequence_may_be_split"]
SEQUENCES = [*SPLITS, "no_steps_leave_the_state"]


def seen(Guest):
    """The guest after the pre-flight."""
    return cleared("guest.py:Guest", Guest)


@pytest.mark.parametrize("name", lasts.RIGHT)
def test_a_sequence_without_ys_passes_every_law(name):
    """Through `adapt` and as a class."""
    Cell = seen(lasts.RIGHT[name]).Cell
    assert "ys" not in Cell.spec().output_names
    assert broken(Cell, n=12) == set()


@pytest.mark.parametrize("name", lasts.RIGHT)
def test_the_laws_of_sequences_are_those_of_what_there_is(name):
    """All four, unless a state is not returned; without gradients of states, all but that of their vjp."""
    Cell = lift(lasts.RIGHT[name])
    hidden, without = "h alone" in name, "no gradient" in name
    applied = {law for law in SEQUENCES if laws()[law].applies(Cell)}
    assert applied == (set() if hidden else {*SPLITS[:2], SEQUENCES[-1]} if without else {*SEQUENCES})
    assert missing(Cell, ["finals"]) == ("does not take and return every state" if hidden else None)


def test_laws_of_lengths_do_without_ys():
    """But for the one about ys."""
    ragged = {name for name, law in laws().items() if "lengths" in law.needs and law.applies(lift(lasts.Ragged))}
    assert {"each_ragged_row_equals_its_solo_run", "padding_is_of_no_consequence"} <= ragged
    assert missing(lasts.Ragged, ["lengths", "ys"]) == "returns no output for each step"


@pytest.mark.parametrize("name", lasts.WRONG)
def test_a_broken_twin_is_refused(name):
    """By the law that is about its bug."""
    Guest, law = lasts.WRONG[name]
    assert broken(seen(Guest).Cell, [law], n=25) == {law}


@pytest.mark.parametrize("name", ["adapt, output h", "class, output h"])
def test_an_output_that_is_a_state_means_no_ys(name):
    """The final h is all there is."""
    spec = lift(lasts.RIGHT[name]).spec()
    assert (spec.output_names, spec.state_names, spec.own_output) == (["h'"], ("h",), False)


@pytest.mark.parametrize("name", ["y", "out", "ys"])
def test_an_output_with_an_axis_of_steps_is_one_of_each_step(name):
    """Whatever its name."""
    Cell = seen(lasts.with_output(name)).Cell
    assert Cell.spec().output_names == ["ys"] and Cell.spec().batch_axis("ys") == 1
    assert broken(Cell, n=12) == set()


def test_an_output_by_another_name_may_have_no_gradient():
    """Under that name."""
    assert not lift(lasts.with_output("y", no_gradient="y")).spec().outputs[0].differentiable


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: lasts.with_output("y", axes="batch features"), "but x has none"),
        (lambda: lasts.adapt(**lasts.WHOLE, output={"h": "batch steps features"}), "is a state as well; call it ys"),
        (lambda: lasts.adapt(**lasts.WHOLE, inputs={"x": "batch steps features", "n": "batch"}), "wanted an axis of steps"),
    ],
)
def test_an_axis_of_steps_in_the_wrong_place_is_refused(made, message):
    """Of a step cell, or of a state; or it is missing in an input of a sequence."""
    with pytest.raises(ValueError, match=re.escape(message)):
        made()


def test_a_cell_that_counts_its_steps_is_not_split():
    """Its gradients are verified, and without the declaration it breaks the laws that cut."""
    assert {missing(lasts.Clockwork, laws()[law].needs) for law in SPLITS} == {"what it does depends on the number of the step"}
    assert laws()["no_steps_leave_the_state"].applies(lift(lasts.Clockwork))
    assert broken(seen(lasts.Clockwork).Cell, n=12) == set()
    assert broken(seen(lasts.ClockworkLeaks).Cell, ["state_gradients"], n=25) == {"state_gradients"}
    undeclared = seen(type("Guest", (lasts.Clockwork,), {"choices": {}})).Cell
    assert broken(undeclared, SPLITS, n=25) == {*SPLITS}


def test_time_is_declared_by_true():
    """Nothing else."""
    with pytest.raises(GuestError, match=re.escape("choices has time = 3; give True or False")):
        seen(type("Guest", (lasts.Clockwork,), {"choices": {"time": 3}}))


ADVICE = "h has no effect on what it returns: it is ignored, or it is an output and no state: then do not take it, and declare output = 'h'"


def test_a_state_without_effect_is_noted():
    """With what to declare, which ends it."""
    assert ADVICE in seen(lasts.SRU).notes
    advised = seen(lasts.SRUOfC)
    assert not any("no effect" in note for note in advised.notes)
    assert (advised.Cell.spec().state_names, advised.Cell.spec().output_names) == (("c",), ["c'", "h'"])
    assert broken(advised.Cell, n=12) == set()


def test_a_softmax_is_not_taken_for_a_constant():
    """Though an upstream that is alike for all units has a zero gradient."""
    assert not any("no_gradient" in note for note in seen(lasts.Softmax).notes)


class Listing(lasts.SRUOfC):
    """Gradients as nested lists."""

    def vjp(self, *d):
        """All of them."""
        weights, dx, state = super().vjp(*d)
        return [g.tolist() for g in weights], dx.tolist(), tuple(s.tolist() for s in state)


def test_gradients_in_lists_are_arrays():
    """Those of no rows as well."""
    assert broken(seen(Listing).Cell, n=12) == set()
    cell = lift(Listing)(2, 3)
    outputs = cell.apply(np.zeros((0, 2)), np.zeros((0, 3)))
    weights, dx, state = cell.vjp(*outputs)
    assert [np.shape(g) for g in (*weights, dx, *state)] == [(2, 12), (6,), (0, 2), (0, 3)]


@pytest.mark.parametrize(
    ("d", "message"),
    [
        ([[1.0], [1.0, 2.0]], "vjp returned a list of 2, of unequal shapes; wanted arrays of numbers"),
        ("x", "vjp returned a str; wanted arrays of numbers"),
    ],
)
def test_a_gradient_without_numbers_is_an_error_of_the_cell(d, message):
    """In one line, as a TypeError."""
    Guest = type("Guest", (lasts.Softmax,), {"vjp": lambda self, u: ([d], u, (u,))})
    with pytest.raises(GuestError) as refusal:
        seen(Guest)
    assert str(refusal.value) == f"--cell guest.py:Guest: {message}"
    cell, x, state = Problem(2, 2, 3).build(Guest)
    with pytest.raises(TypeError, match=re.escape(message)):
        cell.vjp(*cell.apply(x, *state))


@pytest.mark.parametrize(("given", "what"), [((1, 2), "a tuple of 2"), ((1, 2, 3, 4), "a tuple of 4"), (None, "a NoneType")])
def test_a_vjp_with_the_wrong_number_of_entries_is_refused(given, what):
    """With how many there were, and without an exception that the cell never raised."""
    with pytest.raises(GuestError) as refusal:
        seen(type("Guest", (lasts.Softmax,), {"vjp": lambda self, u: given}))
    assert str(refusal.value).endswith(f": vjp returned {what}; wanted a tuple of three, (weights, x, state)")


def test_a_reference_may_go_on_without_ys():
    """From the last states, in both directions."""
    result = check(lasts.LastLSTM, "quick", "equivalence", reference=lasts.LastLSTM)
    assert result.held and "the_reference_may_go_on" in {found["law"] for found in result.results}


class Pooled:
    """h' = tanh(x W + h U), and the mean of h over the steps; or, stale, h before the last step."""

    stale = False

    def __init__(self, features, state):
        self.W, self.U = np.zeros((features, state)), np.zeros((state, state))

    def forward(self, x, h):
        """(h', the mean)."""
        self.kept, hs = [], [h]
        for row in x:
            hs.append(np.tanh(row @ self.W + hs[-1] @ self.U))
            self.kept.append((np.array(row), hs[-2], hs[-1]))
        return hs[-1], hs[-2 if len(x) else -1] if self.stale else sum(hs[1:], 0 * h) / max(len(x), 1)

    def backward(self, dh, dmean):
        """The gradients."""
        self.dW, self.dU, dx, T = np.zeros_like(self.W), np.zeros_like(self.U), [], len(self.kept)
        for t, (row, before, new) in reversed([*enumerate(self.kept)]):
            dz = (dh + dmean * ((t == T - 2) if self.stale else 1 / T)) * (1 - new * new)
            self.dW, self.dU, dh = self.dW + row.T @ dz, self.dU + before.T @ dz, dz @ self.U.T
            dx.insert(0, dz @ self.W.T)
        return np.array(dx).reshape(T, len(dh), len(self.W)), dh + dmean if self.stale and T < 2 else dh


pooled = adapt(
    Pooled,
    ("x h -> h mean", "forward"),
    ("dh dmean -> dx dh dW=.dW dU=.dU", "backward"),
    weights="W U",
    axes="steps batch features",
    output={"mean": "batch state"},
)


@pytest.mark.parametrize("stale", [False, True])
def test_an_output_that_is_pooled_over_steps_is_none_of_the_last(stale, monkeypatch):
    """Laws that cut a sequence leave it out, and the head says so; one of the step before is refused all the same."""
    monkeypatch.setattr(Pooled, "stale", stale)
    clear = cleared("pooled", pooled)
    assert any("mean is made of several steps" in note for note in clear.notes) != stale
    found = broken(clear.Cell, n=12)
    assert "a_sequence_may_be_split" in found if stale else found == set()
