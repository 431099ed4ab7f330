"""Equivalence: a cell equals its reference at the same numbers. T makes of its weights those of the reference, T' is its transpose."""

import pytest
from cellcheck.properties.oracles import agree
from cellcheck.properties.oracles.reference import beside, gradients, handed_over, outputs, roundings
from cellcheck.properties.verdicts import bound
from cellcheck.properties.verdicts.run import apply, vjp
from cellcheck.properties.verdicts.tally import require
from cellcheck.strategies import problems
from hypothesis import given


@pytest.mark.needs("reference")
@given(problem=problems())
def test_equals_the_reference(Cell, problem):
    """apply(w, x, s) = reference.apply(T w, x, s)."""
    require(
        agree(
            Cell,
            beside(Cell, problem),
            lambda p: apply(Cell, p),
            outputs,
            bound.size_of_outputs,
            lambda p: roundings(Cell, p, outputs),
        )
    )


@pytest.mark.needs("reference", "reference's gradients")
@given(problem=problems())
def test_gradients_equal_the_reference(Cell, problem):
    """vjp(d) = (T' w, x, s) with (w, x, s) = reference.vjp(d)."""
    p = beside(Cell, problem)
    require(agree(Cell, p, lambda p: vjp(Cell, p), gradients, bound.size, lambda p: roundings(Cell, p, gradients)))


@pytest.mark.needs("reference", "reference's states", "sequence", "finals", "splits", "any time")
@given(problem=problems())
def test_the_reference_may_go_on(Cell, problem):
    """apply(x, s) = r(x[k:], apply(x[:k], s)) = apply(x[k:], r(x[:k], s)), where r is the reference's apply, ys one after the other."""

    def own(p):
        return apply(Cell, p)

    p = beside(Cell, problem)
    for takes_over in (None, own):
        require(agree(Cell, p, own, lambda p, then=takes_over: handed_over(p, own, then), bound.size_of_outputs))
