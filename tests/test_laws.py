"""The laws on correct cells of an unusual make: whatever a shipped cell never does must not be taken for a fault."""

from dataclasses import replace

import numpy as np
import pytest
from cellcheck.cells import RNN, Unroll, lift
from cellcheck.properties import test_gradients, test_purity, test_sequences, test_stability
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.verdicts.blocks import Violation
from cellcheck.properties.verdicts.tally import Tally, counting
from cellcheck.strategies import Problem
from hypothesis import given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import just


def holds(law, Cell, problem):
    """Ask the law of the cell on one problem: Violation where it is broken."""
    law.hypothesis.inner_test(Cell=Cell, problem=problem)


class ReadOnly(RNN):
    """Returns arrays into which nobody can write, of which it keeps the one."""

    writeable = False

    def _apply(self, x, h):
        [self.kept] = super()._apply(x, h)
        self.kept.flags.writeable = self.writeable
        return (self.kept,)

    def _vjp(self, dh):
        return super()._vjp(dh + self.kept - np.tanh(self._cache[1]))


class Writeable(ReadOnly):
    """The same, with arrays that can be written: what the caller does to them is felt."""

    writeable = True


def test_what_cannot_be_written_cannot_be_spoilt():
    """The law of outputs holds for read-only arrays, and is broken by those that can be written."""
    law, problem = test_purity.test_outputs_are_the_callers, Problem(2, 3, 4)
    holds(law, ReadOnly, problem)
    with pytest.raises(Violation):
        holds(law, Writeable, problem)


class OneRow(RNN):
    """Takes a single row."""

    batch = 1

    def _apply(self, x, h):
        assert len(x) == 1
        return super()._apply(x, h)


class Remembers(OneRow):
    """Its gradient of b grows by 1e-9 of itself with each apply."""

    applied = 0

    def _apply(self, x, h):
        self.applied += 1
        return super()._apply(x, h)

    def _vjp(self, dh):
        found = super()._vjp(dh)
        found.weights[1][...] *= 1 + 1e-9 * self.applied
        return found


def test_a_cell_of_one_row_is_used_with_one_row():
    """The law of used cells holds where others get more rows, and finds what is remembered all the same."""
    law, problem = test_purity.test_a_used_cell_equals_a_fresh_one, Problem(3, 3, 4)
    holds(law, OneRow, problem)
    with pytest.raises(Violation):
        holds(law, Remembers, problem)


class Buffered:
    """h' = tanh(x V + h U). The defect: h' is in an array that the next call overwrites, while it may be the state of that call."""

    def __init__(self, features, state):
        self.V, self.U = np.zeros((features, state)), np.zeros((state, state))
        self.weights, self.buffers = [self.V, self.U], {}

    def apply(self, x, h):
        self.x, self.h = x, h
        self.y = self.buffers.setdefault((h.shape, h.dtype), np.zeros_like(h)) if self.buffers is not None else np.zeros_like(h)
        self.y[...] = np.tanh(x @ self.V + h @ self.U)
        return self.y

    def vjp(self, dh):
        dz = dh * (1 - self.y**2)
        return [self.x.T @ dz, self.h.T @ dz], dz @ self.V.T, [dz @ self.U.T]


class Unbuffered(Buffered):
    """Without the defect."""

    def __init__(self, features, state):
        super().__init__(features, state)
        self.buffers = None


class RefusesItsOwn(Unbuffered):
    """Raises where it is given the array that it has returned, or, `as_a_view`, one that is not contiguous, as it returns."""

    as_a_view = False

    def apply(self, x, h):
        if (self.as_a_view and not h.flags.c_contiguous) or h is getattr(self, "y", None):
            raise ValueError("not this array")
        y = super().apply(x, h)
        return np.asfortranarray(y) if self.as_a_view else y


def test_a_refusal_of_returned_states_is_excused_by_their_layout_alone():
    """A cell that is never given its own state is of no use; layouts have laws of their own."""
    law = test_purity.test_a_used_cell_equals_a_fresh_one
    with pytest.raises(ValueError, match="not this array"):
        holds(law, RefusesItsOwn, Problem(2, 3, 4))
    holds(law, type("Viewing", (RefusesItsOwn,), {"as_a_view": True}), Problem(2, 3, 4))


def test_a_state_that_the_next_call_overwrites_breaks_the_law_of_used_cells():
    """Although gradients at copies of it are right: a caller hands on the very array."""
    law = test_purity.test_a_used_cell_equals_a_fresh_one
    with pytest.raises(Violation):
        holds(law, Buffered, Problem(2, 3, 4))
    holds(law, Unbuffered, Problem(2, 3, 4))
    holds(test_gradients.test_weight_gradients, Buffered, Problem(2, 3, 4))


@pytest.mark.parametrize("law", [test_sequences.test_a_sequence_may_be_split, test_sequences.test_vjp_of_a_sequence_may_be_split])
def test_a_single_step_is_not_split(law):
    """Where the cell takes no empty sequence; three steps are."""
    Cell = lift(Unroll(RNN), fewest_steps=1)

    @settings(database=None)
    @given(problem=just(Problem(2, 3, 4, steps=1)))
    def one_step(problem):
        holds(law, Cell, problem)

    with pytest.raises(Unsatisfiable):
        one_step()
    holds(law, Cell, Problem(2, 3, 4, steps=3))


def test_declared_steps_are_not_split_into_fewer_than_a_cell_takes():
    """Neither part is empty where the cell takes no empty sequence, even if 0 is among the declared steps."""
    sizes = {"steps": (0, 1, 2, 8)}
    assert lift(Unroll(RNN), sizes=sizes).spec().splits() == [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (8, 0), (8, 8)]
    assert lift(Unroll(RNN), sizes=sizes, fewest_steps=1).spec().splits() == [(2, 1)]


class Once(RNN):
    """Lets go of what it kept once it was differentiated."""

    def _vjp(self, dh):
        found, self._cache = super()._vjp(dh), None
        return found


def test_a_cell_may_refuse_a_second_vjp():
    """It is repeatable as far as it answers; that it always answers is a promise of its own."""
    holds(test_purity.test_vjp_is_repeatable, Once, Problem(2, 3, 4))
    with pytest.raises(RuntimeError, match="nothing to differentiate"):
        holds(test_purity.test_a_second_vjp_is_answered, Once, Problem(2, 3, 4))


class RefusesNaN(RNN):
    """Takes numbers only."""

    error: type[Exception] = ValueError

    def _apply(self, x, h):
        if np.isnan(x).any():
            raise self.error("x has a NaN")
        return super()._apply(x, h)


@pytest.mark.parametrize("error", [ValueError, AssertionError, RuntimeError, FloatingPointError])
def test_a_cell_may_refuse_what_is_no_number(error):
    """Then no row can spoil another, whatever it raises; the law says why it compared nothing."""
    Cell = type("Refuses", (RefusesNaN,), {"error": error})
    with counting(Tally()) as tally:
        holds(test_stability.test_nan_stays_in_its_row, Cell, Problem(3, 3, 4))
    assert (tally.verdicts, tally.nothing) == ({}, "it refuses NaN")


class SumOfTanh:
    """h' = tanh([x, h] W), of which forward returns the sum, as a float of the precision of its inputs."""

    def __init__(self, features, state):
        self.W = np.zeros((features + state, state))
        self.weights = [self.W]

    def forward(self, x, h):
        """The sum of the new hidden state."""
        self.X = np.concatenate([x, h], axis=1)
        self.new_h = np.tanh(self.X @ self.W)
        return self.new_h.sum()

    def backward(self, d):
        """The gradient of W."""
        return [self.X.T @ (d * (1 - self.new_h**2))]


def test_a_sum_that_cancels_is_rounded_as_often_as_it_has_terms():
    """Saturated units hardly move with their inputs: the bound must know how many of them are added up."""
    Cell = lift(SumOfTanh)
    problem = replace(Problem(64, 1, 8), dtype=np.float32).literal(Cell)
    x = np.repeat([1.0, -1.05], 32)[:, None].astype(np.float32)
    saturated = replace(problem, x=x, weights=[np.full_like(problem.weights[0], 9.0)], state=(np.zeros_like(problem.state[0]),))
    laws()["float32_outputs"].check(Cell=Cell, problem=saturated)
