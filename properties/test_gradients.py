"""Gradients: every entry of every weight, input and state, for any upstream."""

import pytest
from cellcheck.properties.oracles import gradients
from cellcheck.properties.verdicts.run import shapes
from cellcheck.properties.verdicts.tally import require
from cellcheck.strategies import problems
from hypothesis import given


@given(problem=problems())
def test_gradients_have_the_shapes_of_their_arrays(Cell, problem):
    """shape(dW) = shape(W), shape(dx) = shape(x), shape(ds) = shape(s)."""
    require(shapes(Cell, problem))


@pytest.mark.needs("weights")
@given(problem=problems())
def test_weight_gradients(Cell, problem):
    """<vjp(u).weights, v> = d/dt <u, apply(x, s; W + t v)> at t = 0."""
    require(gradients(Cell, problem, "weights"))


@pytest.mark.needs("x")
@given(problem=problems())
def test_input_gradients(Cell, problem):
    """<vjp(u).x, v> = d/dt <u, apply(x + t v, s)> at t = 0."""
    require(gradients(Cell, problem, "x"))


@pytest.mark.needs("state")
@given(problem=problems())
def test_state_gradients(Cell, problem):
    """<vjp(u).state, v> = d/dt <u, apply(x, s + t v)> at t = 0."""
    require(gradients(Cell, problem, "state"))
