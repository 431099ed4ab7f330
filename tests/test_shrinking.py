"""What a failure shrinks to: the smallest shape, numbers that can be read, and the same fault as at first."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from cellcheck.cells import LSTM, RNN, Gradients, Unroll, lift
from cellcheck.properties.intake.catalogue import laws
from cellcheck.properties.mutants import CATALOGUE, killed
from cellcheck.properties.oracles.function import Function
from cellcheck.properties.shrinking import shrinking
from cellcheck.properties.shrinking.shrinking import Failure, kind, shapes, smallest
from cellcheck.properties.verdicts.blocks import Block, Violation
from cellcheck.properties.verdicts.tally import Tally, counting
from cellcheck.strategies import Literal, Problem

from tests.guests.gist import CrashingGRU, ExpRatioTanh

READABLE = [
    "GatesDeclaredIOFG",
    "InputGateFromInput",
    "DerivativeMissing",
    "SignFlipped",
    "DirectPathDropped",
    "StateGradientNotCarried",
    "OverwrittenNotAdded",
    "StateNotCarried",
    "GradientsAccumulate",
    "InputMaskedInPlace",
    "FirstRowOnly",
    "OutputAliasesTheCache",
    "TanhIsNaN",
]


def broken(name):
    """(law, cell, the first problem on which a mutant dies by its law)."""
    mutant = next(m for m in CATALOGUE if m.name == name)
    law, Cell = laws()[mutant.law], mutant.cls
    return law, Cell, killed(law, Cell).problem


def numbers(literal):
    """All numbers of a literal problem that are not zero."""
    parts = [*literal.weights, literal.x, *literal.state, *(u for us in literal.given for u in us)]
    return np.concatenate([np.ravel(part)[np.ravel(part) != 0] for part in parts])


@pytest.mark.parametrize("name", READABLE)
def test_case_is_small_and_still_fails_in_the_same_way(name):
    """At most 6 numbers are not zero, each of at most 2 digits; the worst block is that of the original, by its margin."""
    law, Cell, problem = broken(name)
    literal, error = smallest(law.check, Cell, problem)
    original = shrinking.Subject(law.check, Cell).failure(problem)
    assert isinstance(literal, Literal)
    assert len(numbers(literal)) <= 6
    assert all(float(f"{v:.1e}") == v for v in numbers(literal))
    assert Failure(error).stands_for(original)


def test_sizes_are_those_of_the_block_that_is_told():
    """A mask that all rows must share: found in ys, which needs two steps; told of h', which is wrong after one."""
    law, Cell, _ = broken("MaskReducedWithAll")
    problem = Problem(batch=3, features=5, state=3, steps=2, seed=27229, scale=30.0, regime="large upstream")
    small, error = smallest(law.check, Cell, problem)
    assert error.blocks[0].name == "h'" and small.x.shape == (1, 2, 1)


class Real(RNN):
    """A cell of unknown equations that takes real numbers only. Its weight gradient is `factor` times the right one."""

    kind, complex, factor = None, False, 2.0

    def _vjp(self, dh):
        weights, *others = super()._vjp(dh)
        return Gradients([self.factor * g for g in weights], *others)


class Slightly(Real):
    """So small a fault that a difference quotient does not show it."""

    factor = 1 + 1e-7


class Kinked(Real):
    """With relu in the place of tanh: at 0 no derivative is wrong."""

    def _apply(self, x, h):
        X = np.concatenate([x, h], axis=1)
        self._cache = X, np.where(X @ self.W + self.b > 0, 0.0, 400.0)  # tanh' is 1 at the one, and 0 at the other
        return (np.maximum(X @ self.W + self.b, 0.0),)


@pytest.mark.parametrize("Guest", [Real, Slightly, Kinked])
def test_a_cell_in_real_numbers_shrinks_to_one_unit(Guest):
    """Whether or not a difference quotient shows the fault, and beside kinks, at which there is none."""
    law = laws()["weight_gradients"].check
    small, error = smallest(law, lift(Guest), Problem(4, 3, 2, seed=3))
    assert small.x.shape == (1, 1) and len(small.weights[1]) == 1
    assert error.blocks[0].severity > 100
    with pytest.raises(Violation):
        law(Cell=lift(Guest), problem=small)


def test_a_plain_fault_is_shrunk_by_difference_quotients(monkeypatch):
    """Of two evaluations each, without a search for kinks; only the first case and the last are judged to the last digits."""
    asked, call, counts = [], Function.__call__, []
    monkeypatch.setattr(Function, "__call__", lambda *given: asked.append(1) or call(*given))
    for plain in (shrinking.PLAIN, np.inf):
        monkeypatch.setattr(shrinking, "PLAIN", plain)
        smallest(laws()["weight_gradients"].check, lift(Real), Problem(4, 3, 2, seed=3))
        counts.append(len(asked) - sum(counts))
    assert 3 * counts[0] < counts[1], counts


@pytest.mark.parametrize("calls", range(2, 14))
def test_a_failure_that_comes_and_goes_is_told_with_its_own_problem(calls):
    """Of a law that holds again after so many calls: an error says where it was seen, and no other problem has that place."""
    count = iter(range(10**9))

    def law(Cell, problem):
        literal = problem.literal(Cell)
        if next(count) < calls:
            raise Violation([Block("W", 1.0, 0.0, 1.0, verdict="violated", note=str(np.shape(literal.x)))])

    found, error = smallest(law, lift(LSTM), Problem(5, 4, 3))
    assert error is None or error.blocks[0].note == str(found.literal(lift(LSTM)).x.shape)


def test_the_numbers_of_a_slow_cell_are_round():
    """All of them at once, before the budget is spent on any one."""
    law, Cell, problem = broken("MissingTranspose")
    subject = shrinking.Subject(law.check, Cell)
    literal = replace(problem, batch=5, state=8, scale=1.0).literal(Cell)
    original = subject.failure(literal)
    subject.grant((3, 60))
    assert all(float(f"{v:.2e}") == v for v in numbers(shrinking.Minimiser(subject, literal, original).run()))


def test_a_failure_of_rare_numbers_reaches_one_unit():
    """The tanh that is a ratio of exponentials ends at (1, 1, 1), wherever Hypothesis has left it."""
    stuck = Problem(5, 1, 1, seed=22, regime="large inputs")
    law, Cell = laws()["outputs_are_finite"].check, lift(ExpRatioTanh)
    problem = next(p for seed in range(99) for p in [Problem(5, 2, 3, seed=seed, regime="large inputs")] if fails(law, Cell, p))
    for start in (stuck, problem) if fails(law, Cell, stuck) else (problem,):
        literal, _ = smallest(law, Cell, start)
        assert (literal.x.shape, literal.recipe.state) == ((1, 1), 1)
        large, small = abs(numbers(literal)), [lowered(v) for v in abs(numbers(literal))]
        assert np.prod(large) > 709.78
        assert all(np.prod(large) / v * less <= 709.78 for v, less in zip(large, small))


def lowered(value):
    """The number that is less by one in the last of its digits: 30 for 40, 710 for 720, 0.4 for 0.5."""
    shortest = Decimal(repr(float(value))).normalize()
    return float(shortest - Decimal((0, (1,), shortest.as_tuple().exponent)))


def fails(law, Cell, problem):
    """Whether the law fails there."""
    return shrinking.Subject(law, Cell).failure(problem) is not None


def test_what_a_cell_raises_shrinks_to_zeros():
    """A crash needs two rows and no numbers; it stays the same exception."""
    law, Cell = laws()["weight_gradients"].check, lift(CrashingGRU)
    literal, error = smallest(law, Cell, Problem(4, 3, 2))
    assert isinstance(error, ValueError)
    assert literal.x.shape == (2, 1)
    assert not numbers(literal).size


def test_a_cell_of_one_size_keeps_it():
    """No smaller one can be asked how its weights would be laid out."""
    law, Mutant, _ = broken("SignFlipped")

    def fixed(input_features, state_size):
        if (input_features, state_size) != (2, 3):
            raise ValueError("this network has 2 inputs and 3 units")
        return Mutant(2, 3)

    literal, _ = smallest(law.check, fixed, Problem(4, 2, 3, seed=1))
    assert (literal.x.shape, literal.recipe.state) == ((1, 2), 3)
    assert len(numbers(literal)) <= 6


class WrongBeyond(RNN):
    """Wrong beyond 64 units."""

    def _vjp(self, dh):
        found = super()._vjp(dh)
        found.weights[0][...] *= 1 + (self.state_size > 64)
        return found


def test_the_least_of_many_declared_sizes_is_found():
    """By halving them."""
    Cell = lift(WrongBeyond, sizes={"state": tuple(range(1, 257))})
    literal, _ = smallest(laws()["weight_gradients"].check, Cell, Problem(3, 2, 256, seed=5))
    assert (literal.x.shape, literal.recipe.state) == ((1, 1), 65)


def test_a_literal_problem_is_where_shrinking_may_start():
    """What it has ended in stays as it is."""
    law, Cell, problem = broken("SignFlipped")
    literal, _ = smallest(law.check, Cell, problem)
    assert repr(smallest(law.check, Cell, literal)[0]) == repr(literal)


def test_a_cell_that_cannot_be_made_keeps_its_recipe():
    """There are no arrays to shrink."""

    def never(input_features, state_size):
        raise OSError("no weights file")

    problem, error = smallest(laws()["weight_gradients"].check, never, Problem(2, 3, 4))
    assert isinstance(problem, Problem)
    assert str(error) == "no weights file"


def test_a_call_that_takes_too_long_is_no_smaller_case(monkeypatch):
    """It is not the failure that is shrunk."""

    def law(Cell, problem):
        while True:
            pass

    monkeypatch.setattr(shrinking, "EXAMPLE", 0.01)
    assert shrinking.Subject(law, RNN).failure(Problem()) is None


def test_shrinking_is_not_counted():
    """The tally of the run is left alone."""
    law, Cell, problem = broken("SignFlipped")
    with counting(Tally()) as tally:
        smallest(law.check, Cell, problem)
    assert tally.examples == 0


def test_the_same_failure_ends_in_the_same_case():
    """Twice the same arrays."""
    law, Cell, problem = broken("DerivativeMissing")
    assert repr(smallest(law.check, Cell, problem)[0]) == repr(smallest(law.check, Cell, problem)[0])


def test_a_problem_that_does_not_fail_again_is_returned():
    """Then there is no error."""
    assert smallest(laws()["weight_gradients"].check, RNN, Problem()) == (Problem(), None)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (Block("b", "shape (2,)", "shape (1,)", note="shape"), "shape"),
        (Block("y", np.array([np.nan]), "finite", index=(0,)), "nan"),
        (Block("flags", "overflow", "none"), "word"),
        (Block("W", np.array([1.0]), np.array([2.0]), index=(0,)), "value"),
    ],
)
def test_kinds_of_failure_are_told_apart(block, expected):
    """A shape never shrinks into a value."""
    assert kind(block) == expected


def test_vanishing_numbers_do_not_stand_for_visible_ones():
    """An error of 1e-200 is no counterexample where the original was 1. Among errors that cannot be seen, some are smaller."""

    def failure(got, expected):
        block = Block("W", got, expected, abs(got - expected), 1e-300, "violated")
        return Failure(Violation([block]))

    assert failure(2.0, 1.0).stands_for(failure(3.0, 1.0))
    assert not failure(2e-200, 1e-200).stands_for(failure(3.0, 1.0))
    assert not failure(0.1, 0.0).stands_for(failure(3.0, 1.0))
    assert failure(1.000001, 1.0).stands_for(failure(1.00002, 1.0))
    assert failure(1.0009, 1.0).stands_for(failure(1.0011, 1.0))


def test_smaller_shapes_come_first():
    """Fewest numbers first, and never the shape itself; the steps of a step cell mean nothing."""
    found = shapes(Problem(2, 1, 2, steps=3), shrinking.Subject(None, Unroll(RNN)).sizes)
    assert found[0] == {"batch": 1, "features": 1, "state": 1, "steps": 1}
    assert {"batch": 2, "features": 1, "state": 2, "steps": 3} not in found
    assert {"batch": 2, "features": 1, "state": 2, "steps": 2} in found
    assert shapes(Problem(2, 1, 1, steps=3), shrinking.Subject(None, RNN).sizes) == [{"batch": 1, "features": 1, "state": 1}]
