"""Symmetries: rows know nothing of each other, whatever their order; a state that is left out is zero."""

from dataclasses import replace

import numpy as np
import pytest
from cellcheck.properties.oracles import agree
from cellcheck.properties.verdicts import bound
from cellcheck.properties.verdicts.run import both, joined, outcome, rows
from cellcheck.properties.verdicts.tally import require
from cellcheck.strategies import problems
from hypothesis import given


@pytest.mark.needs("rows", "own targets", "same rows")
@given(problem=problems())
def test_rows_may_be_reversed(Cell, problem):
    """apply(X[::-1]) = apply(X)[::-1], and so are the gradients of x and states; those of the weights stay."""
    require(agree(Cell, problem, lambda p: both(Cell, p), lambda p: _permuted(Cell, p, lambda k: k[::-1]), bound.size_of_a_run))


@pytest.mark.needs("rows", "own targets", "same rows")
@given(problem=problems())
def test_rows_may_be_rolled(Cell, problem):
    """apply(roll(X)) = roll(apply(X)), and so are the gradients of x and states; those of the weights stay."""
    require(
        agree(Cell, problem, lambda p: both(Cell, p), lambda p: _permuted(Cell, p, lambda k: np.roll(k, 1)), bound.size_of_a_run)
    )


@pytest.mark.needs("outputs", "rows", "single row", "same rows", "own row")
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
    """apply(x) = apply(x, 0), and vjp(u).weights, vjp(u).x with it; on a fresh cell, and on one that was given states before."""

    def run(cell, p):
        found = outcome(cell, p, ["weights", "x"])
        outputs = {name: found.pop(name) for name in cell.spec.output_names}
        return {**outputs, "all gradients": np.concatenate([np.zeros(0), *(g.ravel() for g in found.values())])}

    def omitted(p):
        cell, none = p.build(Cell)[0], replace(p, state=p.further)
        fresh = run(cell, none)
        outcome(cell, p)
        return {**fresh, **{f"{name} of a used cell": a for name, a in run(cell, none).items()}}

    def zero(p):
        found = run(p.build(Cell)[0], replace(p, state=(*p.further, *map(np.zeros_like, p.states))))
        return {**found, **{f"{name} of a used cell": a for name, a in found.items()}}

    require(agree(Cell, problem, omitted, zero, bound.size_of_a_run))


def _permuted(Cell, p, order):
    """The run on rows in another order, its rows put back."""
    index = order(np.arange(p.batch))
    run = both(Cell, p.rows(index))
    return {**run, **rows(p.spec, run, np.argsort(index))}
