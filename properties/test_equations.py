"""Equations: a cell that declares its kind computes exactly that. Here conventions are judged, which no gradient can see."""

import numpy as np
import pytest
from cellcheck.properties.oracles import agree
from cellcheck.properties.oracles.equations import STATES, equations
from cellcheck.properties.verdicts import bound
from cellcheck.properties.verdicts.blocks import Block
from cellcheck.properties.verdicts.run import apply
from cellcheck.properties.verdicts.tally import require
from cellcheck.strategies import problems
from hypothesis import given


@pytest.mark.needs("equations", "undropped")
@given(problem=problems())
def test_equations_of_the_kind(Cell, problem):
    """apply(x, s) = RNN: tanh([x, h] W + b); LSTM: c' = f c + i g, h' = o tanh(c'); GRU: u (n - h) + h, n = tanh(a + r s); or as of a paper; a state has `state_size` units."""

    def expected(p):
        cell, x, state = p.build(Cell)
        outputs = equations(cell, x, state)
        if gist:
            return {"sum": outputs[-1].sum()}
        states = [f"{name}'" for name in cell.spec.state_names or STATES[cell.spec.kind]]
        whole = dict(zip([*states, cell.spec.output_names[-1] if cell.spec.own_output else "ys"], outputs))
        return {name: whole[name] for name in cell.spec.output_names}

    problem = problem.literal(Cell)
    gist, spec = problem.spec.scalar, problem.spec
    resized = [] if any(spec.state in s.shape for s in spec.states) else [_resized(s, spec.state) for s in spec.states[:1]]
    require([*resized, *agree(Cell, problem, lambda p: apply(Cell, p), expected, bound.size_of_outputs)])


def _resized(state, units):
    """The block of a state that has another number of units."""
    return Block(f"shape of {state.name}", state.shape, f"an axis of {units}", np.inf, 0.0, "violated", note="shape")
