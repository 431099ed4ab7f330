"""Symmetries: rows know nothing of each other, whatever their order; a state that is left out is zero."""

from dataclasses import replace

import numpy as np
import pytest
from cellcheck.properties.oracles import agree
from cellcheck.properties.verdicts import bound
from cellcheck.properties.verdicts.run import apply, both, joined, rows, vjp
from cellcheck.properties.verdicts.tally import require
from cellcheck.strategies import problems
from hypothesis import given


@pytest.mark.needs("rows", "own targets")
@given(problem=problems())
def test_rows_may_be_reversed(Cell, problem):
    """apply(X[::-1]) = apply(X)[::-1], and so are the gradients of x and states; those of the weights stay."""
    require(agree(Cell, problem, lambda p: both(Cell, p), lambda p: _permuted(Cell, p, lambda k: k[::-1]), bound.size_of_a_run))


@pytest.mark.needs("rows", "own targets")
@given(problem=problems())
def test_rows_may_be_rolled(Cell, problem):
    """apply(roll(X)) = roll(apply(X)), and so are the gradients of x and states; those of the weights stay."""
    require(
        agree(Cell, problem, lambda p: both(Cell, p), lambda p: _permuted(Cell, p, lambda k: np.roll(k, 1)), bound.size_of_a_run)
    )


@pytest.mark.needs("outputs", "rows", "single row")
@given(problem=problems())
def test_each_row_equals_its_solo_run(Cell, problem):
    """apply(X, S)[k] = apply(X[k], S[k]) and vjp(U)[k] = vjp(U[k]) of x and states, for every row k."""

    def together(p):
        return both(Cell, p, ["x", "state"])

    def alone(p):
        return joined(p.spec, [together(p.rows([k])) for k in range(p.batch)])

    require(agree(Cell, problem, together, alone, bound.size_of_a_run))


@pytest.mark.needs("omitted")
@given(problem=problems())
def test_an_omitted_state_is_zero(Cell, problem):
    """apply(x) = apply(x, 0), and vjp(u).weights, vjp(u).x with it."""

    def omitted(p):
        outputs, gradients = apply(Cell, p), vjp(Cell, p, parts=["weights", "x"])
        return {**outputs, "all gradients": np.concatenate([g.ravel() for g in gradients.values()])}

    def zero(p):
        return omitted(replace(p, state=(*p.further, *map(np.zeros_like, p.states))))

    require(agree(Cell, problem, lambda p: omitted(replace(p, state=p.further)), zero, bound.size_of_a_run))


def _permuted(Cell, p, order):
    """The run on rows in another order, its rows put back."""
    index = order(np.arange(p.batch))
    run = both(Cell, p.rows(index))
    return {**run, **rows(p.spec, run, np.argsort(index))}
