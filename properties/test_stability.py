"""Stability: finite where the answer is, no flag but underflow, a NaN stays in its row, nothing is rounded too coarsely."""

from dataclasses import replace

import numpy as np
import pytest
from cellcheck.properties.oracles import agree
from cellcheck.properties.oracles.parked import probes
from cellcheck.properties.oracles.resolution import NOTHING, resolved
from cellcheck.properties.verdicts import bound
from cellcheck.properties.verdicts.blocks import finite, unflagged, within
from cellcheck.properties.verdicts.run import apply, both, rows, vjp
from cellcheck.properties.verdicts.tally import require
from cellcheck.strategies import problems
from hypothesis import given, reject

LARGE = 1000  # exp of more than 709 is infinite
ULPS = 8  # the best formulas err by up to 2.5, common ones by 5


@pytest.mark.needs("output")
@given(problem=problems())
def test_outputs_are_finite(Cell, problem):
    """|apply(x, s)| < inf wherever sum |x||W| < 1e300."""
    require(finite(name, y) for name, y in apply(Cell, problem).items())


@pytest.mark.needs("output")
@given(problem=problems())
def test_gradients_are_finite(Cell, problem):
    """|vjp(u)| < inf wherever sum |x||W|, taken to the power of the steps, stays below 1e300."""
    require(finite(name, g) for name, g in vjp(Cell, problem).items())


@pytest.mark.promise
@pytest.mark.needs("loss")
@given(problem=problems())
def test_a_large_loss_is_finite(Cell, problem):
    """|loss| < inf and |vjp| < inf after at most two steps, with all weights multiplied by 1000."""
    p = problem.literal(Cell)
    if p.steps > 2 or np.finfo(p.x.dtype).max < LARGE**10:
        reject()
    p = replace(p, weights=[LARGE * w for w in p.weights]).folded()
    require(finite(name, a) for name, a in both(Cell, p).items())


@pytest.mark.promise
@given(problem=problems())
def test_no_flag_but_underflow(Cell, problem):
    """flags(apply, vjp) is contained in {underflow}."""
    require([unflagged(lambda: vjp(Cell, problem))])


@pytest.mark.needs("outputs", "rows", "numbers", "own row")
@given(problem=problems())
def test_nan_stays_in_its_row(Cell, problem):
    """x[0] = NaN changes neither apply(x, s)[k] nor vjp(u).x[k] nor vjp(u).state[k] for k > 0."""

    def others(p):
        run = {**apply(Cell, p), **vjp(Cell, p, parts=["x", "state"])}
        return rows(p.spec, run, slice(1, None))

    def poisoned(p):
        x = p.x.copy()
        x[(slice(None),) * p.spec.sequence + (0,)] = np.nan
        return others(replace(p, x=x))

    problem = problem.literal(Cell)
    others(problem)
    try:
        poisoned(problem)
    except Exception:  # as it may
        return require([], "it refuses NaN")
    require(agree(Cell, problem, poisoned, others, bound.size))


@pytest.mark.needs("float64")
@given(problem=problems())
def test_small_changes_count(Cell, problem):
    """f(a + d) - f(a) = 2^-12 (f(a + 2^12 d) - f(a)), to a quarter, for f = apply or vjp, each weight, input, state or upstream a, |d| = 2^-30 |a|."""
    require(resolved(Cell, problem), NOTHING)


@pytest.mark.needs("kind", "plain", "bias", "outputs", "finals", "undropped")
@given(problem=problems())
def test_activations_of_the_cell(Cell, problem):
    """|sigmoid - exact|, |tanh - exact| <= max(8 ulp, 2 eps) through the cell, every other gate parked at +-1000."""
    require(_accurate(p, p.value, p.exact_value, 4 * p.unit / p.scale) for p in probes(Cell, problem))


@pytest.mark.promise
@pytest.mark.needs("kind", "plain", "bias", "outputs", "finals", "undropped")
@given(problem=problems())
def test_activations_of_the_cell_keep_their_tails(Cell, problem):
    """|sigmoid - exact|, |tanh - exact| <= 8 ulp through the cell, however small they are."""
    require(_accurate(p, p.value, p.exact_value, 0.0) for p in probes(Cell, problem))


@pytest.mark.promise
@pytest.mark.needs("kind", "plain", "bias", "outputs", "finals", "undropped")
@given(problem=problems())
def test_derivatives_of_the_cell_keep_their_tails(Cell, problem):
    """|sigmoid' - exact|, |tanh' - exact| <= 8 ulp through the cell's vjp, however small they are."""
    require(_accurate(p, p.slope, p.exact_slope, 0.0) for p in probes(Cell, problem) if p.slope is not None)


def _accurate(probe, got, exact, slack):
    """The block of one activation: |got - exact| <= max(ULPS ulp, slack)."""
    ulp = np.maximum(np.spacing(np.abs(exact)), 2 * probe.unit * np.abs(exact))
    block = within(probe.name, got, exact, np.maximum(ULPS * ulp, slack), unit=probe.unit)
    return replace(block, note=f"z = {probe.z[block.index]:.17g}") if block.index else block
