"""Errors, promises: what a cell cannot compute it refuses, and refusing changes nothing."""

from dataclasses import replace

import numpy as np
import pytest
from cellcheck.properties.oracles import alike, unchanged
from cellcheck.properties.verdicts.blocks import Block
from cellcheck.properties.verdicts.run import both, differentiated, outcome
from cellcheck.properties.verdicts.tally import require
from cellcheck.strategies import problems
from hypothesis import given
from hypothesis.errors import UnsatisfiedAssumption


@pytest.mark.promise
@pytest.mark.needs("features")
@given(problem=problems())
def test_wrong_features_are_refused(Cell, problem):
    """apply(x of one feature more or less, s) raises, and the cell works afterwards."""
    require(_refused(Cell, problem, lambda p: [replace(p, x=_wider(p.x)), replace(p, x=p.x[..., :-1])]))


@pytest.mark.promise
@pytest.mark.needs("features")
@given(problem=problems())
def test_features_in_the_place_of_units_are_refused(Cell, problem):
    """apply(x of one feature more, s of one unit less) raises, although [x, s] has its right width."""
    require(_refused(Cell, problem, lambda p: [replace(p, x=_wider(p.x), state=(*p.further, *(s[..., :-1] for s in p.states)))]))


@pytest.mark.promise
@given(problem=problems())
def test_wrong_batches_are_refused(Cell, problem):
    """apply(x, s) raises where a state has one row more than x, or x one more than the states."""

    def wrong(p):
        more = [*range(p.batch), 0]
        taller = [replace(p, x=p.rows(more).x)] if p.state else []
        return [*taller, *(replace(p, state=_swapped(p.state, k, s)) for k, s in enumerate(p.rows(more).state))]

    require(_refused(Cell, problem, wrong))


@pytest.mark.promise
@given(problem=problems())
def test_wrong_states_are_refused(Cell, problem):
    """apply(x, s) raises for a state too many, for one of several missing, and for a state of one unit more."""

    def wrong(p):
        wider = [replace(p, state=_swapped(p.state, k, _wider(s))) for k, s in enumerate(p.state)]
        missing = [replace(p, state=p.state[:-1])] if len(p.states) > 1 else []
        more = np.zeros((p.batch, p.recipe.state), p.x.dtype)
        return [replace(p, state=(*p.state, more)), *missing, *wider]

    require(_refused(Cell, problem, wrong))


@pytest.mark.promise
@pytest.mark.needs("outputs", "weights")
@given(problem=problems())
def test_wrong_upstreams_are_refused(Cell, problem):
    """vjp(u) raises for an upstream of one row or one unit more, one too many or one too few."""

    def wrong(p):
        u = p.given[0]
        sizes = [
            _swapped(u, k, bad)
            for k, a in enumerate(u)
            if p.spec.outputs[k].differentiable
            for bad in (_wider(a), _wider(a, p.spec.batch_axis(p.spec.outputs[k].name) or 0))
        ]
        return [*sizes, u[:-1], (*u, u[-1])]

    problem = _with_steps(problem.literal(Cell))
    cell = problem.build(Cell)[0]
    before = outcome(cell, problem)
    require([*(_refusal("vjp", cell.vjp, u) for u in wrong(problem)), *unchanged(Cell, problem, outcome(cell, problem), before)])


@pytest.mark.promise
@pytest.mark.needs("features or states")
@given(problem=problems())
def test_a_refusal_changes_nothing(Cell, problem):
    """apply(x, s); apply(x of one feature or one row more, s) raises; vjp(u) = apply(x, s); vjp(u)."""
    problem, blocks = _with_steps(problem.literal(Cell)), []
    wrong = [_wider(problem.x)] if problem.spec.inputs[0].shape else []
    wrong += [problem.rows([*range(problem.batch)] * 2).x] if problem.state else []
    for x in wrong:
        cell = problem.build(Cell)[0]
        before = outcome(cell, problem)
        if _refusal("apply", cell.apply, (x, *problem.state)).verdict != "violated":
            upstream = problem.upstreams(1, [before[name] for name in problem.spec.output_names], problem.spec)[0]
            gradients = differentiated(cell, upstream)
            blocks += unchanged(Cell, problem, gradients, {name: before[name] for name in gradients})
    require(blocks, "it accepts what it should refuse, which other laws report")


@pytest.mark.promise
@pytest.mark.needs("weights")
@given(problem=problems())
def test_vjp_before_apply_is_refused(Cell, problem):
    """vjp(u) raises where nothing was applied, and apply and vjp work afterwards."""
    problem = problem.literal(Cell)
    cell, fresh = problem.build(Cell)[0], both(Cell, problem)
    require([_refusal("vjp", cell.vjp, problem.given[0]), *alike(Cell, problem, outcome(cell, problem), fresh)])


@pytest.mark.promise
@pytest.mark.needs("sequence", "lengths")
@given(problem=problems())
def test_wrong_lengths_are_refused(Cell, problem):
    """apply(x, s, lengths=l) raises for a length below 0, beyond the steps, or not whole, and for one too many."""
    problem = problem.literal(Cell)
    cell, steps, batch = problem.build(Cell)[0], problem.steps, problem.batch
    before, whole = outcome(cell, problem), np.full(batch, steps)
    wrong = [whole - steps - 1, whole + 1, whole + 0.5, np.append(whole, steps)]

    def tried(bad):
        return _refusal("apply", lambda: cell.apply(problem.x, *problem.state, lengths=bad), (), f"lengths = {bad.tolist()}")

    require([*map(tried, wrong), *unchanged(Cell, problem, outcome(cell, problem), before)])


def _refused(Cell, problem, wrong):
    """The blocks of applying each of the problems wrong(problem), and of a run after that."""
    problem = _with_steps(problem.literal(Cell))
    cell = problem.build(Cell)[0]
    before = outcome(cell, problem)
    return [
        *(_refusal("apply", cell.apply, (p.x, *p.state)) for p in wrong(problem)),
        *unchanged(Cell, problem, outcome(cell, problem), before),
    ]


def _with_steps(problem):
    """The problem, which is rejected if it is a sequence of no steps: there is nothing that would be computed."""
    if problem.spec.sequence and not problem.steps:
        raise UnsatisfiedAssumption
    return problem


def _refusal(name, call, arguments, given=None):
    """The block of a call that must raise, whatever it raises. given: the wrong argument in words, instead of all shapes."""
    try:
        call(*arguments)
    except Exception:
        return Block(name, "an exception", "an exception")
    given = given or ", ".join(str(np.shape(a)) for a in arguments)
    return Block(name, f"a result for {given}", "an exception", np.inf, 0.0, "violated")


def _wider(a, axis=-1):
    """The array with its last column twice, or its last entry along another axis."""
    return np.concatenate([a, np.take(a, [-1], axis)], axis) if a.ndim else np.stack([a, a])


def _swapped(arrays, k, other):
    """The tuple with another array at k."""
    return (*arrays[:k], other, *arrays[k + 1 :])
